"""Checks `taper export --to pytorch` against PyTorch, with the binary that is given.

Every model of examples/: the module has the parameters and buffers that `taper summary` lists, by name,
shape and dtype, and gives outputs of its shapes, at the sizes shown and at others (nothing is allocated:
PyTorch's meta device). Every fixture of tests/numeric: the module loads the weights and gives the outputs
that the original module gave.
"""
import json
import re
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

TAPER = sys.argv[1]
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
    tensors = sum(len(layer["tensors"]) + len(layer["buffers"]) for layer in expected["layers"])
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
        difference = (output.reshape(theirs.shape) - theirs).abs().max() / theirs.abs().max()
        largest, case = max(largest, difference.item()), case + 1
    return largest, case


def main():
    wrong = []
    for file in sorted(Path("examples").glob("*.taper")) + [Path("examples/llama3_8b/config.json")]:
        models = re.findall(r"^model (\w+)", file.read_text(), re.MULTILINE) or ["LlamaForCausalLM"]
        for model in models:
            try:
                found, tensors, sizes = check_model(file, model)
            except Exception as error:
                found, tensors, sizes = [f"{type(error).__name__}: {error}"], 0, 0
            print(f"{file} {model}: {tensors} tensors, {sizes} sizes, {len(found)} differences", flush=True)
            wrong += [f"{file} {model}: {one}" for one in found[:5]]
    for fixture in json.loads((FIXTURES / "fixtures.json").read_text()):
        try:
            difference, cases = check_fixture(fixture)
        except Exception as error:
            wrong.append(f"{fixture['name']}: {type(error).__name__}: {error}")
            continue
        print(f"{fixture['name']}: {cases} cases, differs by {difference:.1e} of the largest value", flush=True)
        if not difference <= TOLERANCE:
            wrong.append(f"{fixture['name']}: differs by {difference}")
    print("\n".join(wrong) or "no difference")
    sys.exit(bool(wrong))


main()
