"""Checks `taper export --to candle` with Candle, with the binary that is given.

Writes a crate below target/ with every example, every architecture of the library and every fixture of
tests/numeric as a module, and builds it: warnings are errors. Each model reads the parameters and buffers that
`taper summary` lists, by name and shape. Each fixture loads the weights and gives the outputs that the original
PyTorch module gave.
"""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TAPER = sys.argv[1]
CRATE = Path("target/exported")
FIXTURES = Path("tests/numeric")
MAIN = Path(__file__).with_name("check.rs")


def export(file, model, path, *arguments):
    """Whether a model is exported; else what was said."""
    line = [TAPER, "export", str(file), "--model", model, "--to=candle", f"--output={path}", *arguments]
    done = subprocess.run(line, capture_output=True, text=True)
    return None if done.returncode == 0 else done.stderr.strip()


def models():
    """Files and architectures, each with the name of a model."""
    for file in [*sorted(Path("examples").glob("*.taper")), Path("tests/translate/structures.taper")]:
        for model in re.findall(r"^model (\w+)", file.read_text(), re.MULTILINE):
            yield str(file), model
    page = Path("docs/architectures.md").read_text()
    for name in re.findall(r"^\| (\w+) \| .*`(?:huggingface|torchvision)/", page, re.MULTILINE):
        done = subprocess.run([TAPER, "summary", f"library:{name}", "--format=json"], capture_output=True)
        yield f"library:{name}", json.loads(done.stdout)["model"]


def header(file):
    """The dtypes and shapes in a safetensors file, by name."""
    with open(file, "rb") as bytes:
        header = json.loads(bytes.read(int.from_bytes(bytes.read(8), "little")))
    return {name: entry for name, entry in header.items() if name != "__metadata__"}


def shapes(file):
    return {name: entry["shape"] for name, entry in header(file).items()}


def operations(folder):
    """A module for each layer of tests/numeric that Candle has; its name and what calls it. The others are told."""
    tensors = header(FIXTURES / "ops.safetensors")
    refused = {}
    for line in (FIXTURES / "operations.txt").read_text().splitlines():
        number, stage = line.split(" ", 1)
        inputs = [tensors[f"{number}.in{index}"] for index in range(3) if f"{number}.in{index}" in tensors]
        names = "abc"[:len(inputs)]
        lines = [Path("tests/modules/composites.taper").read_text(), "model M {"]
        lines += [f"    input {name}: {input['dtype'].lower()}{input['shape']}" for name, input in zip(names, inputs)]
        lines += [f"    m: {', '.join(names)} -> {stage}", "}", ""]
        file = folder / "operation.taper"
        file.write_text("\n".join(lines))
        said = export(file, "M", folder / f"op{number}.rs")
        if said:
            refused[stage] = said.splitlines()[0].rpartition("cannot be exported: ")[2]
            continue
        taken = ", ".join(f"&x[{index}]" for index in range(len(inputs)))
        yield f"op{number}", f"    operation({json.dumps(number)}, {json.dumps(stage)}, |vb, x| all(op{number}::M::new(vb)?.forward({taken})?));"
    for stage, reason in refused.items():
        print(f"refused: {stage}: {reason}")


def cases(fixture):
    """The names of each case's inputs, and the settings that give their sizes."""
    name = fixture["name"]
    tensors = shapes(FIXTURES / "fixtures" / name / "io.safetensors")
    case = 0
    while f"case{case}.output" in tensors:
        def has(key):
            return f"case{case}.{key}" in tensors
        inputs = ["input_ids" if has("input_ids") else "input0"]
        if name.startswith("tiny_bert"):
            inputs += ["attention_mask" if has("attention_mask") else "ones",
                       "token_type_ids" if has("token_type_ids") else "zeros"]
        inputs += [key for key in ("decoder_input_ids", "pixel_values") if has(key)]
        sizes = [size for key in inputs for size in tensors.get(f"case{case}.{key}", tensors[f"case{case}.{inputs[0]}"])]
        symbols = dict(zip(fixture["symbols"], sizes))
        symbols.pop("_", None)
        yield case, inputs, fixture.get("set", {}) | symbols
        case += 1


def tensors(file, model):
    """The names and shapes of what Taper lists. PyTorch counts batches, which no output depends on."""
    line = [TAPER, "summary", file, "--model", model, "--format=json"]
    layers = json.loads(subprocess.run(line, capture_output=True, text=True).stdout)["layers"]
    all = [tensor for layer in layers for tensor in layer["tensors"] + layer["buffers"]]
    return {tensor["name"]: tensor["shape"] for tensor in all if not tensor["name"].endswith("num_batches_tracked")}


def main():
    shutil.rmtree(CRATE / "src", ignore_errors=True)
    (CRATE / "src").mkdir(parents=True)
    modules, runs, wrong, expected_tensors = [], [], [], {}
    for number, (file, model) in enumerate(dict.fromkeys(models())):
        said = export(file, model, CRATE / "src" / f"model{number}.rs")
        if said:
            wrong.append(f"{file} {model}: {said}")
        else:
            modules.append(f"mod model{number};")
            runs.append(f"    record({number}, model{number}::{model}::new);")
            expected_tensors[number] = file, model
    count = len(modules)
    for fixture in json.loads((FIXTURES / "fixtures.json").read_text()):
        name, model = fixture["name"], fixture["model"]
        folder = FIXTURES / "fixtures" / name
        for case, inputs, settings in cases(fixture):
            module = f"{name}_{case}"
            chosen = [f"--set={symbol}={value}" for symbol, value in settings.items()]
            said = export(fixture.get("file", folder / "config.json"), model, CRATE / "src" / f"{module}.rs", *chosen)
            if said:
                wrong.append(f"{module}: {said}")
                continue
            modules.append(f"mod {module};")
            taken = ", ".join(f"&x[{index}]" for index in range(len(inputs)))
            runs.append(f'    check("{name}", {case}, &{json.dumps(inputs)}, |vb, x| '
                        f"all({module}::{model}::new(vb)?.forward({taken})?));")
    small = list(operations(CRATE / "src"))
    modules += [f"mod {name};" for name, _ in small]
    calls = [call for _, call in small]
    (CRATE / "src/main.rs").write_text(
        "#![deny(warnings)]\n#![allow(dead_code)]\n" + "\n".join(modules) + "\n" + MAIN.read_text()
        + "\nfn main() {\n" + "\n".join(runs + calls) + "\n}\n")
    workspace = Path("Cargo.toml").read_text()
    candle = re.search(r'^candle-core = "(.*)"', workspace, re.MULTILINE).group(1)
    profile = re.search(r"^\[profile\.release\].*?(?=^\[profile\.bench\])", workspace, re.MULTILINE | re.DOTALL).group(0)
    (CRATE / "Cargo.toml").write_text(
        f'[package]\nname = "exported"\nversion = "0.0.0"\nedition = "2024"\n\n[dependencies]\n'
        f'candle-core = "{candle}"\ncandle-nn = "{candle}"\n\n{profile}\n[workspace]\n')
    shutil.copy("Cargo.lock", CRATE)
    print(f"{count} models, {len(runs) - count} cases of fixtures, {len(small)} single layers", flush=True)
    line = ["cargo", "run", "--release", "-q", "--manifest-path", str(CRATE / "Cargo.toml"), "--target-dir", "target"]
    quiet = os.environ | {"RUST_BACKTRACE": "0"}
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, env=quiet)
    total = 0
    for line in done.stdout.splitlines():
        if not line.startswith("read "):
            print(line)
            continue
        number, read = line.removeprefix("read ").split(" ", 1)
        ours, theirs = json.loads(read), tensors(*expected_tensors[int(number)])
        total += len(ours)
        names = [name for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name)]
        wrong += [f"{expected_tensors[int(number)]}: {name} {ours.get(name)}, not {theirs.get(name)}" for name in names[:5]]
    print(f"{total} parameters and buffers of {count} models")
    wrong += [line for line in done.stdout.splitlines() if "WRONG" in line]
    if done.returncode:
        wrong.append("the crate does not build or run")
    print("\n".join(wrong) or "no difference")
    sys.exit(bool(wrong))


main()
