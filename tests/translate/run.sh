#!/usr/bin/env bash
# Whether exported models are those that Taper shows and give PyTorch's numbers, in PyTorch and in Candle, and
# whether imported modules have the parameters, shapes and MACs of what they were made from. Installs PyTorch into
# a virtual environment below the build folder. Takes about 15 minutes; `run.sh candle` runs one of
# pytorch, candle, import, and `run.sh quick` in two minutes what is run of PyTorch before a change lands.
set -euo pipefail
cd "$(dirname "$0")/../.."
VENV=target/peers
REQUIREMENTS=tests/peers/requirements.txt
[ "${1:-}" = quick ] && REQUIREMENTS=tests/translate/requirements.txt
[ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
"$VENV/bin/python" -m pip install -q -r "$REQUIREMENTS"
cargo build --release -q -p taper

if [ "${1:-}" = quick ]; then
    exec "$VENV/bin/python" -W ignore tests/translate/pytorch/check.py target/release/taper quick
fi
for check in ${@:-pytorch candle import}; do
    echo "== $check"
    "$VENV/bin/python" -W ignore "tests/translate/$check/check.py" target/release/taper
done
