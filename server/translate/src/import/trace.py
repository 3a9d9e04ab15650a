"""Traces a PyTorch module with torch.fx, and prints what it calls as JSON.

Usage: trace.py MODULE:EXPRESSION INPUTS [OTHERS], where MODULE is a package or a file and INPUTS is a JSON list of
[shape, dtype]. OTHERS is a list of {"set": [NAME, SIZE], "inputs": INPUTS}: sizes at which the module is run besides. Nothing is
computed: the module and its inputs are on PyTorch's meta device.
"""
import builtins
import contextlib
import dataclasses
import importlib
import importlib.util
import inspect
import json
import math
import operator
import os
import sys
import traceback

try:
    import torch
except ImportError:
    print(json.dumps({"error": "it has no PyTorch; `--python` says which one has"}))
    sys.exit()
from torch import fx, nn
from torch.fx.node import _get_qualified_name

# Modules of PyTorch that are made of others, and modules elsewhere that are one layer.
COMPOSITE = (nn.Sequential, nn.Transformer, nn.TransformerEncoder, nn.TransformerDecoder,
             nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
LEAVES = {"StochasticDepth", "FrozenBatchNorm2d"}
DTYPES = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16", torch.float64: "f64",
          torch.int64: "i64", torch.int32: "i32", torch.int16: "i16", torch.int8: "i8", torch.uint8: "u8",
          torch.bool: "bool"}
# Arguments of functions that are no Python and do not tell their names.
CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
BY_PLACE = {
    "conv1d": CONVOLUTION, "conv2d": CONVOLUTION, "conv3d": CONVOLUTION, "conv_transpose1d": TRANSPOSED,
    "conv_transpose2d": TRANSPOSED, "conv_transpose3d": TRANSPOSED, "linear": ("input", "weight", "bias"),
    "prelu": ("input", "weight"),
    "scaled_dot_product_attention": ("query", "key", "value", "attn_mask", "dropout_p", "is_causal"),
}


def encoder_layer(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
    """What nn.TransformerEncoderLayer does where it takes no shortcut, which depends on more than shapes."""
    if self.norm_first:
        src = src + self._sa_block(self.norm1(src), src_mask, src_key_padding_mask, is_causal=is_causal)
        return src + self._ff_block(self.norm2(src))
    src = self.norm1(src + self._sa_block(src, src_mask, src_key_padding_mask, is_causal=is_causal))
    return self.norm2(src + self._ff_block(src))


def encoder(self, src, mask=None, src_key_padding_mask=None, is_causal=None):
    for layer in self.layers:
        src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask)
    return src if self.norm is None else self.norm(src)


def decoder(self, tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None,
            memory_key_padding_mask=None, tgt_is_causal=None, memory_is_causal=False):
    for layer in self.layers:
        tgt = layer(tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask,
                    tgt_key_padding_mask=tgt_key_padding_mask, memory_key_padding_mask=memory_key_padding_mask)
    return tgt if self.norm is None else self.norm(tgt)


def transformer(self, src, tgt, src_mask=None, tgt_mask=None, memory_mask=None, src_key_padding_mask=None,
                tgt_key_padding_mask=None, memory_key_padding_mask=None, src_is_causal=None, tgt_is_causal=None,
                memory_is_causal=False):
    memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask)
    return self.decoder(tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask,
                        tgt_key_padding_mask=tgt_key_padding_mask,
                        memory_key_padding_mask=memory_key_padding_mask)


nn.TransformerEncoderLayer.forward, nn.TransformerEncoder.forward = encoder_layer, encoder
nn.TransformerDecoder.forward, nn.Transformer.forward = decoder, transformer


def nodes_of(value):
    """The tensors in arguments or results, in order."""
    if isinstance(value, fx.Proxy):
        return [value.node.name]
    value = listed(value)
    if isinstance(value, (tuple, list)):
        return [name for item in value for name in nodes_of(item)]
    return []


def listed(value):
    """The values of a dictionary or a dataclass, in order; anything else as it is."""
    if isinstance(value, dict):
        return list(value.values())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return value


def computes_weights(module):
    """Its weights are computed when it is called: weight norm, spectral norm, and other parametrisations."""
    hooks = [type(hook).__name__ for hook in module._forward_pre_hooks.values()]
    return torch.nn.utils.parametrize.is_parametrized(module) or "WeightNorm" in hooks or "SpectralNorm" in hooks


def layer_class(module):
    """The class of PyTorch that a module is; a subclass that runs as it does is the same. None if it is no layer."""
    own = type(module)
    if computes_weights(module):
        return None
    base = next(cls for cls in own.__mro__ if cls.__module__.startswith("torch.nn.modules."))
    if own.__name__ in LEAVES:
        return own
    is_layer = base is not nn.Module and not issubclass(base, COMPOSITE)
    return base if is_layer and own.forward is base.forward else None


# Where PyTorch lies.
TORCH = os.path.dirname(torch.__file__) + os.sep
# What a tensor is whatever flows in.
SETTLED = ("dtype", "device", "layout", "ndim", "is_nested", "is_sparse", "is_cuda", "requires_grad", "training")
# Functions that make tensors of sizes; they do not see that a size is traced.
CREATORS = ("arange", "empty", "eye", "full", "ones", "rand", "randn", "zeros")


def weight_norm(v, g, dim=0):
    """What PyTorch computes in one kernel."""
    # Over everything the dimension is said to be -1.
    others = [one for one in range(v.ndim) if one != dim]
    return v * (g / (v ** 2).sum(others, keepdim=True).sqrt())


@contextlib.contextmanager
def written_out():
    """Has weight norm done by functions that have names elsewhere."""
    holders = [torch, *(module for name, module in sys.modules.items() if name == "torch.nn.utils.weight_norm")]
    own = [holder._weight_norm for holder in holders]
    try:
        for holder in holders:
            holder._weight_norm = weight_norm
        yield
    finally:
        for holder, function in zip(holders, own):
            holder._weight_norm = function


@contextlib.contextmanager
def traced_creators():
    """Has functions that make tensors take sizes that are traced."""
    def of(function):
        def create(*args, **kwargs):
            values = []
            fx.node.map_aggregate((args, kwargs), lambda one: values.append(one) if isinstance(one, Value) else None)
            if not values:
                return function(*args, **kwargs)
            return values[0].tracer.create_proxy("call_function", function, args, kwargs)
        return create
    own = {name: getattr(torch, name) for name in CREATORS}
    try:
        for name, function in own.items():
            setattr(torch, name, of(function))
        yield
    finally:
        for name, function in own.items():
            setattr(torch, name, function)


@contextlib.contextmanager
def traced_lengths():
    """Has `len(x)` be the first size of a tensor, which follows it."""
    own = builtins.len

    def length(value):
        if not issubclass(type(value), Value) or value.tracer.computes:
            return own(value)
        is_tensor = isinstance(value.node.meta.get("known"), torch.Tensor)
        return value.size(0) if is_tensor else own(value.known())
    try:
        builtins.len = length
        yield
    finally:
        builtins.len = own


def place_of(frames):
    """The last of the frames that is in no library, as file:line."""
    libraries = (TORCH, os.path.dirname(os.__file__))
    own = [frame for frame in frames if not frame.filename.startswith(libraries) and os.path.exists(frame.filename)]
    return f"{os.path.relpath(own[-1].filename)}:{own[-1].lineno}" if own else None


class Value(fx.Proxy):
    """What flows in a graph, of which shapes and sizes are known: `if`, `len` and loops may ask for them."""

    def known(self):
        value = self.node.meta.get("known")
        if value is None or isinstance(value, torch.Tensor):
            raise fx.proxy.TraceError("a tensor's numbers are not known while it is traced")
        return value

    @property
    def __class__(self):
        # `isinstance(x, torch.Tensor)` holds in a model that is traced. PyTorch itself would take it for one.
        asks = sys._getframe(1).f_code
        is_own = not asks.co_filename.startswith(TORCH) or asks.co_name == "is_tensor"
        is_tensor = is_own and isinstance(self.node.meta.get("known"), torch.Tensor)
        return torch.Tensor if is_tensor else type(self)

    def __getattr__(self, name):
        if name == "node":
            raise AttributeError(name)
        known = self.node.meta.get("known")
        if isinstance(known, torch.Tensor):
            if name in SETTLED:
                return getattr(known, name)
            if not callable(getattr(known, name, len)):
                return self.tracer.create_proxy("call_function", getattr, (self, name), {})
        return super().__getattr__(name)

    def __len__(self):
        value = self.node.meta.get("known")
        return value.shape[0] if isinstance(value, torch.Tensor) else len(self.known())

    def settle(self):
        """A number that is fixed from here on; its place is told."""
        place = place_of(traceback.extract_stack())
        if place:
            self.tracer.settled[place] = None
        return self.known()

    def __index__(self):
        return operator.index(self.settle())

    def __int__(self):
        return int(self.settle())

    def __float__(self):
        return float(self.settle())

    def __contains__(self, item):
        return item in self.known()

    def __setitem__(self, index, value):
        self.tracer.create_proxy("call_function", operator.setitem, (self, index, value), {})


def run(root, node, args, kwargs):
    """What a node gives, without numbers: all is on the meta device, and what a device is does not matter."""
    elsewhere = []

    def on_meta(value):
        if not isinstance(value, torch.Tensor) or value.is_meta:
            return value
        elsewhere.append(value)
        return value.to("meta")

    moved = fx.node.map_aggregate((args, kwargs), on_meta)
    # A pair with names, as `max` gives it, is none any more once it is mapped.
    args, kwargs = moved if elsewhere else (args, kwargs)
    if node.op == "call_module":
        return root.get_submodule(node.target)(*args, **kwargs)
    if node.op == "call_method":
        if node.target in ("to", "cpu", "cuda") and isinstance(args[0], torch.Tensor):
            dtypes = [one for one in (*args[1:], *kwargs.values()) if isinstance(one, torch.dtype)]
            others = [one.dtype for one in args[1:] if isinstance(one, torch.Tensor)]
            return args[0].to([*dtypes, *others, args[0].dtype][0])
        return getattr(args[0], node.target)(*args[1:], **kwargs)
    return node.target(*args, **kwargs)


class Tracer(fx.Tracer):
    """Remembers in which call of which module each node was made, and computes shapes as it goes."""

    def __init__(self, given, values, proxies_buffers):
        super().__init__()
        # The arguments of `forward` that are given, and their values.
        self.given, self.values = given, list(values)
        self.proxy_buffer_attributes = proxies_buffers
        self.calls = []
        self.stack = []
        # Where numbers are made of sizes.
        self.settled = {}
        # Where conditions ask for sizes, and the nodes that are asked.
        self.asked = []
        # What is computed is not traced.
        self.computes = False

    def proxy(self, node):
        return Value(node, self)

    def create_arg(self, value):
        # It says that it is a tensor.
        if issubclass(type(value), fx.Proxy):
            return value.node
        # A dictionary stays one, and `listed` gives its values later.
        return super().create_arg(value if isinstance(value, dict) else listed(value))

    def to_bool(self, value):
        place = place_of(traceback.extract_stack())
        if place:
            self.asked.append((place, value.node))
        return bool(value.known())

    def iter(self, value):
        return iter([value[index] for index in range(len(value))])

    def create_proxy(self, kind, target, args, kwargs, *more, **named):
        proxy = super().create_proxy(kind, target, args, kwargs, *more, **named)
        self.computes = True
        try:
            proxy.node.meta["known"] = self.compute(proxy.node)
        finally:
            self.computes = False
        return proxy

    def compute(self, node):
        """What a node gives: on the meta device, so without numbers."""
        if node.op == "placeholder":
            return self.values.pop(0)
        if node.op == "output":
            return None
        if node.op == "get_attr":
            return operator.attrgetter(node.target)(self.root)
        args, kwargs = (fx.node.map_arg(value, self.known) for value in (node.args, node.kwargs))
        return run(self.root, node, args, kwargs)

    def create_args_for_root(self, root_fn, is_module, concrete_args=None):
        """What is given alone; other arguments of `forward` keep their defaults."""
        given = [self.create_proxy("placeholder", name, (), {}) for name in self.given]
        names = inspect.signature(self.root.forward).parameters
        is_named = [names[name].kind is inspect.Parameter.KEYWORD_ONLY if name in names else False for name in self.given]
        by_place = [one for one, named in zip(given, is_named) if not named]
        by_name = {name: one for name, one, named in zip(self.given, given, is_named) if named}
        return lambda root, *args: root_fn(root, *args, **by_name), [self.root, *by_place]

    def known(self, node):
        # Constants become attributes on the way.
        is_new = node.op == "get_attr" and "known" not in node.meta
        return operator.attrgetter(node.target)(self.root) if is_new else node.meta.get("known")

    def getattr(self, name, value, cache):
        return value if self.computes else super().getattr(name, value, cache)

    def is_leaf_module(self, module, path):
        return layer_class(module) is not None

    def enter(self, module, path, inputs):
        parameters = [name for name in inspect.signature(module.forward).parameters]
        self.calls.append({
            "path": path, "class": type(module).__name__, "is_sequential": type(module) is nn.Sequential,
            "parent": self.stack[-1] if self.stack else None, "inputs": inputs, "parameters": parameters,
            "outputs": [],
        })
        self.stack.append(len(self.calls) - 1)

    def call_module(self, module, forward, args, kwargs):
        if self.computes:
            return forward(*args, **kwargs)
        try:
            path = self.path_of_module(module)
        except NameError:
            if any(True for _ in module.parameters(recurse=False)):
                kind, place = type(module).__name__, place_of(traceback.extract_stack())
                raise Refused(f"the `{kind}` that is called at {place} is no attribute of a module, so that `state_dict` "
                              "has none of its parameters: `nn.ModuleList` holds modules, a list does not") from None
            # A part of a `Sequential` is made where it is called; its modules have their paths.
            return forward(*args, **kwargs)
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
        if node.op in ("call_module", "call_method", "call_function"):
            value = run(self.module, node, *self.fetch_args_kwargs_from_env(node))
        else:
            value = super().run_node(node)
        node.meta["value"] = described(value)
        return value


def described(value):
    value = listed(value)
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
    makers = [vars(cls)["__init__"] for cls in layer_class(module).__mro__[:-1] if "__init__" in vars(cls)]
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
    """The arguments of a function by their names, where they are known."""
    names = BY_PLACE.get(getattr(node.target, "__name__", ""))
    if names is not None:
        return node.args[:1], dict(zip(names[1:], node.args[1:])) | dict(node.kwargs)
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
        if target.startswith(("torch.nn.functional.", "torchvision.")) or node.target.__name__ in BY_PLACE:
            args, kwargs = bound(node)
    return {
        "name": node.name, "op": node.op, "target": target, "call": node.meta["call"],
        "args": [argument(value) for value in args],
        "kwargs": {name: argument(value) for name, value in kwargs.items()},
        "value": node.meta.get("value"),
    }


CHANGES = ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul", "iand", "ior")


def follow_changes(traced):
    """What is read after a change in place is the changed tensor."""
    order = {node: place for place, node in enumerate(traced.graph.nodes)}
    for node in list(traced.graph.nodes):
        in_place = node.kwargs.get("inplace") is True
        if node.op == "call_module":
            in_place = getattr(traced.get_submodule(node.target), "inplace", False) is True
        elif node.op in ("call_method", "call_function"):
            name = str(node.target) if node.op == "call_method" else node.target.__name__
            in_place = in_place or (name.endswith("_") and not name.endswith("__")) or name in CHANGES
        if not in_place or not node.args or not isinstance(node.args[0], fx.Node):
            continue
        for user in list(node.args[0].users):
            if order[user] > order[node]:
                user.replace_input_with(node.args[0], node)


def index_unbound(traced):
    """What `unbind` gives is an index each."""
    for node in list(traced.graph.nodes):
        name = node.target if node.op == "call_method" else getattr(node.target, "__name__", "")
        if node.op not in ("call_method", "call_function") or name != "unbind":
            continue
        dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
        every = slice(None)
        for user in list(node.users):
            if user.target is not operator.getitem or not isinstance(user.args[1], int):
                continue
            place = (every,) * dim + (user.args[1],) if dim >= 0 else (..., user.args[1]) + (every,) * (-dim - 1)
            with traced.graph.inserting_before(user):
                index = traced.graph.call_function(operator.getitem, (node.args[0], place))
            index.meta["call"] = user.meta["call"]
            user.replace_all_uses_with(index)


def index_parts(traced):
    """`select` and `narrow` are indices."""
    for node in list(traced.graph.nodes):
        name = node.target if node.op == "call_method" else getattr(node.target, "__name__", "")
        is_part = node.op in ("call_method", "call_function") and name in ("select", "narrow")
        if not is_part or node.kwargs or not all(isinstance(one, int) for one in node.args[1:]):
            continue
        dim, start = node.args[1:3]
        place = start if name == "select" else slice(start, start + node.args[3])
        every = slice(None)
        places = (every,) * dim + (place,) if dim >= 0 else (..., place) + (every,) * (-dim - 1)
        with traced.graph.inserting_before(node):
            index = traced.graph.call_function(operator.getitem, (node.args[0], places))
        index.meta["call"] = node.meta["call"]
        node.replace_all_uses_with(index)


def name_extremes(traced):
    """`max` and `min` along a dimension are two functions: the values, and their places."""
    functions = {"max": ("amax", "argmax"), "min": ("amin", "argmin")}
    for node in list(traced.graph.nodes):
        name = node.target if node.op == "call_method" else getattr(node.target, "__name__", "")
        if node.op not in ("call_method", "call_function") or name not in functions:
            continue
        arguments = list(zip(("dim", "keepdim"), node.args[1:])) + list(node.kwargs.items())
        arguments = dict(arguments)
        if not isinstance(arguments.get("dim"), int) or not set(arguments) <= {"dim", "keepdim"}:
            continue
        for user in list(node.users):
            place = user.args[1] if user.target in (operator.getitem, getattr) and len(user.args) > 1 else None
            place = {"values": 0, "indices": 1}.get(place, place)
            if place not in (0, 1):
                continue
            with traced.graph.inserting_before(user):
                one = traced.graph.call_method(functions[name][place], (node.args[0],), arguments)
            one.meta["call"] = user.meta["call"]
            user.replace_all_uses_with(one)


def read_where_it_lies(traced, calls):
    """A parameter is read in each call of the module that has it, not in the first one alone."""
    for node in [node for node in traced.graph.nodes if node.op == "get_attr"]:
        for user in list(node.users):
            call = user.meta.get("call")
            path = calls[call]["path"] if call is not None else None
            if path is None or call == node.meta["call"] or not node.target.startswith(f"{path}." if path else ""):
                continue
            with traced.graph.inserting_before(user):
                own = traced.graph.get_attr(node.target)
            own.meta["call"] = call
            user.replace_input_with(node, own)


class Refused(Exception):
    """What is told as it stands."""


def load(source):
    """The module that `package:expression` or `file.py:expression` means."""
    if ":" not in source:
        raise Refused("the module is like `torchvision.models:resnet18` or `my_file.py:Net(10)`")
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
    except (NotImplementedError, RuntimeError):
        # Some constructors look at numbers, which the meta device has none of.
        return made(expression, scope)


def made(expression, scope):
    value = eval(expression, vars(scope))
    if not isinstance(value, nn.Module) and callable(value):
        value = value()
    if not isinstance(value, nn.Module):
        raise Refused(f"`{expression}` is a {type(value).__name__}, no nn.Module")
    return value


def made_input(shape, dtype):
    known = {name: dtype for dtype, name in DTYPES.items()}
    if dtype not in known:
        raise Refused(f"an input cannot be {dtype} in PyTorch")
    return torch.empty(shape, dtype=known[dtype], device="meta")


def given_arguments(module, inputs):
    """The names of the arguments of `forward` that are given: by their places, then by their names."""
    parameters = list(inspect.signature(module.forward).parameters.values())
    lists = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = [one for one in parameters if one.kind not in lists]
    named.sort(key=lambda one: one.kind is one.KEYWORD_ONLY)
    names = [one.name for one in named]
    if len(inputs) > len(named):
        if not any(one.kind is one.VAR_POSITIONAL for one in parameters):
            raise Refused(f"`forward` takes {', '.join(names)}: {len(inputs)} inputs are too many")
        names += [f"args_{index}" for index in range(len(named), len(inputs))]
    missing = [one.name for one in named[len(inputs):] if one.default is one.empty]
    if missing:
        raise Refused(f"`forward` takes {', '.join(names)}: `--input` is missing for {', '.join(missing)}")
    return names[:len(inputs)]


# Functions that do products.
PRODUCTS = ("matmul", "bmm", "mm", "mv", "addmm", "baddbmm", "einsum", "linear", "bilinear", "conv1d", "conv2d", "conv3d",
            "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "scaled_dot_product_attention")


def is_kept(node):
    """What is run all the same if nobody uses its value."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    is_product = node.op in ("call_function", "call_method") and name.strip("_") in PRODUCTS
    return is_product or node.op in ("placeholder", "output", "call_module")


def asked_of_sizes(traced, asked, inputs, others):
    """The places of conditions on what is another number at other sizes."""
    if not asked:
        return []

    def numbers():
        return {node: [one.meta.get("value") for one in node.all_input_nodes] for _, node in asked}
    with torch.device("meta"):
        Values(traced).run(*inputs)
        shown, vary = numbers(), set()
        for one in others:
            try:
                Values(traced).run(*one)
            except Exception:
                # How far it came is not known.
                vary.update(shown)
            vary.update(node for node, there in numbers().items() if there != shown[node])
    return list(dict.fromkeys(place for place, node in asked if node in vary))


def trace(module, inputs, others, proxies_buffers):
    """The tracer, and the traced module with the values of its nodes."""
    given = given_arguments(module, inputs)
    tracer = Tracer(given, inputs, proxies_buffers)
    tracer.enter(module, "", given)
    # Tensors that are made on the way are no numbers either.
    with traced_creators(), traced_lengths(), written_out(), torch.device("meta"):
        traced = fx.GraphModule(module, tracer.trace(module))
    tracer.asked = asked_of_sizes(traced, tracer.asked, inputs, others)
    follow_changes(traced)
    index_unbound(traced)
    index_parts(traced)
    name_extremes(traced)
    read_where_it_lies(traced, tracer.calls)
    traced.graph.eliminate_dead_code(is_kept)
    with torch.device("meta"):
        Values(traced).run(*inputs)
    return tracer, traced


def work(function):
    """The FLOPs that a function does, and what it gives."""
    # Older releases of PyTorch have neither.
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode
    with torch.device("meta"), FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        outputs = function()
    return counter.get_total_flops(), described(outputs)


def called(module, given, inputs):
    """What a run of the module gives."""
    by_place = [one for name, one in zip(given, inputs) if not is_keyword_only(module, name)]
    by_name = {name: one for name, one in zip(given, inputs) if is_keyword_only(module, name)}
    return module(*by_place, **by_name)


def run_elsewhere(module, given, others):
    """What the module does at other sizes; where it refuses them, why."""
    found = []
    for size, inputs in others:
        try:
            done = {"run": as_run(module, *work(lambda: called(module, given, inputs)))}
        except Exception as error:
            done = {"error": str(error).strip().split("\n")[0] or type(error).__name__}
        found.append({"set": size} | done)
    return found


def as_run(module, flops, outputs):
    # Recurrent layers are other kernels elsewhere.
    is_recurrent = any(isinstance(one, nn.RNNBase) for one in module.modules())
    return {"flops": None if is_recurrent else flops, "outputs": outputs}


def compare_with_run(module, given, inputs, traced):
    """A condition may ask what a trace answers otherwise than a run: both must do the same work and give the same.
    What a run decides by numbers has none here, so it says no more. What the run does, if that is known."""
    try:
        run_work = work(lambda: called(module, given, inputs))
    except Exception:
        return None
    traced_work = work(lambda: Values(traced).run(*inputs))
    if run_work != traced_work:
        raise Refused(
            f"run, it does {run_work[0]} FLOPs and gives {run_work[1]}; traced, {traced_work[0]} and {traced_work[1]}: a "
            "condition in `forward` asks for what only a run has, such as `type(x)`")
    return as_run(module, *run_work)


def is_keyword_only(module, name):
    found = inspect.signature(module.forward).parameters.get(name)
    return found is not None and found.kind is found.KEYWORD_ONLY


def first_that_works(module, inputs, others):
    """Traces into functions that are not meant to be, then not; with buffers that flow in, then with their
    numbers, which a module may decide by. With what a run does."""
    wrapped = dict(fx._symbolic_trace._wrapped_fns_to_patch)
    first = None
    for is_whole, proxies_buffers in ((True, True), (False, True), (False, False)):
        fx._symbolic_trace._wrapped_fns_to_patch.clear()
        if not is_whole:
            fx._symbolic_trace._wrapped_fns_to_patch.update(wrapped)
        try:
            tracer, traced = trace(module, inputs, others, proxies_buffers)
            return tracer, traced, compare_with_run(module, tracer.given, inputs, traced)
        except Refused:
            raise
        except Exception as error:
            first = first or error
    raise first


def first_owners(module, modules, traced):
    """The path of each parameter and buffer where it is read first."""
    owners = {}
    for node in traced.graph.nodes:
        if node.op == "call_module":
            leaf = modules[node.target]
            for name, tensor in [*leaf.named_parameters(), *leaf.named_buffers()]:
                owners.setdefault(id(tensor), f"{node.target}.{name}")
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        owners.setdefault(id(tensor), name)
    return owners


def named_again(module, modules, state):
    """Modules that have another name before, which their parameters have here; not the modules in them."""
    first_names = {id(one): path for path, one in module.named_modules()}
    again = []
    for path, one in modules.items():
        first = first_names[id(one)]
        if first != path and not any(path.startswith(f"{outer['path']}.") for outer in again):
            again.append({"path": path, "same_as": first, "tensors": sum(name.startswith(f"{path}.") for name in state)})
    return again


def main():
    module = load(sys.argv[1]).to("meta").eval()
    inputs = [made_input(shape, dtype) for shape, dtype in json.loads(sys.argv[2])]
    others = json.loads(sys.argv[3]) if len(sys.argv) > 3 else []
    others = [(one["set"], [made_input(shape, dtype) for shape, dtype in one["inputs"]]) for one in others]
    tracer, traced, run_work = first_that_works(module, inputs, [there for _, there in others])
    modules = dict(module.named_modules(remove_duplicate=False))
    canonical = first_owners(module, modules, traced)
    state = {name: described(tensor) for name, tensor in module.state_dict().items()}
    again = named_again(module, modules, state)
    leaves, attributes = {}, {}
    for node in traced.graph.nodes:
        if node.op == "call_module":
            leaf = modules[node.target]
            leaves[node.target] = {
                "class": layer_class(leaf).__name__, "settings": settings(leaf),
                "tensors": list(tensors_of(leaf, node.target, canonical)),
            }
        if node.op == "get_attr":
            owner, _, name = node.target.rpartition(".")
            found = [one for one in tensors_of(modules.get(owner, module), owner, canonical) if one["name"] == name]
            attributes[node.target] = found[0] if found else None
    return json.dumps({
        "torch": torch.__version__, "calls": tracer.calls, "settled": list(tracer.settled),
        "asked": tracer.asked,
        "elsewhere": run_elsewhere(module, tracer.given, others if run_work else []),
        "nodes": [record(node) for node in traced.graph.nodes if "_assert" not in str(node.target)],
        "leaves": leaves, "attributes": attributes, "run": run_work,
        "again": again,
        "state": {name: tensor for name, tensor in state.items()
                  if not any(name.startswith(f"{one['path']}.") for one in again)},
    })


def told(error):
    """An error with the last place that is neither PyTorch's nor here."""
    if isinstance(error, Refused):
        return str(error)
    place = place_of(traceback.extract_tb(error.__traceback__))
    place = f" at {place}" if place else ""
    message = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, fx.proxy.TraceError):
        return f"its steps depend on a tensor's numbers{place}, which torch.fx cannot trace: {message}"
    return f"{type(error).__name__}{place}: {message}"


# What the module prints while it is made and traced is no result.
with contextlib.redirect_stdout(sys.stderr):
    try:
        result = main()
    except Exception as error:
        result = json.dumps({"error": told(error)})
print(result)
