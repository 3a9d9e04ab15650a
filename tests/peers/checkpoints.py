#!/usr/bin/env python3
"""How long configs and checkpoints take: `taper` beside transformers on the meta device and
`accelerate estimate-memory`'s way, in one run. See run.sh for what it needs.

usage: checkpoints.py TAPER
"""
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

TAPER = sys.argv[1]

LLAMA_405B = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16384, "intermediate_size": 53248,
    "num_attention_heads": 128, "num_hidden_layers": 126, "num_key_value_heads": 8, "vocab_size": 128256,
    "max_position_embeddings": 131072, "rope_theta": 500000.0, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
}
DEEPSEEK_V3 = {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "torch_dtype": "bfloat16"}


def measured(command):
    """The best of ten runs in ms, and the peak of memory in MiB."""
    times = []
    for _ in range(10):
        start = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(1000 * (time.perf_counter() - start))
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    peak = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True).stdout
    return min(times), int(peak) / 1024


def header(tensors):
    entries, at = {}, 0
    for name in tensors:
        entries[name] = {"dtype": "BF16", "shape": [1024, 512], "data_offsets": [at, at + 1024 * 512 * 2]}
        at += 1024 * 512 * 2
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text, at


def sparse(path, tensors):
    """A file with a real header and holes for data."""
    head, data = header(tensors)
    with open(path, "wb") as file:
        file.write(head)
        file.truncate(len(head) + data)


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    rows = []
    for name, config in [("Llama 3.1 405B", LLAMA_405B), ("DeepSeek-V3", DEEPSEEK_V3)]:
        path = folder / name.replace(" ", "-") / "config.json"
        path.parent.mkdir()
        path.write_text(json.dumps(config))
        ours, memory = measured([TAPER, "summary", str(path)])
        code = f"""
import json, time, torch, transformers
config = json.load(open({str(path)!r}))
cls = getattr(transformers, config["architectures"][0])
start = time.perf_counter()
with torch.device("meta"):
    model = cls(cls.config_class(**config))
print(sum(p.numel() for p in model.parameters()))
"""
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        rows.append((f"{name}: the whole summary", ours, memory, "transformers, meta device", 1000 * (time.perf_counter() - start)))
        code = f"""
import json
from accelerate import init_empty_weights
from accelerate.commands.estimate import calculate_maximum_sizes
import transformers
config = json.load(open({str(path)!r}))
cls = getattr(transformers, config["architectures"][0])
with init_empty_weights():
    model = cls(cls.config_class(**config))
print(calculate_maximum_sizes(model))
"""
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        rows.append((f"{name}: the whole summary", ours, memory, "accelerate estimate-memory", 1000 * (time.perf_counter() - start)))
    index = folder / "index"
    index.mkdir()
    names = [f"model.layers.{number // 1000}.mlp.experts.{number % 1000}.up_proj.weight" for number in range(90_000)]
    weight_map = {}
    for shard in range(163):
        file = f"model-{shard:05}-of-00163.safetensors"
        own = names[shard::163]
        sparse(index / file, own)
        weight_map |= {name: file for name in own}
    (index / "model.safetensors.index.json").write_text(json.dumps({
        "metadata": {"total_size": 90_000 * 1024 * 512 * 2}, "weight_map": weight_map,
    }))
    rows.append(("an index of 163 shards and 90,000 tensors", *measured([TAPER, "inspect", str(index / "model.safetensors.index.json")]), "", None))
    large = folder / "large.safetensors"
    sparse(large, [f"layers.{number}.weight" for number in range(100_000)])
    size = os.path.getsize(large) / 1e9
    rows.append((f"a sparse file of {size:.0f} GB, 100,000 tensors", *measured([TAPER, "inspect", str(large)]), "", None))
    small = folder / "small.safetensors"
    # One tensor claims all the data.
    text = json.dumps({"a": {"dtype": "U8", "shape": [10**11], "data_offsets": [0, 10**11]}}).encode()
    with open(small, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + 10**11)
    rows.append(("a sparse file of 100 GB, 1 tensor", *measured([TAPER, "inspect", str(small)]), "", None))

print("| what | taper | memory | beside it | ratio |\n| --- | ---: | ---: | --- | ---: |")
for what, ours, memory, other, theirs in rows:
    beside = f"{other}: {theirs / 1000:.1f} s" if theirs else ""
    ratio = f"{theirs / ours:,.0f}" if theirs else ""
    print(f"| {what} | {ours:.1f} ms | {memory:.0f} MiB | {beside} | {ratio} |")
