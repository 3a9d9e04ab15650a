#!/usr/bin/env bash
# Whether imported modules have the parameters, shapes and MACs of what they were made from. Installs PyTorch into a
# virtual environment below the build folder.
set -euo pipefail
cd "$(dirname "$0")/../../.."
VENV=target/peers
[ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
"$VENV/bin/python" -m pip install -q -r tests/peers/requirements.txt
cargo build --release -q

"$VENV/bin/python" -W ignore tests/translate/import/check.py target/release/taper
