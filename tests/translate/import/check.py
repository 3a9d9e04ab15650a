"""Checks `taper import` on modules of torchvision, with the binary that is given.

`taper import` itself compares the names and shapes of the parameters with the module's `state_dict`. Here the
output's shape is compared with PyTorch's, and parameters and MACs with those of the library's architecture,
which was written by hand. Modules of cases.py, which nobody wrote by hand, are compared with PyTorch's own
counter, FlopCounterMode.
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parent))
import cases

TAPER = sys.argv[1]
MODELS = [
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3",
    "maxvit_t", "mnasnet1_0", "mobilenet_v2", "mobilenet_v3_large", "regnet_y_400mf", "resnet18", "resnet50",
    "shufflenet_v2_x1_0", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg16", "vit_b_16",
    "wide_resnet50_2",
]
SIZES = {"inception_v3": 299, "swin_v2_t": 256}
# The inputs of the modules of cases.py.
CASES = {
    "Subclass": ["f32[N = 2, 3, 8, 8]"], "ComputedWeights": ["f32[N = 2, 3, 8, 8]"], "Positions": ["i64[N = 2, T = 10]"],
    "Optional": ["f32[N = 2, 4]"], "Attention": ["f32[N = 2, 10, 16]"], "Encoder": ["f32[N = 2, T = 10, 16]"],
    "Cells": ["f32[N = 2, 3, 8]", "f32[N, 16]", "f32[N, 16]"], "Names": ["f32[M = 2, 4]"],
    "OwnTwice": ["f32[N = 2, 8]"], "Keys": ["i64[N = 2, T = 5]"],
}
DTYPES = {"f32": torch.float32, "i64": torch.int64}
# A module with what Taper lacks.
OWN = "tests/translate/import/net.py"


def imported(module, inputs, folder):
    file = Path(folder, "imported.taper")
    line = [TAPER, "import", module, "--python", sys.executable, "-o", str(file)]
    line += [f"--input={input}" for input in inputs]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return file, done.stderr.strip()


def summary(file, *arguments):
    line = [TAPER, "summary", str(file), "--format=json", *arguments]
    done = subprocess.run(line, capture_output=True, text=True)
    return json.loads(done.stdout)


def check_case(name, inputs, folder):
    """What is wrong."""
    file, said = imported(f"tests/translate/import/cases.py:{name}", inputs, folder)
    found = summary(file, "--count=torch")
    with torch.device("meta"):
        module = getattr(cases, name)().eval()
    tensors = [torch.empty(input["shape"], dtype=DTYPES[input["dtype"]], device="meta") for input in found["inputs"]]
    # Math attention, which FlopCounterMode sees.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        output = module(*tensors)
    # A loop over a size is one over the size given, which is told.
    lost = [line for line in said.splitlines() if "not carried over" in line and "made of sizes" not in line]
    ours = found["totals"]["flops"], found["totals"]["params"], found["outputs"][0]["shape"], lost
    params = sum(one.numel() for one in module.parameters())
    theirs = counter.get_total_flops(), params, list(output.shape), []
    print(f"{name}: {ours[1]:,} parameters, {ours[0]:,} FLOPs; {said}")
    return [] if ours == theirs else [f"{name}: {ours}, not {theirs}: {said}"]


def main():
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            size = SIZES.get(name, 224)
            input = f"f32[N = 1, 3, {size}, {size}]"
            try:
                file, said = imported(f"torchvision.models:{name}", [input], folder)
                ours, theirs = summary(file), summary(f"library:{name}")
            except Exception as error:
                wrong.append(f"{name}: {error}")
                continue
            shape = [output["shape"] for output in ours["outputs"]]
            print(f"{name}: {ours['totals']['params']:,} parameters, {ours['totals']['macs']:,} MACs; {said}")
            if shape != [[1, 1000]]:
                wrong.append(f"{name}: gives {shape}")
            for figure in ("params", "macs"):
                if ours["totals"][figure] != theirs["totals"][figure]:
                    figures = ours["totals"][figure], theirs["totals"][figure]
                    wrong.append(f"{name}: {figure} {figures[0]}, the library's architecture has {figures[1]}")
        for name, inputs in CASES.items():
            try:
                wrong += check_case(name, inputs, folder)
            except Exception as error:
                wrong.append(f"{name}: {error}")
        file, said = imported(f"{OWN}:Net(8)", ["i64[N = 2, T = 10]"], folder)
        found = summary(file)
        print(f"{OWN}: {found['totals']['params']:,} parameters; {said}")
        shapes = [output["shape"] for output in found["outputs"]]
        if shapes != [[2, 10, 100], [2, 2, 8]]:
            wrong.append(f"{OWN} gives {shapes}")
        if "flip" not in said:
            wrong.append(f"{OWN}: it is not said that `flip` was lost")
    print("\n".join(wrong) or "no difference")
    sys.exit(bool(wrong))


main()
