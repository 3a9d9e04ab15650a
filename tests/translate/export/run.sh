#!/usr/bin/env bash
# Whether exported modules are those that Taper shows, and give PyTorch's numbers. Installs PyTorch into a
# virtual environment below the build folder.
set -euo pipefail
cd "$(dirname "$0")/../../.."
VENV=target/peers
[ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
"$VENV/bin/python" -m pip install -q -r tests/peers/requirements.txt
cargo build --release -q

"$VENV/bin/python" -W ignore tests/translate/export/check.py target/release/taper
