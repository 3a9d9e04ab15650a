"""The picture of docs/benchmarking.md: the layers of a result under the device's limits.

    taper bench library:mobilenet_v3_large --format json > result.json
    python3 tests/peers/roofline.py result.json docs/images/roofline.svg
"""

import json
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "taper"
matplotlib.rcParams["svg.fonttype"] = "none"
import matplotlib.pyplot as plt

COLOURS = {"compute": "#c2410c", "memory": "#1d4ed8"}


def main(source, target):
    result = json.load(open(source))
    flops, bandwidth = (result["ceilings"][key] for key in ("flops_per_second", "bytes_per_second"))
    layers = [layer for layer in result["layers"] if layer["flops"] and layer["bytes"] and layer["median"]]
    intensity = [layer["flops"] / layer["bytes"] for layer in layers]
    low, high = min(intensity) / 2, max(max(intensity), flops / bandwidth) * 2
    figure, axes = plt.subplots(figsize=(8, 4.5))
    corner = flops / bandwidth
    axes.plot([low, corner, high], [low * bandwidth / 1e9, flops / 1e9, flops / 1e9], color="black", linewidth=1.5)
    axes.text(high / 1.1, flops / 1e9 * 1.15, f"matrix product: {flops / 1e9:.0f} GFLOP/s", ha="right", fontsize=9)
    axes.text(1, bandwidth / 1e9 * 1.6, f"copy: {bandwidth / 2**30:.1f} GiB/s", fontsize=9, ha="right")
    for bound in COLOURS:
        chosen = [(at, layer) for at, layer in zip(intensity, layers) if (at < corner) == (bound == "memory")]
        axes.scatter([at for at, _ in chosen], [layer["flops"] / layer["median"] / 1e9 for _, layer in chosen],
                     s=[4 + 900 * layer["median"] / result["whole"]["median"] for _, layer in chosen],
                     color=COLOURS[bound], alpha=0.5, linewidth=0, label=f"{bound}-bound")
    named = []
    for at, layer in sorted(zip(intensity, layers), key=lambda pair: -pair[1]["median"])[:4]:
        # Layers that do the same lie on each other.
        if all(abs(at / other - 1) > 0.1 for other in named):
            named.append(at)
            axes.annotate(layer["path"], (at, layer["flops"] / layer["median"] / 1e9), fontsize=8,
                          xytext=(8, -10), textcoords="offset points")
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(None, flops / 1e9 * 3),
             xlabel="FLOPs per byte that the layer reads or writes", ylabel="GFLOP/s that it reached")
    sizes = ", ".join(f"{name} = {size}" for name, size in result["sizes"])
    axes.set_title(f"{result['model']} at {sizes}, {result['dtype']}, on {result['device']['name']}: "
                   f"{1e3 * result['whole']['median']:.1f} ms", fontsize=10)
    axes.legend(loc="lower right", fontsize=9, markerscale=0.5)
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})


main(*sys.argv[1:])
