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
# Language models cannot be traced by torch.fx; a module in a file stands for a user's own.
OWN = '''
import torch
from torch import nn


class Gate(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.linear = nn.Linear(width, width)

    def forward(self, x, context):
        return torch.sigmoid(self.linear(context)) * x * self.scale


class Net(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.embed = nn.Embedding(100, width)
        self.rnn = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.gates = nn.ModuleList([Gate(2 * width) for _ in range(2)])
        self.head = nn.Linear(width, 100, bias=False)
        self.down = nn.Linear(2 * width, width)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        x, (h, _) = self.rnn(self.embed(tokens))
        for gate in self.gates:
            x = gate(x, x.flip(1)) + x
        x = x.view(x.size(0), -1, 2, x.shape[-1] // 2).mean(dim=2)
        return self.head(self.down(torch.cat([x, x], dim=-1))), h
'''


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
        own = Path(folder, "own.py")
        own.write_text(OWN)
        file, said = imported(f"{own}:Net(8)", "i64[N = 2, T = 10]", folder)
        found = summary(file)
        print(f"own.py: {found['totals']['params']:,} parameters; {said}")
        shapes = [output["shape"] for output in found["outputs"]]
        if shapes != [[2, 10, 100], [2, 2, 8]]:
            wrong.append(f"own.py gives {shapes}")
        if "flip" not in said:
            wrong.append("own.py: it is not said that `flip` was lost")
    print("\n".join(wrong) or "no difference")
    sys.exit(bool(wrong))


main()
