#!/usr/bin/env bash
# How long each tool takes for ResNet-50's totals: cold processes, one after the other, best of
# three. Installs the Python tools into a virtual environment below the build folder.
set -euo pipefail
cd "$(dirname "$0")/../.."
VENV=target/peers
[ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
"$VENV/bin/python" -m pip install -q -r tests/peers/requirements.txt
cargo build --release -q

PYTHONPATH=tests/peers "$VENV/bin/python" tests/peers/measure.py target/release/taper "$VENV/bin/python"
