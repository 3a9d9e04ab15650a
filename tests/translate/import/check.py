"""Checks `taper import` on modules of torchvision, with the binary that is given.

`taper import` itself compares the names and shapes of the parameters with the module's `state_dict`. Here the
output's shape is compared with PyTorch's, and parameters and MACs with those of the library's architecture,
which was written by hand.
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

TAPER = sys.argv[1]
MODELS = [
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3",
    "maxvit_t", "mnasnet1_0", "mobilenet_v2", "mobilenet_v3_large", "regnet_y_400mf", "resnet18", "resnet50",
    "shufflenet_v2_x1_0", "squeezenet1_1", "vgg16", "vit_b_16", "wide_resnet50_2",
]
# Not all models can be traced; a module in a file stands for a user's own.
OWN = "tests/translate/import/net.py"


def imported(module, input, folder):
    file = Path(folder, "imported.taper")
    line = [TAPER, "import", module, "--input", input, "--python", sys.executable, "-o", str(file)]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return file, done.stderr.strip()


def summary(file):
    done = subprocess.run([TAPER, "summary", str(file), "--format=json"], capture_output=True, text=True)
    return json.loads(done.stdout)


def main():
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            size = 299 if name == "inception_v3" else 224
            input = f"f32[N = 1, 3, {size}, {size}]"
            try:
                file, said = imported(f"torchvision.models:{name}", input, folder)
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
        file, said = imported(f"{OWN}:Net(8)", "i64[N = 2, T = 10]", folder)
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
