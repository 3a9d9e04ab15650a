//! Translates our kernels for CUDA, if they are asked for.

use std::{env, path::PathBuf, process::Command};

/// The oldest GPUs that have what the kernels need: the driver translates for newer ones.
const OLDEST: &str = "compute_80";

fn main() {
    let source = "src/cuda/kernels.cu";
    println!("cargo::rerun-if-changed={source}");
    println!("cargo::rerun-if-env-changed=NVCC");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("kernels.ptx");
    let nvcc = env::var("NVCC").unwrap_or_else(|_| "nvcc".to_owned());
    let status = Command::new(&nvcc)
        .args(["--ptx", "-O3", &format!("-arch={OLDEST}"), source, "-o"])
        .arg(&out)
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => println!("cargo::error=`{nvcc}` cannot translate {source}: {status}"),
        Err(error) => println!("cargo::error=`{nvcc}` cannot be started: {error}"),
    }
}
