"""Checks `taper export --to pytorch` against PyTorch, with the binary that is given.

Every model of examples/ and every architecture of the library: the module has the parameters and buffers that `taper summary` lists, by name,
shape and dtype, and gives outputs of its shapes, at the sizes shown and at others (nothing is allocated:
PyTorch's meta device). Every fixture of tests/numeric: the module loads the weights and gives the outputs
that the original module gave. Every module and every function of the tables in tests: the same outputs as
PyTorch's own. Structures in which a name could stand for two things: the outputs of what is written here.

With `quick` the models are those of examples/ without the largest, which is what runs before a change lands.
"""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

TAPER = sys.argv[1]
QUICK = sys.argv[2:] == ["quick"]
# Thousands of tensors take minutes.
LARGE = ["deepseek_v3"]
FIXTURES = Path("tests/numeric")
DTYPES = {
    "f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64,
    "i64": torch.int64, "i32": torch.int32, "u8": torch.uint8, "bool": torch.bool,
}
# The largest difference that is allowed, as a share of the largest value.
TOLERANCE = 1e-4


def taper(command, file, model, *arguments, settings=()):
    chosen = [f"--set={name}={value}" for name, value in dict(settings).items()]
    line = [TAPER, command, str(file), "--model", model, *arguments, *chosen]
    # A summary fails where the file expects other numbers, which it does of other sizes.
    done = subprocess.run(line, capture_output=True, text=True)
    if not done.stdout:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


def exported(file, model, *arguments, settings=()):
    text = taper("export", file, model, "--to=pytorch", *arguments, settings=settings)
    scope = {"__name__": "exported"}
    exec(compile(text, f"{file} {model}", "exec"), scope)
    return text, scope[model]


def summary(file, model, settings=()):
    return json.loads(taper("summary", file, model, "--format=json", settings=settings))


def differences(module, expected):
    """What differs between the module's tensors and those that Taper lists."""
    theirs = {}
    for layer in expected["layers"]:
        for tensor in layer["tensors"] + layer["buffers"]:
            theirs[tensor["name"]] = (tuple(tensor["shape"]), DTYPES[tensor["dtype"]])
    tensors = [*module.named_parameters(), *module.named_buffers()]
    ours = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors}
    names = sorted(ours.keys() | theirs.keys())
    return [f"{name}: {ours.get(name)}, not {theirs.get(name)}" for name in names
            if ours.get(name) != theirs.get(name)]


def shapes(module, expected):
    """The shapes of the outputs, without computing them."""
    inputs = [torch.empty(input["shape"], dtype=DTYPES[input["dtype"]], device="meta")
              for input in expected["inputs"]]
    outputs = module(*inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return [list(output.shape) for output in outputs]


def check_model(file, model):
    """What is wrong, and the number of tensors and of sizes compared."""
    text, made = exported(file, model)
    expected = summary(file, model)
    with torch.device("meta"):
        module = made().eval()
    wrong = differences(module, expected)
    free = re.search(r"Sizes that may be any[^:]*: ([^.]*)\.", text.replace("\n", " "))
    free = free.group(1).split(", ") if free else []
    runs = [{}] + [{name: expected["symbols"][name] * 2} for name in free]
    runs.append({name: expected["symbols"][name] * 2 for name in free})
    tensors = sum(len(layer["tensors"]) + len(layer["buffers"]) for layer in expected["layers"])
    # Hundreds of experts take minutes.
    runs = runs[:1] if tensors > 5000 else runs
    compared = 0
    for settings in runs:
        run = summary(file, model, settings)
        if run["symbols"] != expected["symbols"] | settings:
            continue
        theirs = [output["shape"] for output in run["outputs"]]
        ours = shapes(module, run)
        compared += 1
        if ours != theirs:
            wrong.append(f"at {settings}: outputs {ours}, not {theirs}")
    return wrong, tensors, compared


def case_inputs(io, case, name):
    def get(key):
        return io.get(f"case{case}.{key}")

    ids = get("input_ids")
    if ids is None:
        return [get("input0")]
    inputs = [ids]
    if name.startswith("tiny_bert"):
        mask, kinds = get("attention_mask"), get("token_type_ids")
        inputs.append(torch.ones_like(ids) if mask is None else mask)
        inputs.append(torch.zeros_like(ids) if kinds is None else kinds)
    more = (get("decoder_input_ids"), get("pixel_values"))
    return inputs + [tensor for tensor in more if tensor is not None]


def check_fixture(fixture):
    """The largest difference, and the number of cases."""
    name, model = fixture["name"], fixture["model"]
    folder = FIXTURES / "fixtures" / name
    file = fixture.get("file", folder / "config.json")
    io = load_file(folder / "io.safetensors")
    largest, case = 0.0, 0
    while f"case{case}.output" in io:
        inputs = case_inputs(io, case, name)
        sizes = [size for tensor in inputs for size in tensor.shape]
        settings = fixture.get("set", {}) | {
            symbol: size for symbol, size in zip(fixture["symbols"], sizes) if symbol != "_"}
        _, made = exported(file, model, "--dtype=f32", settings=settings)
        module = made().eval()
        weights = load_file(folder / "model.safetensors")
        found = module.load_state_dict(weights, strict=False)
        # A checkpoint has a tied tensor once, and may lack counters that no output depends on.
        own = {name for name, _ in module.named_parameters()}
        missing = [key for key in found.missing_keys if key in own]
        if missing:
            raise RuntimeError(f"not in the checkpoint: {missing}")
        with torch.no_grad():
            output = module(*inputs)
        output = output[0] if isinstance(output, tuple) else output
        theirs = io[f"case{case}.output"]
        largest, case = max(largest, difference(output.reshape(theirs.shape), theirs)), case + 1
    return largest, case


def difference(ours, theirs):
    """The largest difference as a share of the largest value."""
    if ours.shape != theirs.shape:
        return float("inf")
    scale = max(theirs.abs().max().item(), 1e-6) if theirs.is_floating_point() else 1
    return (ours.double() - theirs.double()).abs().max().item() / scale


def one_layer(inputs, step, settings=()):
    """The module of a model that is one step on the inputs `a`, `b`, `c`."""
    lines = [Path("tests/modules/composites.taper").read_text(), "model M {"]
    for name, tensor in zip("abc", inputs):
        dtype = "i64" if tensor.dtype == torch.int64 else "f32"
        lines.append(f"    input {name}: {dtype}{list(tensor.shape)}")
    lines += [f"    {step}", "}", ""]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "layer.taper")
        file.write_text("\n".join(lines))
        return exported(file, "M")[1]().eval()


def check_layer(inputs, stage):
    """A use of a layer of the catalogue runs, and has the tensors and shapes that Taper shows."""
    types = [("i64" if shape.startswith("i ") else "f32", shape.removeprefix("i ")) for shape in inputs.split("; ")]
    lines = [f"    input {name}: {dtype}[{shape}]" for name, (dtype, shape) in zip("abcdef", types) if shape]
    arrow = ", ".join("abcdef"[:len(lines)]) + " -> " if lines else ""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "layer.taper")
        file.write_text("\n".join(["model M {", *lines, f"    m: {arrow}{stage}", "}", ""]))
        return check_model(file, "M")[0]


def run(module, inputs):
    with torch.no_grad():
        outputs = module(*inputs)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def check_module(number, stage, tensors):
    """A module with PyTorch's weights and inputs gives PyTorch's outputs."""
    inputs = [tensors[f"{number}.in{index}"] for index in range(3) if f"{number}.in{index}" in tensors]
    module = one_layer(inputs, f"m: {', '.join('abc'[:len(inputs)])} -> {stage}")
    prefix = f"{number}.w."
    weights = {"m." + name.removeprefix(prefix): tensor for name, tensor in tensors.items()
               if name.startswith(prefix)}
    if weights:
        module.load_state_dict(weights)
    theirs = [tensors[f"{number}.out{index}"] for index in range(3) if f"{number}.out{index}" in tensors]
    return max(difference(our, their) for our, their in zip(run(module, inputs), theirs))


def check_function(expression, steps, case):
    """A function of random tensors gives what PyTorch's expression does."""
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.rand(shape, generator=generator) for shape in case["inputs"]]
    if steps.startswith("a:i64 "):
        steps = steps.removeprefix("a:i64 ")
        inputs = [(tensor * 8).long() for tensor in inputs]
    theirs = eval(expression, {"torch": torch, "F": F}, dict(zip("abc", inputs)))
    theirs = theirs if isinstance(theirs, tuple) else (theirs,)
    ours = run(one_layer(inputs, steps), inputs)
    return max(difference(our, their) for our, their in zip(ours, theirs, strict=True))


def small_cases():
    """The name of each module and function, and what checks it."""
    tensors = load_file(FIXTURES / "ops.safetensors")
    for line in (FIXTURES / "operations.txt").read_text().splitlines():
        number, stage = line.split(" ", 1)
        yield stage, lambda number=number, stage=stage: check_module(number, stage, tensors)
    cases = json.loads(Path("tests/modules/functional_shapes.json").read_text())["cases"]
    cases = {case["expr"]: case for case in cases if "output" in case}
    for line in Path("tests/modules/functional.txt").read_text().splitlines():
        expression, _, steps = line.partition(" => ")
        # A line that has no steps says why; indices that an expression makes are others in Taper.
        if expression in cases and steps and "torch.zeros" not in expression:
            case = cases[expression]
            yield expression, lambda a=(expression, steps, case): check_function(*a)


def models():
    """Files and architectures, each with the name of a model."""
    for file in [*sorted(Path("examples").glob("*.taper")), Path("tests/translate/structures.taper")]:
        if QUICK and file.stem in LARGE:
            continue
        for model in re.findall(r"^model (\w+)", file.read_text(), re.MULTILINE):
            yield file, model
    if QUICK:
        return
    yield "examples/llama3_8b/config.json", "LlamaForCausalLM"
    page = Path("docs/architectures.md").read_text()
    for name in re.findall(r"^\| (\w+) \| .*`(?:huggingface|torchvision)/", page, re.MULTILINE):
        done = subprocess.run([TAPER, "summary", f"library:{name}", "--format=json"], capture_output=True)
        yield f"library:{name}", json.loads(done.stdout)["model"]


# What models of structures.taper compute, from their parameters by name.
STRUCTURES = {
    "Numbered": ((2, 8), lambda p, x: linear(p, "0", x) + F.relu(linear(p, "1", linear(p, "0", x)))),
    "Ties": ((2, 8), lambda p, x: x @ (p["first.weight"].T @ p["shared.weight"].T @ p["first.weight"].T @ p["first.weight"].T)),
    "TiedInside": ((2, 8), lambda p, x: x @ (p["a.fc.weight"].T @ p["a.fc.weight"]) @ (p["a.fc.weight"].T @ p["a.fc.weight"])),
}


def linear(parameters, path, x):
    return F.linear(x, parameters[f"{path}.weight"], parameters.get(f"{path}.bias"))


def check_structure(model, shape, expected):
    module = exported(Path("tests/translate/structures.taper"), model)[1]().eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.5)
        x = torch.rand(shape, generator=generator) - 0.5
        return difference(module(x), expected(dict(module.named_parameters()), x))


def attempt(check, *arguments):
    """What a check gives, or the error that it ends with."""
    try:
        return check(*arguments), None
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def main():
    wrong = []
    for file, model in dict.fromkeys(models()):
        found, error = attempt(check_model, file, model)
        differences, tensors, sizes = found or ([error], 0, 0)
        print(f"{file} {model}: {tensors} tensors, {sizes} sizes, {len(differences)} differences", flush=True)
        wrong += [f"{file} {model}: {one}" for one in differences[:5]]
    for fixture in json.loads((FIXTURES / "fixtures.json").read_text()):
        found, error = attempt(check_fixture, fixture)
        if error is None:
            print(f"{fixture['name']}: {found[1]} cases, at most {found[0]:.1e} of the largest value", flush=True)
        if error or not found[0] <= TOLERANCE:
            wrong.append(f"{fixture['name']}: {error or found[0]}")
    for model, (shape, expected) in STRUCTURES.items():
        found, error = attempt(check_structure, model, shape, expected)
        if error or not found <= TOLERANCE:
            wrong.append(f"{model}: {error or found}")
    print(f"{len(STRUCTURES)} structures by their numbers")
    compared = 0
    for name, check in small_cases():
        found, error = attempt(check)
        compared += error is None
        if error or not found <= TOLERANCE:
            wrong.append(f"{name}: {error or found}")
    print(f"{compared} modules and functions")
    lines = Path("tests/translate/pytorch/layers.txt").read_text().splitlines()[1:]
    for line in lines:
        found, error = attempt(check_layer, *line.split(": ", 1))
        wrong += [f"{line}: {one}" for one in found or [error] if one]
    print(f"{len(lines)} layers of the catalogue")
    print("\n".join(wrong) or "no difference")
    sys.exit(bool(wrong))


main()
