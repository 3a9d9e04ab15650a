#!/usr/bin/env bash
# Builds `taper` with CUDA into target/cuda/taper, and packed as taper.xz, on a machine that needs neither a GPU, a driver nor a CUDA toolkit
# (x86-64 Linux, gcc 15 or older, python3 with pip). About 15 minutes on two cores, 105 MB of downloads.
#
# The program starts everywhere: CUDA's libraries are looked for when a GPU is asked for. Candle asks its CUDA
# bindings to link them instead, so one word of candle-core's manifest is changed, in a copy below target/.
#
# `scripts/build-cuda.sh clippy` checks what is only there with CUDA; any other command of cargo works too.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$PWD/target/cuda
toolkit=$out/toolkit/nvidia/cu13
mkdir -p "$out"

# The compiler and the headers of CUDA 13.0. A newer one writes code that the drivers of 13.0 refuse.
if [ ! -x "$toolkit/nvvm/bin/cicc" ]; then
    python3 -m pip install --quiet --no-deps --no-compile --upgrade --target "$out/toolkit" \
        nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 \
        nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85
    chmod +x "$toolkit"/bin/* "$toolkit"/nvvm/bin/*
    ln -sfn lib "$toolkit/lib64"
    # Only the static runtime, so that the program does not need this one.
    ln -sfn libcudart_static.a "$toolkit/lib/libcudart.a"
    rm -f "$toolkit/lib/libcudart.so"
fi
export CUDA_HOME=$toolkit NVCC=$toolkit/bin/nvcc PATH=$toolkit/bin:$PATH
export LIBRARY_PATH=$toolkit/lib${LIBRARY_PATH:+:$LIBRARY_PATH}
# Kernels for compute capability 8.0 are translated by the driver of every newer GPU.
export CUDARC_CUDA_VERSION=13000 CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80}
export CUDAFORGE_THREADS=${CUDAFORGE_THREADS:-$(nproc)}

# The copy of candle-core, and of the workspace's lock file, which names it.
cargo fetch --locked
version=$(sed -n '/^name = "candle-core"$/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
source=$(ls -d "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/candle-core-"$version" | tail -1)
if [ ! -d "$out/candle-core-$version" ]; then
    cp -r "$source" "$out/copy"
    sed -i 's/"dynamic-linking"/"fallback-dynamic-loading"/' "$out/copy/Cargo.toml"
    grep -q '"fallback-dynamic-loading"' "$out/copy/Cargo.toml"
    mv "$out/copy" "$out/candle-core-$version"
fi
cp Cargo.lock "$out/Cargo.lock"
trap 'cp "$out/Cargo.lock" Cargo.lock' EXIT

cargo "${1:-build}" --release --features cuda --target-dir "$out/build" \
    --config "patch.crates-io.candle-core.path='$out/candle-core-$version'"
[ "${1:-build}" = build ] || exit 0
cp "$out/build/release/taper" "$out/taper"
strip "$out/taper"
xz --keep --force --threads=0 "$out/taper" # As it is carried to another machine.
echo "target/cuda/taper: $(stat -c %s "$out/taper") bytes; needs $(readelf -d "$out/taper" |
    sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | paste -sd ' ')"
