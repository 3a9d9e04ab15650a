#!/usr/bin/env bash
# Tries the client for Neovim in a real Neovim, as `cargo xtask install --nvim` installs it: tests/editors/nvim.lua.
# With a folder as its argument, a picture of what is seen is written there.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
pictures=${1:+$(realpath "$1")}
prefix=$root/target/editors/nvim

# Debian's stable Neovim is too old for hints, so that of its newest suite is unpacked, once.
if [ ! -x "$prefix/done" ]; then
    command -v patchelf >/dev/null || { apt-get -qq update && apt-get -qq install --yes patchelf; }
    rm -rf "$prefix"
    tests/editors/debian-prefix sid "$prefix" neovim
    patchelf --set-interpreter "$prefix/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" \
        --set-rpath "$prefix/usr/lib/x86_64-linux-gnu" "$prefix/usr/bin/nvim"
    install -m 755 /dev/null "$prefix/done"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tests/editors/make-project "$work/project"
cp examples/alexnet.taper "$work/project"
mkdir "$work/bin" "$work/cache"
cat >"$work/bin/nvim" <<NVIM
#!/usr/bin/env bash
export VIMRUNTIME=$prefix/usr/share/nvim/runtime
exec $prefix/usr/bin/nvim "\$@"
NVIM
chmod +x "$work/bin/nvim"
# A user with no files of their own.
export PATH=$work/bin:$PATH XDG_CONFIG_HOME=$work/config XDG_DATA_HOME=$work/data XDG_CACHE_HOME=$work/cache
export XDG_STATE_HOME=$work/state
CARGO_INSTALL_ROOT=$work cargo xtask install --nvim >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }

cd "$work/project"
# Scheduled, as it is to run once the editor has started.
timeout 180 nvim -n --headless -c "lua vim.schedule(function() dofile('$root/tests/editors/nvim.lua') end)" </dev/null

if pgrep -f "$work/bin/taper" >/dev/null; then
    echo "FAILED: the editor is closed, and the server still runs" >&2
    exit 1
fi
echo "ok: nothing is left when the editor is closed"

# What a person sees, in a terminal.
if [ -n "$pictures" ]; then
    command -v tmux >/dev/null || { apt-get -qq update && apt-get -qq install --yes tmux; }
    terminal() { tmux -L taper -f /dev/null "$@"; }
    terminal new-session -d -x 110 -y 40 "nvim -n -c 'set termguicolors' -c 'highlight Normal guibg=NONE' alexnet.taper"
    trap 'terminal kill-server; rm -rf "$work"' EXIT
    for _ in $(seq 100); do
        terminal capture-pane -p | grep -q 'GFLOP · 8.2 %\|MFLOP · 8.2 %' && break
        sleep 0.1
    done
    sleep 1 # The colours come last.
    terminal capture-pane -p -e >"$work/seen"
    (cd "$root" && cargo xtask svg <"$work/seen" >"$pictures/nvim.svg")
    echo "ok: a picture is taken"
fi
