#!/usr/bin/env bash
# Tries the client for Neovim in a real Neovim: tests/editors/nvim.lua. Needs target/release/taper.
# With a folder as its argument, a picture of what is seen is written there.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
prefix=$root/target/editors/nvim
nvim=$prefix/usr/bin/nvim

# Debian's stable Neovim is too old for hints, so that of its newest suite is unpacked, once.
if [ ! -x "$prefix/done" ]; then
    command -v patchelf tmux >/dev/null || apt-get -qq install --yes patchelf tmux
    rm -rf "$prefix"
    tests/editors/debian-prefix sid "$prefix" neovim
    patchelf --set-interpreter "$prefix/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" \
        --set-rpath "$prefix/usr/lib/x86_64-linux-gnu" "$nvim"
    install -m 755 /dev/null "$prefix/done"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tests/editors/make-project "$work/project"
mkdir "$work/cache"
export VIMRUNTIME=$prefix/usr/share/nvim/runtime XDG_CACHE_HOME=$work/cache XDG_STATE_HOME=$work/state
export TAPER_SERVER=$root/target/release/taper
cd "$work/project"
# Scheduled, as it is to run once the editor has started.
timeout 180 "$nvim" --clean --cmd "set runtimepath^=$root/editors/nvim" -n --headless \
    -c "lua vim.schedule(function() dofile('$root/tests/editors/nvim.lua') end)" </dev/null

if pgrep -f "$TAPER_SERVER" >/dev/null; then
    echo "FAILED: the editor is closed, and the server still runs" >&2
    exit 1
fi
echo "ok: nothing is left when the editor is closed"
