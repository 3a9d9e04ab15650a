#!/usr/bin/env bash
# The latency of Taper's server beside tombi, ruff and ty, which are installed into a virtual
# environment below the build folder.
set -euo pipefail
cd "$(dirname "$0")/../.."
VENV=target/latency
[ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
"$VENV/bin/python" -m pip install -q tombi==1.9.6 ruff==0.17.6 ty==0.0.105
cargo bench -q -p taper --bench latency -- "$PWD/$VENV/bin/tombi" "$PWD/$VENV/bin/ruff" "$PWD/$VENV/bin/ty"
echo; echo "load: $(cut -d' ' -f1-3 /proc/loadavg)"
