"""Compares the memory that Taper states with what PyTorch allocates on the CPU.

A dispatch mode sees each operation of a forward pass and the storages of its outputs; in-place
variants are switched off, so that both sides speak of the same tensors. Columns of the table:

  made       bytes of the storages that operations make
  peak       the largest sum of storages that live at once, each until its last use
  held       the same, as measured: Python's frames hold arguments longer than they are used
  allocated  the peak by PyTorch's allocator, scratch memory of the kernels included
"""
import json
import subprocess
import sys
from collections import Counter

import torch
import torchvision
import transformers
from torch.multiprocessing.reductions import StorageWeakRef
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# What PyTorch says is written to the second path, for tests/golden.
TAPER, GOLDEN = sys.argv[1:3]
golden = {}


class Tape(TorchDispatchMode):
    """Each operation's name and the storages that it reads and makes."""

    def __init__(self, resident):
        super().__init__()
        self.resident = {storage_of(tensor)[0] for tensor in resident}
        self.operations = []
        self.bytes = {}
        self.numbers = {}
        self.references = {}
        self.held = 0

    def number(self, tensor):
        """A number for the tensor's storage; a storage that died gives its address away."""
        address, size = storage_of(tensor)
        if address in self.resident:
            return None
        number = self.numbers.get(address)
        if number is None or self.references[number].expired():
            number = len(self.references)
            self.numbers[address] = number
            self.references[number] = StorageWeakRef(tensor.untyped_storage())
            self.bytes[number] = size
        return number

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        reads = self.numbers_of((args, kwargs))
        out = function(*args, **(kwargs or {}))
        self.operations.append((str(function.overloadpacket), reads, self.numbers_of(out)))
        alive = (number for number, storage in self.references.items() if not storage.expired())
        self.held = max(self.held, sum(self.bytes[number] for number in alive))
        return out

    def numbers_of(self, tree):
        tensors = (leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor))
        return {number for number in map(self.number, tensors) if number is not None}

    def made(self):
        """Bytes of new storages by the operation that made them."""
        known, bytes_by_name = set(), Counter()
        for name, reads, writes in self.operations:
            known |= reads
            bytes_by_name[name] += sum(self.bytes[number] for number in writes - known)
            known |= writes
        return bytes_by_name

    def peak(self, results):
        """The largest sum of storages if each lived from its maker to its last reader."""
        last = {}
        for index, (_, reads, writes) in enumerate(self.operations):
            last.update(dict.fromkeys(reads | writes, index))
        last.update(dict.fromkeys(self.numbers_of(results), len(self.operations)))
        # What is read and never made comes from outside: the inputs.
        made = set()
        live = set()
        for _, reads, writes in self.operations:
            live |= reads - made
            made |= reads | writes
        peak = 0
        for index, (_, reads, writes) in enumerate(self.operations):
            live |= writes
            peak = max(peak, sum(self.bytes[number] for number in live))
            live = {number for number in live if last[number] > index}
        return peak


def storage_of(tensor):
    storage = tensor.untyped_storage()
    return storage._cdata, storage.nbytes()


def allocated(model, inputs):
    """The peak of PyTorch's allocator above what was there before, and the inputs."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        model(*inputs)
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    live = peak = sum(tensor.nbytes for tensor in inputs)
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


def taper(file, *options):
    command = [TAPER, "summary", file, "--format", "json"]
    command += [word for option in options for word in ("--set", option)]
    # It fails where the file expects another number of parameters, as it does with fewer layers.
    summary = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout)
    assert all(one["code"] == "T0501" for one in summary["diagnostics"]), summary["diagnostics"]
    return summary


def by_dtype(tensors):
    """Bytes of different tensors, by dtype in Taper's spelling."""
    total = Counter()
    for tensor in {id(tensor): tensor for tensor in tensors}.values():
        total[SHORT[tensor.dtype]] += tensor.nbytes
    return dict(total)


SHORT = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16", torch.int64: "i64"}


def compare_weights(name, model, totals):
    saved = set(model.state_dict(keep_vars=True))
    buffers = [buffer for key, buffer in model.named_buffers() if key in saved]
    pairs = {
        "param_bytes_by_dtype": by_dtype(model.parameters()),
        "buffer_bytes_by_dtype": by_dtype(buffers),
    }
    golden[name] = dict(pairs)
    for key, theirs in pairs.items():
        assert totals[key] == theirs, (name, key, totals[key], theirs)
    return f"{totals['param_bytes']:,} | {totals['buffer_bytes']:,}"


def compare_activations(name, build, x):
    """A row of the table, and the operations that make other bytes."""
    summary = taper(f"examples/{name}.taper")
    totals = summary["totals"]
    model = build().eval()
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    with torch.inference_mode():
        tape = Tape([*model.parameters(), *model.buffers()])
        with tape:
            results = model(x)
        made, peak, held = tape.made(), tape.peak(results), tape.held
        del results, tape
        scratch = allocated(model, [x])
    weights = compare_weights(name, model, totals)
    golden[name]["peak_activation_bytes"] = peak
    figures = [totals["activation_bytes"], sum(made.values()), totals["peak_activation_bytes"]]
    figures += [peak, held, scratch]
    row = f"| {name} | {weights} | " + " | ".join(f"{figure:,}" for figure in figures) + " |"

    ours, theirs = Counter(), Counter()
    for layer in summary["layers"]:
        ours[ATEN.get(layer["kind"], plain(layer["kind"]))] += layer["activation_bytes"]
    for operation, size in made.items():
        theirs[plain(operation.removeprefix("aten."))] += size
    differing = [
        f"  {name:<14}{ours[name]:>15,}{theirs[name]:>15,}"
        for name in sorted({*ours, *theirs})
        if ours[name] != theirs[name]
    ]
    return row, "\n".join([f"{name}, by operation: Taper, PyTorch", *differing])


# Kinds whose operation has another name in PyTorch.
ATEN = {"MatMul": "addmm", "Activation": "tanh", "MultiheadAttention": "nativemultiheadattention"}


def plain(name):
    return name.lower().replace("_", "").removesuffix("2d")


def compare_cache():
    """Llama 2's cache after 128 tokens and after one more, at two layers."""
    config = transformers.LlamaConfig(num_hidden_layers=2, dtype=torch.float16)
    model = transformers.LlamaForCausalLM(config).half().eval()
    compare_weights("llama2_7b", model, taper("examples/llama2_7b.taper", "num_hidden_layers=2")["totals"])
    cache, rows = None, []
    for past, length in ((0, 128), (128, 1)):
        options = ["num_hidden_layers=2", f"T={length}", f"past={past}"]
        totals = taper("examples/llama2_7b.taper", *options)["totals"]
        with torch.inference_mode():
            out = model(torch.zeros(1, length, dtype=torch.int64), past_key_values=cache)
        cache = out.past_key_values
        theirs = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
        assert totals["cache_bytes"] == theirs, (totals["cache_bytes"], theirs)
        golden["llama2_7b"].setdefault("cache_bytes", []).append([past, length, theirs])
        rows.append(f"after {past + length} positions, {length} of them new: {theirs:,}")
    return rows


MODELS = {
    "alexnet": (torchvision.models.alexnet, torch.zeros(1, 3, 224, 224)),
    "resnet50": (torchvision.models.resnet50, torch.zeros(1, 3, 224, 224)),
    "densenet121": (torchvision.models.densenet121, torch.zeros(1, 3, 224, 224)),
    "vit_b_16": (torchvision.models.vit_b_16, torch.zeros(1, 3, 224, 224)),
    "gpt2": (
        lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(use_cache=False)),
        torch.zeros(1, 1024, dtype=torch.int64),
    ),
}

rows, differences = zip(*(compare_activations(name, *model) for name, model in MODELS.items()))
print("| model | parameters | buffers | made: Taper | PyTorch | peak: Taper | PyTorch | held | allocated |")
print("| --- |" + " ---: |" * 8)
print("\n".join(rows), "", *differences, "", "Llama 2's cache, two layers, f16:", *compare_cache(), sep="\n")

with open(GOLDEN, "w") as file:
    json.dump(golden, file, indent=1)
    file.write("\n")
