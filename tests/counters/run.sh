#!/usr/bin/env bash
# The figures of other counters for tests/counters/cases.py, each tool in a process of its own, beside Taper's. Installs
# the tools into a virtual environment below the build folder; writes tests/counters/figures.json, which the tests read.
set -euo pipefail
cd "$(dirname "$0")/../.."
VENV=target/peers
[ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
"$VENV/bin/python" -m pip install -q -r tests/peers/requirements.txt -r tests/counters/requirements.txt
cargo build --release -q -p taper

tools=(thop ptflops ptflops-aten fvcore torchinfo calflops torch torch-default)
"$VENV/bin/python" tests/counters/check.py target/release/taper "${tools[@]/%/=$VENV/bin/python}"
