#!/usr/bin/env python3
"""Makes tables of torchvision's classification models on the meta device, in the form that
extract.py reads.

usage: pip install torch==2.9.1 torchvision==0.24.1; torchvision_tables.py FOLDER; extract.py FOLDER
"""
import json
import pathlib
import sys

import torch
import torchvision
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

TARGET = pathlib.Path(sys.argv[1]) / "hf"
DTYPES = {torch.float32: "F32", torch.int64: "I64"}
# The auxiliary classifiers only train.
WITHOUT_HEADS = {"googlenet": dict(aux_logits=False, init_weights=False),
                 "inception_v3": dict(aux_logits=False, init_weights=False)}
SIDES = {"inception_v3": 299, "swin_v2_t": 256, "swin_v2_s": 256, "swin_v2_b": 256}


def make(name):
    # A RegNet computes its widths with tensors, which have no values on the meta device.
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        model = torchvision.models.get_model(name, **WITHOUT_HEADS.get(name, {})).eval().to("meta")
    shape = [1, 3, SIDES.get(name, 224), SIDES.get(name, 224)]
    torch.backends.mha.set_fastpath_enabled(False)
    counted = FlopCounterMode(display=False)
    with counted, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model(torch.ones(shape, device="meta"))
    modules = {}
    for module, operators in counted.get_flop_counts().items():
        path = "" if module == "Global" else module.split(".", 1)[1] if "." in module else None
        if path is not None and sum(operators.values()):
            modules[path] = sum(operators.values())
    folder = TARGET / name
    folder.mkdir(parents=True, exist_ok=True)
    write = lambda file, value: (folder / file).write_text(json.dumps(value))
    write("config.json", {"architectures": [name]})
    write("tensors.json", {key: [DTYPES[value.dtype], list(value.shape)] for key, value in model.state_dict().items()})
    params = sum(tensor.numel() for tensor in model.parameters())
    write("info.json", {
        "source": f"torchvision {torchvision.__version__}, torch {torch.__version__}",
        "total_params_unique": params,
        "flops": {"seq128": {"inputs": {"image": shape}, "flops": counted.get_total_flops()}},
    })
    write("flops_by_module_seq128.json", modules)
    print(name, params, counted.get_total_flops(), flush=True)


for name in torchvision.models.list_models(module=torchvision.models):
    if len(sys.argv) < 3 or name in sys.argv[2:]:
        make(name)
