"""Asks the tools: `python collect.py TOOL=PYTHON[:FOLDER] …`, where each runs in the Python that has it, with the packages of a
folder before that Python's own. Writes figures.json, a line for each module with the figures of all tools."""
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent


def ask(pair):
    tool, where = pair.split("=", 1)
    python, _, packages = where.partition(":")
    paths = [str(Path(one).absolute()) for one in packages.split(":") if one]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    line = [str(Path(python).absolute()), "-W", "ignore", "tool.py", tool]
    done = subprocess.run(line, cwd=HERE, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{tool}: {done.stderr}")
    # Some tools print as they are imported.
    return tool, json.loads(done.stdout.strip().splitlines()[-1])


def main():
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tools = dict(pool.map(ask, sys.argv[1:]))
    groups = next(iter(tools.values()))
    lines = []
    for group, names in groups.items():
        rows = [f"  {json.dumps(name)}: {json.dumps({tool: found[group][name] for tool, found in tools.items()})}" for name in names]
        lines.append(f" {json.dumps(group)}: {{\n" + ",\n".join(rows) + "\n }")
    (HERE / "figures.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
