"""Traces each idiom of idioms.py, and writes traces.json: a line each with what PyTorch says of it, which tests read."""
import dataclasses
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

HERE = Path(__file__).parent
SCRIPT = HERE / "../../../server/translate/src/import/trace.py"


def sizes(inputs, others={}):
    """Shapes and dtypes of inputs as Taper has them: a size with a name is given at its first place, or is another."""
    known, found = dict(others), []
    for text in inputs:
        dtype, rest = text.rstrip("]").split("[")
        shape = []
        for size in rest.split(","):
            name, _, given = size.strip().partition(" = ")
            if given:
                known.setdefault(name, int(given))
            shape.append(known[name] if name in known else int(name))
        found.append([shape, dtype])
    return found


def shapes(value):
    if isinstance(value, torch.Tensor):
        return [list(value.shape)]
    if dataclasses.is_dataclass(value):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    return [shape for one in value or () for shape in shapes(one)]


def truth(make, inputs):
    """PyTorch's own FLOPs, parameters and shapes of outputs."""
    module = make().eval()
    tensors = [torch.zeros(shape, dtype=torch.int64 if dtype == "i64" else torch.float32) for shape, dtype in inputs]
    keywords = {"mask": tensors.pop()} if make.__name__ == "GivenByKeyword" else {}
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        output = module(*tensors, **keywords)
    params = sum(one.numel() for one in module.parameters())
    return {"flops": counter.get_total_flops(), "params": params, "outputs": shapes(output), "state": len(module.state_dict())}


def named(inputs):
    return [(name, int(size)) for name, size in re.findall(r"(\w+) = (\d+)", " ".join(inputs))]


def others(inputs):
    """Other sizes, as `taper import` has the module run at."""
    tried = [(name, other) for name, size in named(inputs) for other in (size - 1, size + 1, 2 * size, 8 * size) if other > 0]
    return [{"set": [name, str(other)], "inputs": sizes(inputs, {name: other})} for name, other in tried]


def elsewhere(make):
    """The same at other sizes: each that has a name, one more, and twice and three times as large. Where the module refuses
    one, none."""
    found = []
    for name, given in named(make.inputs):
        for size in (given + 1, 2 * given, 3 * given):
            try:
                there = truth(make, sizes(make.inputs, {name: size}))
            except (AssertionError, IndexError, RuntimeError, ValueError):
                continue
            found.append({"set": [name, str(size)], "flops": there["flops"], "outputs": there["outputs"]})
    return found


def main():
    spec = importlib.util.spec_from_file_location("idioms", HERE / "idioms.py")
    idioms = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(idioms)
    classes = [one for one in vars(idioms).values() if isinstance(one, type) and issubclass(one, nn.Module)]
    lines = []
    for one in classes:
        if "forward" not in vars(one) and "__init__" not in vars(one) or not hasattr(one, "inputs") or one is idioms.WithLayer:
            continue
        inputs = sizes(one.inputs)
        line = [sys.executable, "-W", "ignore", str(SCRIPT), f"{HERE / 'idioms.py'}:{one.__name__}()", json.dumps(inputs), json.dumps(others(one.inputs))]
        trace = json.loads(subprocess.run(line, capture_output=True, text=True).stdout)
        if "error" in trace:
            sys.exit(f"{one.__name__}: {trace['error']}")
        # Places are of the folder that it is recorded in.
        for key in ("settled", "asked"):
            trace[key] = [re.sub(r".*/", "", place) for place in trace[key]]
        case = {"name": one.__name__, "inputs": one.inputs, **truth(one, inputs), "at": elsewhere(one), "trace": trace}
        lines.append(json.dumps(case, separators=(",", ":")))
        print(one.__name__)
    (HERE / "traces.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


main()
