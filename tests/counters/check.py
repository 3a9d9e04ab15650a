"""Compares `taper summary --count` with the tools: `python check.py TAPER TOOL=PYTHON …`, where each tool runs in the
Python that has it. Writes figures.json, which the tests read, and prints each figure."""
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def tool_figures(tool, python):
    done = subprocess.run([python, "-W", "ignore", "tool.py", tool], cwd=HERE, capture_output=True, text=True)
    # Some tools print as they are imported.
    return json.loads(done.stdout.strip().splitlines()[-1])


def own_figures(taper, model, tool):
    line = [taper, "summary", str(HERE / "models.taper"), "--model", model, "--count", tool, "--format=json"]
    found = json.loads(subprocess.run(line, capture_output=True, text=True).stdout)
    return {"macs": found["totals"]["macs"], "flops": found["totals"]["flops"], "params": found["seen_params"]}


def main():
    taper, wrong, figures = sys.argv[1], 0, {}
    for pair in sys.argv[2:]:
        tool, python = pair.split("=", 1)
        figures[tool] = tool_figures(tool, str(Path(python).absolute()))
        for model, theirs in figures[tool].items():
            ours = own_figures(taper, model, tool)
            compared = {name: (value, ours[name]) for name, value in theirs.items() if name in ours}
            differs = not compared or any(their != our for their, our in compared.values())
            wrong += differs
            print(f"{tool} {model}: {theirs}{f' taper {ours}' if differs else ''}")
    (HERE / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(f"{wrong} differ")
    sys.exit(wrong > 0)


main()
