#!/usr/bin/env python3
"""What PyTorch keeps for the backward pass of torchvision's models, and the FLOPs of both passes.

usage: training.py OUT.json [--device cuda]     (needs torch and torchvision: requirements.txt)

`kept`: the bytes of all tensors that autograd saves, each storage once, without parameters and buffers, by
`torch.autograd.graph.saved_tensors_hooks`. `flops`: FlopCounterMode over forward and backward. Dropout is off
on a CPU, where its mask has another type than on a GPU. On a GPU also the peak of a step with Adam.
"""
import argparse
import json
import pathlib

import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

# One image but for the batch statistics, which need more values than one.
MODELS = ["alexnet", "vgg16", "squeezenet1_1", "resnet18", "resnet50", "densenet121", "mobilenet_v2", "vit_b_16"]
BATCH = 2


def kept(model, image):
    own = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    seen = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(image)
    total = sum(seen.values())
    output.sum().backward()
    return total


def flops(model, image):
    with FlopCounterMode(display=False) as counter:
        model(image).sum().backward()
    return counter.get_total_flops()


def peak_of_a_step(model, image):
    """The most memory that a second step with Adam takes, when its states are there."""
    optimiser = torch.optim.Adam(model.parameters())
    for _ in range(3):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        optimiser.zero_grad()
        model(image).sum().backward()
        optimiser.step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    found = {}
    for name in MODELS:
        torch.manual_seed(0)
        model = getattr(torchvision.models, name)(weights=None).train().to(arguments.device)
        if arguments.device == "cpu":
            for module in model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
        image = torch.randn(BATCH, 3, 224, 224, device=arguments.device)
        found[name] = {"batch": BATCH, "kept": kept(model, image), "flops": flops(model, image)}
        if arguments.device != "cpu":
            model.zero_grad()
            torch.cuda.empty_cache()
            found[name]["peak"] = peak_of_a_step(model, image)
        print(name, found[name], flush=True)
        del model
    arguments.out.write_text(json.dumps(found, indent=1) + "\n")


main()
