"""Traces a PyTorch module with torch.fx, and prints what it calls as JSON.

Usage: trace.py MODULE:EXPRESSION INPUTS, where MODULE is a package or a file and INPUTS is a JSON list of
[shape, dtype]. Nothing is computed: the module and its inputs are on PyTorch's meta device.
"""
import contextlib
import importlib
import importlib.util
import inspect
import json
import math
import os
import sys

import torch
from torch import fx, nn
from torch.fx.node import _get_qualified_name

# Modules of PyTorch that are made of others, and modules elsewhere that are one layer.
COMPOSITE = (nn.Sequential, nn.Transformer, nn.TransformerEncoder, nn.TransformerDecoder,
             nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
LEAVES = {"StochasticDepth", "FrozenBatchNorm2d"}
DTYPES = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16", torch.float64: "f64",
          torch.int64: "i64", torch.int32: "i32", torch.uint8: "u8", torch.bool: "bool"}


def nodes_of(value):
    """The tensors in arguments or results, in order."""
    if isinstance(value, fx.Proxy):
        return [value.node.name]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [name for item in value for name in nodes_of(item)]
    return []


class Tracer(fx.Tracer):
    """Remembers in which call of which module each node was made."""

    def __init__(self):
        super().__init__()
        self.calls = []
        self.stack = []

    def is_leaf_module(self, module, path):
        if isinstance(module, COMPOSITE):
            return False
        return type(module).__module__.startswith("torch.nn") or type(module).__name__ in LEAVES

    def enter(self, module, path, inputs):
        parameters = [name for name in inspect.signature(module.forward).parameters]
        self.calls.append({
            "path": path, "class": type(module).__name__, "is_sequential": type(module) is nn.Sequential,
            "parent": self.stack[-1] if self.stack else None, "inputs": inputs, "parameters": parameters,
            "outputs": [],
        })
        self.stack.append(len(self.calls) - 1)

    def call_module(self, module, forward, args, kwargs):
        path = self.path_of_module(module)
        if self.is_leaf_module(module, path):
            return super().call_module(module, forward, args, kwargs)
        self.enter(module, path, nodes_of((args, kwargs)))
        call = self.calls[-1]
        result = super().call_module(module, forward, args, kwargs)
        self.stack.pop()
        call["outputs"] = nodes_of(result)
        return result

    def create_node(self, *args, **kwargs):
        node = super().create_node(*args, **kwargs)
        node.meta["call"] = self.stack[-1]
        return node


class Values(fx.Interpreter):
    """Runs the graph, and notes what each node gives."""

    def run_node(self, node):
        value = super().run_node(node)
        node.meta["value"] = described(value)
        return value


def described(value):
    if isinstance(value, torch.Tensor):
        return {"shape": list(value.shape), "dtype": DTYPES.get(value.dtype, str(value.dtype))}
    if isinstance(value, (tuple, list)):
        return {"items": [described(item) for item in value]}
    if isinstance(value, (bool, int, float)):
        return {"number": argument(value)}
    return {"other": str(value)[:80]}


def argument(value):
    """A value as JSON has it."""
    if isinstance(value, fx.Node):
        return {"node": value.name}
    if isinstance(value, slice):
        return {"slice": [argument(value.start), argument(value.stop), argument(value.step)]}
    if isinstance(value, (tuple, list)):
        return [argument(item) for item in value]
    if isinstance(value, dict):
        return {"items": [argument(item) for item in value.values()]}
    if isinstance(value, float) and not math.isfinite(value):
        return {"other": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return {"other": "..." if value is Ellipsis else str(value)}


def settings(module):
    """What the module was made with, by the names of its constructor's arguments."""
    given = {}
    # Recurrent layers leave their arguments to the class that they are made from.
    makers = [vars(cls)["__init__"] for cls in type(module).__mro__[:-1] if "__init__" in vars(cls)]
    names = dict.fromkeys(name for maker in makers for name in inspect.signature(maker).parameters)
    for name in names:
        if name in ("self", "device", "dtype", "args", "kwargs") or not hasattr(module, name):
            continue
        value = getattr(module, name)
        if name == "bias" and not isinstance(value, bool):
            value = value is not None
        if not isinstance(value, torch.Tensor):
            given[name] = argument(value)
    if isinstance(module, nn.MultiheadAttention):
        given["bias"] = module.in_proj_bias is not None
        given["add_bias_kv"] = module.bias_k is not None
        given = {name: value for name, value in given.items() if name not in ("kdim", "vdim")}
    return given


def tensors_of(module, prefix, canonical):
    """Parameters and buffers of a module itself; of those that are others', whose they are."""
    own = [(name, tensor, False) for name, tensor in module.named_parameters(recurse=False)]
    own += [(name, tensor, True) for name, tensor in module.named_buffers(recurse=False)
            if name not in module._non_persistent_buffers_set]
    for name, tensor, is_buffer in own:
        path = f"{prefix}.{name}" if prefix else name
        yield {"name": name, "is_buffer": is_buffer, "same_as": canonical.get(id(tensor), path)} | described(tensor)


def bound(node):
    """The arguments of a function by their names, where Python knows them."""
    try:
        call = inspect.signature(node.target).bind(*node.args, **node.kwargs)
    except (TypeError, ValueError):
        return node.args, node.kwargs
    # The tensor comes by its place.
    names = list(call.arguments)
    if not names or isinstance(call.arguments[names[0]], tuple):
        return node.args, node.kwargs
    first = call.arguments.pop(names[0])
    return (first,), dict(call.arguments)


def record(node):
    args, kwargs, target = node.args, node.kwargs, str(node.target)
    if node.op == "call_function":
        target = _get_qualified_name(node.target)
        if target.startswith(("torch.nn.functional.", "torchvision.")):
            args, kwargs = bound(node)
    return {
        "name": node.name, "op": node.op, "target": target, "call": node.meta["call"],
        "args": [argument(value) for value in args],
        "kwargs": {name: argument(value) for name, value in kwargs.items()},
        "value": node.meta.get("value"),
    }


def follow_changes(traced):
    """What is read after a change in place is the changed tensor."""
    order = {node: place for place, node in enumerate(traced.graph.nodes)}
    for node in list(traced.graph.nodes):
        in_place = node.kwargs.get("inplace") is True
        if node.op == "call_module":
            in_place = getattr(traced.get_submodule(node.target), "inplace", False) is True
        elif node.op in ("call_method", "call_function"):
            name = str(node.target) if node.op == "call_method" else node.target.__name__
            in_place = in_place or (name.endswith("_") and not name.endswith("__")) or name in ("iadd", "imul", "isub")
        if not in_place or not node.args or not isinstance(node.args[0], fx.Node):
            continue
        for user in list(node.args[0].users):
            if order[user] > order[node]:
                user.replace_input_with(node.args[0], node)


def load(source):
    """The module that `package:expression` or `file.py:expression` means."""
    end = source.find(".py:")
    place, expression = (source[:end + 3], source[end + 4:]) if end >= 0 else source.split(":", 1)
    if place.endswith(".py"):
        sys.path.insert(0, os.path.dirname(os.path.abspath(place)))
        spec = importlib.util.spec_from_file_location("imported", place)
        scope = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(scope)
    else:
        sys.path.insert(0, os.getcwd())
        scope = importlib.import_module(place)
    try:
        with torch.device("meta"):
            return made(expression, scope)
    except NotImplementedError:
        # Some constructors look at numbers, which the meta device has none of.
        return made(expression, scope)


def made(expression, scope):
    value = eval(expression, vars(scope))
    return value if isinstance(value, nn.Module) else value()


def main():
    module = load(sys.argv[1]).to("meta").eval()
    inputs = [torch.empty(shape, dtype={name: dtype for dtype, name in DTYPES.items()}[dtype], device="meta")
              for shape, dtype in json.loads(sys.argv[2])]
    tracer = Tracer()
    parameters = inspect.signature(module.forward).parameters.values()
    given = list(parameters)[:len(inputs)]
    rest = {one.name: one.default for one in list(parameters)[len(inputs):]
            if one.default is not inspect.Parameter.empty}
    tracer.enter(module, "", [one.name for one in given])
    graph = tracer.trace(module, concrete_args=rest or None)
    traced = fx.GraphModule(module, graph)
    follow_changes(traced)
    traced.graph.eliminate_dead_code()
    Values(traced).run(*inputs, *rest.values())
    canonical = {}
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        canonical.setdefault(id(tensor), name)
    modules = dict(module.named_modules(remove_duplicate=False))
    leaves, attributes = {}, {}
    for node in traced.graph.nodes:
        if node.op == "call_module":
            leaf = modules[node.target]
            leaves[node.target] = {
                "class": type(leaf).__name__, "settings": settings(leaf),
                "tensors": list(tensors_of(leaf, node.target, canonical)),
            }
        if node.op == "get_attr":
            owner, _, name = node.target.rpartition(".")
            found = [one for one in tensors_of(modules.get(owner, module), owner, canonical) if one["name"] == name]
            attributes[node.target] = found[0] if found else None
    return json.dumps({
        "torch": torch.__version__, "calls": tracer.calls,
        "nodes": [record(node) for node in traced.graph.nodes if "_assert" not in str(node.target)],
        "leaves": leaves, "attributes": attributes,
        "state": {name: described(tensor) for name, tensor in module.state_dict().items()},
    })


# What the module prints while it is made and traced is no result.
with contextlib.redirect_stdout(sys.stderr):
    result = main()
print(result)
