#!/usr/bin/env bash
# Compares Taper with the other counters: asks each, in a process of its own, and writes tests/counters/figures.json, which the
# tests read. Installs the tools below the build folder: two with the PyTorch of tests/peers, newer ones with the newest, and
# old releases in folders of their own.
set -euo pipefail
cd "$(dirname "$0")/../.."
PEERS=target/peers NEWEST=target/counters/newest OLD=target/counters
[ -x "$PEERS/bin/python" ] || python3 -m venv "$PEERS"
[ -x "$NEWEST/bin/python" ] || python3 -m venv "$NEWEST"
"$PEERS/bin/python" -m pip install -q -r tests/peers/requirements.txt -r tests/counters/requirements.txt
"$NEWEST/bin/python" -m pip install -q -r tests/counters/requirements-newest.txt
while read -r folder packages; do
    # shellcheck disable=SC2086 # A line has several packages.
    [ -d "$OLD/$folder" ] || "$PEERS/bin/python" -m pip install -q --no-deps --target "$OLD/$folder" $packages
done <tests/counters/old.txt

tools=()
for tool in thop ptflops ptflops-modules ptflops-aten fvcore torch torch-default torchinfo calflops; do
    tools+=("$tool=$PEERS/bin/python")
done
for tool in thop-2020 thop-2019; do
    tools+=("$tool=$PEERS/bin/python:$OLD/$tool")
done
for tool in torchstat torchstat-madd; do
    tools+=("$tool=$PEERS/bin/python:$OLD/torchstat")
done
for tool in torch-2.15 ultralytics-thop deepspeed; do
    tools+=("$tool=$NEWEST/bin/python")
done
python3 tests/counters/collect.py "${tools[@]}"
cargo test --release -q -p reports -p execution --test golden --test modules counters -- --nocapture
