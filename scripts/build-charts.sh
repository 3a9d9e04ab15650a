#!/usr/bin/env bash
# Makes server/taper/assets/echarts.min.js, the charts of the HTML report: of Apache ECharts what
# scripts/charts/entry.js names. It is committed, so that building Taper needs no Node.
set -euo pipefail
cd "$(dirname "$0")/charts"
npm install --silent --no-audit --no-fund
OUT=../../server/taper/assets/echarts.min.js
NOTICE="/* Apache ECharts 6.1.0, https://echarts.apache.org, Apache-2.0; zrender, BSD-3-Clause; tslib, 0BSD. */"
npx esbuild entry.js --bundle --minify --format=iife --legal-comments=none --banner:js="$NOTICE" --outfile="$OUT"
