"""Runs each tool in a fresh process and prints the best of three wall-clock times."""
import subprocess
import sys
import time

TAPER, PYTHON = sys.argv[1:3]
MODEL = "import torch, torchvision; model = torchvision.models.resnet50().eval(); x = torch.zeros(1, 3, 224, 224); "
TOOLS = {
    "torchinfo 1.8.0": MODEL + "import torchinfo; print(torchinfo.summary(model, (1, 3, 224, 224), verbose=0).total_mult_adds)",
    "thop 0.1.1": MODEL + "import thop; print(thop.profile(model, (x,), verbose=False)[0])",
    "fvcore 0.1.5": MODEL + "from fvcore.nn import FlopCountAnalysis; print(FlopCountAnalysis(model, x).total())",
}


def best_of_three(command):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return min(times)


ours = best_of_three([TAPER, "summary", "examples/resnet50.taper", "--format", "json"])
print(f"{'taper summary':<16} {1000 * ours:8.1f} ms")
for name, program in TOOLS.items():
    seconds = best_of_three([PYTHON, "-c", program])
    print(f"{name:<16} {1000 * seconds:8.0f} ms   {seconds / ours:6.0f} times as long")
