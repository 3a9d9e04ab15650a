#!/usr/bin/env python3
"""Compares what two binaries answer, byte for byte: `scripts/compare_answers.py BEFORE AFTER [PART …]`.

Every `.taper` file of the repository and of its folders of tests is asked for its figures, messages, hints and exports, model by
model, every configuration too, and every architecture of the library by its name; figures also as each other tool counts.
Further arguments are files and folders to ask besides (`../shared/cases`). Exits 1 if an answer differs, and prints where."""
import difflib
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 120


def tracked(*patterns):
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.split()


def models_of(path):
    return re.findall(r"^model\s+(\w+)", Path(ROOT, path).read_text(errors="replace"), re.M)


def conventions(binary):
    """Names of other tools, as the help lists them."""
    told = subprocess.run([binary, "summary", "--help"], capture_output=True, text=True, check=True).stdout
    part = told[told.index("--count "):]
    part = part[part.index("Possible values:"):]
    return re.findall(r"^\s+- ([\w.-]+):", part[:part.index("[default")], re.M)


def questions(binary, more):
    counts = conventions(binary)
    assert len(counts) > 10, counts
    extra = [str(one) for place in more for one in ([Path(place)] if Path(place).is_file() else sorted(Path(place).rglob("*.*")))]
    tapers = tracked("*.taper") + [one for one in extra if one.endswith(".taper")]
    configs = tracked("*config.json") + [one for one in extra if one.endswith("config.json")]
    for path in tapers:
        yield ["check", path]
        yield ["fmt", "--check", path]
        yield ["hints", path]
        for model in models_of(path):
            ask = [path, "--model", model]
            yield ["summary", *ask, "--format=json"]
            yield ["summary", *ask, "--training=adam"]
            yield ["export", *ask, "--to=pytorch"]
            yield ["export", *ask, "--to=candle"]
        if path.startswith("examples/"):
            yield from (["summary", path, f"--count={count}", "--format=json"] for count in counts)
            yield ["summary", path, "--by=kind"]
            yield ["summary", path, "--by=block"]
            yield ["estimate", path, "--device=h100"]
    for path in configs:
        yield ["inspect", path]
        yield ["summary", path, "--format=json"]
        yield ["fits", path, "--memory=24GiB"]
        yield ["export", path, "--to=pytorch"]
    for name in library():
        yield ["summary", f"library:{name}", "--format=json"]


def library():
    """The names of its architectures."""
    variants = Path(ROOT, "server/library/src/torchvision.rs").read_text()
    return re.findall(r'variant\("(\w+)"', variants) + [Path(one).stem for one in tracked("server/library/huggingface/*.taper")]


def answer(binary, question):
    done = subprocess.run([binary, *question], cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=300,
                          env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1"})
    return f"{done.stdout}\n{done.stderr}\nexit {done.returncode}"


def main():
    before, after, *more = sys.argv[1:]
    before, after = (str(Path(one).resolve()) for one in (before, after))
    asked = list(questions(before, more))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pairs = list(pool.map(lambda question: (answer(before, question), answer(after, question)), asked))
    different, failed = 0, 0
    for question, (one, other) in zip(asked, pairs):
        failed += not one.endswith("exit 0")
        if one != other:
            different += 1
            print("differs: taper", *question)
            lines = difflib.unified_diff(one.splitlines(), other.splitlines(), "before", "after", lineterm="", n=0)
            print("\n".join(line[:LIMIT] for line in list(lines)[:12]))
    print(f"{len(asked)} answers compared, {failed} of them refusals; {different} differ")
    sys.exit(different > 0)


main()
