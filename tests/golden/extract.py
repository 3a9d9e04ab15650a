#!/usr/bin/env python3
"""Takes from the tables of independent tools what these tests compare.

usage: extract.py GOLDEN_FOLDER   (the folder with per_layer/ and hf/; see README.md)
"""
import json
import pathlib
import sys

SOURCE = pathlib.Path(sys.argv[1])
TARGET = pathlib.Path(__file__).parent
DTYPES = {"float32": "f32", "int64": "i64", "F32": "f32", "F16": "f16", "BF16": "bf16"}


def torchvision(name):
    table = json.loads((SOURCE / "per_layer" / f"{name}.json").read_text())
    rows = table["rows"]
    return {
        "source": f"torchvision {name}, eval, {table['input']}: state_dict, forward hooks, FlopCounterMode",
        "params": table["params"],
        "flops": table["totals"]["torch_flop_counter"]["flops"],
        "tensors": {key: [DTYPES[dtype], shape] for key, shape, dtype in table["state_dict"]},
        "outputs": [[row["cls"], row["name"], one_shape(row["output"])] for row in rows],
        "flops_by_module": {
            row["name"]: row["counts"]["torch"] for row in rows if row["call"] == 0 and row["counts"]["torch"]
        },
        "counts_by_module": {
            tool: by_module(rows, key)
            for tool, key in {
                "thop": "thop_new", "thop-2020": "thop_old", "ptflops-modules": "ptflops", "fvcore": "fvcore",
                "calflops": "calflops", "torchinfo": "torchinfo",
            }.items()
        },
    }


def by_module(rows, key):
    """What a tool counts for each module, all calls together; FLOPs where it gives both."""
    found = {}
    for row in rows:
        figure = row["counts"].get(key)
        figure = figure[0] if isinstance(figure, list) else figure
        if figure:
            found[row["name"]] = found.get(row["name"], 0) + figure
    return found


def one_shape(output):
    """The first of several outputs."""
    return output if not output or isinstance(output[0], int) else output[0]


def huggingface(name, sequence, settings=()):
    folder = SOURCE / "hf" / name
    info = json.loads((folder / "info.json").read_text())
    by_module = json.loads((folder / f"flops_by_module_seq{sequence}.json").read_text())
    tensors = json.loads((folder / "tensors.json").read_text())
    return {
        "source": f"transformers {name}, {info['flops'][f'seq{sequence}']['inputs']}: saved tensors, FlopCounterMode",
        "architecture": info["architecture"],
        "settings": dict(settings),
        "params": info["total_params_unique"],
        "flops": info["flops"][f"seq{sequence}"]["flops"],
        "calflops": calflops(info["flops"][f"seq{sequence}"]),
        "tensors": {key: [DTYPES[dtype], shape] for key, (dtype, shape) in tensors.items()},
        "outputs": [],
        "flops_by_module": by_module,
    }


def calflops(row):
    """calflops' FLOPs and MACs with eager attention, and its MACs with the fused one, where it has them."""
    eager, fused = row.get("calflops") or {}, row.get("sdpa_variant") or {}
    return [eager.get("flops"), eager.get("macs"), fused.get("calflops_macs")]


def write(name, table):
    text = json.dumps(table, separators=(",", ":")).replace("},", "},\n")
    (TARGET / f"{name}.json").write_text(text + "\n")


def config(name, drop=()):
    """The keys of a config, as a model's parameters; those of nested objects with a dot between."""
    def flat(values, prefix=""):
        for key, value in values.items():
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{key}.")
            elif key not in drop and not key.endswith(("_token_id", "id2label", "label2id")):
                yield prefix + key, value
    return dict(flat(json.loads((SOURCE / "hf" / name / "config.json").read_text())))


for name in [
    "alexnet", "vgg16", "resnet18", "resnet50", "densenet121", "vit_b_16", "swin_t", "squeezenet1_1", "googlenet",
    "inception_v3", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny", "unet",
]:
    write(name, torchvision(name))
write("gpt2", huggingface("gpt2", 2048))
write("llama2_7b", huggingface("llama-2-7b", 128))
write("llama3_70b", huggingface("llama-3-70b", 128, {
    "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64,
}))
write("llama3_1b", huggingface("llama-3.2-1b", 128, {
    "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "head_dim": 64,
    "max_position_embeddings": 131072, "tie_word_embeddings": "true",
}))
write("mixtral_8x7b", huggingface("mixtral-8x7b", 128))
write("bert_base", huggingface("bert-base-uncased", 128))
write("t5_small", huggingface("t5-small", 128))
write("whisper_base", huggingface("whisper-base", 128))
write("clip_vit_b_32", huggingface("clip-vit-base-patch32", 128))
write("mamba_130m", huggingface("mamba-130m", 128))
for name in ["llama-2-13b", "qwen2-7b", "qwen3-0.6b", "phi-2"]:
    write(name, huggingface(name, 128, config(name)))


# Where the table has a tool's figures, and the parameters that it sees; FLOPs before MACs.
TOOLS = {
    "thop": ["thop_new.macs", "thop_new.params"],
    "thop-2020": ["thop_old.macs", "thop_old.params"],
    "ptflops": ["ptflops_pytorch.macs", "ptflops_pytorch.params"],
    "ptflops-modules": ["ptflops_pytorch.macs_without_functional_patching", "ptflops_pytorch.params"],
    "ptflops-aten": ["ptflops_aten.macs", "ptflops_aten.params"],
    "fvcore": ["fvcore.by_operator"],
    "torch": ["torch_flop_counter.flops"],
    "torch-default": ["torch_flop_counter.flops_fastpath_on"],
    "torchinfo": ["torchinfo.total_mult_adds", "torchinfo.total_params"],
    "calflops": ["calflops.flops", "calflops.macs", "calflops.params"],
    "torchstat": ["torchstat.flops", "torchstat.params"],
    "torchstat-madd": ["torchstat.madd", "torchstat.params"],
}


def counts(name, table):
    """What each tool says of a model, at each input: its figures, and the parameters that it sees."""
    rows = [table, *table.get("scaling", [])]
    return {"model": name, "counts": [{"input": row["input"], **figures(row)} for row in rows]}


def figures(row):
    def find(path):
        tool, key = path.split(".")
        value = row.get(tool, {}).get(key)
        return sum(value.values()) if isinstance(value, dict) else value
    found = {tool: [find(path) for path in paths] for tool, paths in TOOLS.items()}
    return {tool: numbers for tool, numbers in found.items() if None not in numbers}


def of_version(name, version):
    """What one version of thop says of a model, at each input."""
    def one(key, numbers):
        return {"input": json.loads(f"[{key[len(name) + 1:-1]}]"), "thop-2019": numbers}
    return [one(key, numbers) for key, numbers in version.items() if key.startswith(f"{name}(")]


totals = json.loads((SOURCE / "totals.json").read_text())
write("counts", {
    "source": f"totals.json: {totals['about']['versions']}",
    "models": [counts(name, table) for name, table in totals["models"].items()],
})
old = json.loads((SOURCE / "thop_versions.json").read_text())["0.0.22"]
write("counts_thop_2019", {
    "source": "thop_versions.json: thop 0.0.22",
    "models": [
        {"model": name, "counts": of_version(name, old)} for name in totals["models"] if of_version(name, old)
    ],
})
