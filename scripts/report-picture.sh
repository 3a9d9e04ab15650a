#!/usr/bin/env bash
# Makes docs/images/report.png: the HTML report of DenseNet-121 as Chromium shows it.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v chromium >/dev/null || { apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium; }
cargo build --release --quiet
PAGE=$(mktemp --suffix=.html)
trap 'rm -f "$PAGE"' EXIT
target/release/taper summary examples/densenet121.taper --format html >"$PAGE"
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1150,1700 --virtual-time-budget=8000 \
  --screenshot="$PWD/docs/images/report.png" "file://$PAGE"
