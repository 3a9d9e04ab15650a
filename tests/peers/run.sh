#!/usr/bin/env bash
# How long each tool takes for ResNet-50's totals (cold processes, one after the other, best of
# three), and the memory of five models against PyTorch's. Installs the Python tools into a virtual
# environment below the build folder.
set -euo pipefail
cd "$(dirname "$0")/../.."
VENV=target/peers
[ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
"$VENV/bin/python" -m pip install -q -r tests/peers/requirements.txt
cargo build --release -q

"$VENV/bin/python" tests/peers/speed.py target/release/taper "$VENV/bin/python"
"$VENV/bin/python" tests/peers/memory.py target/release/taper tests/golden/memory.json
"$VENV/bin/python" tests/peers/checkpoints.py target/release/taper
