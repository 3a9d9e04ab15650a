#!/usr/bin/env bash
# Tries the client for VS Code in a real VS Code, as `cargo xtask install --vscode` installs it: tests/editors/vscode.mjs.
# With a folder as its argument, pictures of what is seen are written there.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
pictures=${1:+$(realpath "$1")}
tests/editors/install-vscode.sh
export PATH=$root/target/editors/vscode/node/bin:$PATH
entry=$root/target/editors/vscode/node_modules/code-server/out/node/entry.js

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tests/editors/make-project "$work/project"
tests/editors/make-project "$work/stranger"
cp examples/{alexnet,tour}.taper "$work/project"

export XDG_CACHE_HOME=$work/cache # Measurements of an earlier run are none of this one.

# `code`, as it is installed on a user's machine.
mkdir -p "$work/bin" "$work/extensions" "$work/user/User"
cp tests/editors/vscode-settings.json "$work/user/User/settings.json"
cat >"$work/bin/code" <<CODE
#!/usr/bin/env bash
exec node "$entry" --user-data-dir "$work/user" --extensions-dir "$work/extensions" --config "$work/config.yaml" \\
    --disable-telemetry --disable-update-check --disable-getting-started-override "\$@"
CODE
chmod +x "$work/bin/code"
export PATH=$work/bin:$PATH
CARGO_INSTALL_ROOT=$work cargo xtask install --vscode >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }

# The server inside the extension is what is tried.
rm "$work/bin/taper"
timeout 600 node tests/editors/vscode.mjs "$work" "$pictures"
