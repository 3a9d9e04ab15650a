#!/usr/bin/env python3
"""Takes from the tables of transformers what this test compares: for each config the tensors that
are saved and the FLOPs of every module's matrix products (FlopCounterMode).

usage: extract.py FOLDER   (with hf/NAME/{config,tensors,info,flops_by_module_seq128}.json, as
                            tests/architectures/tables.py and the project's golden tables have them)

Equal numbered neighbours are one entry: `layers.0-31.norm.weight`.
"""
import json
import pathlib
import sys

SOURCE = pathlib.Path(sys.argv[1]) / "hf"
TARGET = pathlib.Path(__file__).parent / "tables"
# A config may be longer than what matters of it.
DROPPED = ("label2id", "task_specific_params", "_num_labels")


def config(values):
    """Of the labels their number."""
    kept = {name: value for name, value in values.items() if name not in DROPPED}
    if "id2label" in kept:
        kept["num_labels"] = len(kept.pop("id2label"))
    return kept


def tree(flat):
    root = {}
    for name, value in flat.items():
        node = root
        for segment in name.split(".") if name else []:
            node = node.setdefault(segment, {})
        node[""] = value
    return root


def key(name):
    return (0, int(name), "") if name.isdigit() else (1, 0, name)


def collapsed(node, prefix=""):
    """The entries below a node, equal numbered neighbours as one."""
    if "" in node:
        yield prefix, node[""]
    names = sorted((name for name in node if name), key=key)
    at = 0
    while at < len(names):
        first = last = names[at]
        while (
            at + 1 < len(names) and last.isdigit() and names[at + 1] == str(int(last) + 1)
            and node[names[at + 1]] == node[first]
        ):
            at += 1
            last = names[at]
        at += 1
        name = first if first == last else f"{first}-{last}"
        yield from collapsed(node[first], f"{prefix}.{name}" if prefix else name)


for folder in sorted(SOURCE.iterdir()):
    read = lambda name: json.loads((folder / name).read_text())
    info = read("info.json")
    table = {
        "source": info.get("source") or f"transformers {info['transformers']}, torch {info['torch']}",
        "inputs": info["flops"]["seq128"]["inputs"],
        "params": info["total_params_unique"],
        "flops": info["flops"]["seq128"]["flops"],
        "config": config(read("config.json")),
        "tensors": dict(collapsed(tree(read("tensors.json")))),
        "flops_by_module": dict(collapsed(tree(read("flops_by_module_seq128.json")))),
    }
    lines = json.dumps(table, indent=1).replace("\n   ", " ").replace("\n  ]", "]").replace("\n  }", "}")
    (TARGET / f"{folder.name}.json").write_text(lines + "\n")
