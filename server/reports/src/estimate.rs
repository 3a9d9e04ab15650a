//! How long a model takes at least, by the data sheet of a device: an estimate, no measurement.
//!
//! The roofline model (Williams, Waterman and Patterson, 2009,
//! <https://doi.org/10.1145/1498765.1498785>): a layer takes as long as its arithmetic at the peak
//! rate, or as its reads and writes at the peak bandwidth, whichever is longer. Layers follow each
//! other; nothing is fused, nothing overlaps, and starting a kernel takes no time.

use std::ops::ControlFlow;

use analysis::{Model, What};
use layers::DType;
use serde::{Deserialize, Serialize};

/// What a device does at best: by its data sheet, or measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ceilings {
    /// Floating-point operations per second, of the dtype in question: of a large matrix product.
    pub flops_per_second: f64,
    /// Bytes per second, read and written: of a large copy.
    pub bytes_per_second: f64,
}

impl Ceilings {
    /// The least seconds in which so much can be done, and whether memory is what limits it.
    pub fn least(&self, flops: f64, bytes: f64) -> (f64, bool) {
        let compute = flops / self.flops_per_second;
        let memory = bytes / self.bytes_per_second;
        (compute.max(memory), memory > compute)
    }
}

/// A device and its data sheet. Rates are dense, without sparsity, at boost clocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DataSheet {
    /// What a user writes: `h100`.
    pub id: &'static str,
    /// The device.
    pub name: &'static str,
    /// TFLOP/s of f32, without TF32.
    pub f32: f64,
    /// TFLOP/s of f16 and bf16, summed in f32 where there is a choice.
    pub half: f64,
    /// GB/s.
    pub bandwidth: f64,
    /// GB of memory.
    pub memory: f64,
    /// Where the figures stand.
    pub source: &'static str,
}

/// The devices that are known.
pub const DATA_SHEETS: &[DataSheet] = &[
    DataSheet {
        id: "h200",
        name: "NVIDIA H200 SXM",
        f32: 67.0,
        half: 989.0,
        bandwidth: 4800.0,
        memory: 141.0,
        source: "https://www.nvidia.com/en-us/data-center/h200/",
    },
    DataSheet {
        id: "h100",
        name: "NVIDIA H100 SXM",
        f32: 67.0,
        half: 989.0,
        bandwidth: 3350.0,
        memory: 80.0,
        source: "https://www.nvidia.com/en-us/data-center/h100/",
    },
    DataSheet {
        id: "a100",
        name: "NVIDIA A100 80GB SXM",
        f32: 19.5,
        half: 312.0,
        bandwidth: 2039.0,
        memory: 80.0,
        source: "https://www.nvidia.com/en-us/data-center/a100/",
    },
    DataSheet {
        id: "l40s",
        name: "NVIDIA L40S",
        f32: 91.6,
        half: 362.0,
        bandwidth: 864.0,
        memory: 48.0,
        source: "https://www.nvidia.com/en-us/data-center/l40s/",
    },
    DataSheet {
        id: "l4",
        name: "NVIDIA L4",
        f32: 30.3,
        half: 121.0,
        bandwidth: 300.0,
        memory: 24.0,
        source: "https://www.nvidia.com/en-us/data-center/l4/",
    },
    DataSheet {
        id: "rtx4090",
        name: "NVIDIA GeForce RTX 4090",
        f32: 82.6,
        half: 165.2,
        bandwidth: 1008.0,
        memory: 24.0,
        source: "https://images.nvidia.com/aem-dam/Solutions/geforce/ada/nvidia-ada-gpu-architecture.pdf",
    },
    DataSheet {
        id: "rtx3090",
        name: "NVIDIA GeForce RTX 3090",
        f32: 35.6,
        half: 71.0,
        bandwidth: 936.0,
        memory: 24.0,
        source: "https://www.nvidia.com/content/PDF/nvidia-ampere-ga-102-gpu-architecture-whitepaper-v2.pdf",
    },
    DataSheet {
        id: "t4",
        name: "NVIDIA T4",
        f32: 8.1,
        half: 65.0,
        bandwidth: 320.0,
        memory: 16.0,
        source: "https://www.nvidia.com/en-us/data-center/tesla-t4/",
    },
    DataSheet {
        id: "orin",
        name: "NVIDIA Jetson AGX Orin 64GB",
        f32: 5.3,
        half: 42.5,
        bandwidth: 204.8,
        memory: 64.0,
        source: "https://www.nvidia.com/content/dam/en-zz/Solutions/gtcf21/jetson-orin/nvidia-jetson-agx-orin-technical-brief.pdf",
    },
    DataSheet {
        id: "m1",
        name: "Apple M1, 8 GPU cores",
        f32: 2.6,
        half: 2.6,
        bandwidth: 68.25,
        memory: 16.0,
        source: "https://www.apple.com/newsroom/2020/11/apple-unleashes-m1/",
    },
    DataSheet {
        id: "m1max",
        name: "Apple M1 Max, 32 GPU cores",
        f32: 10.4,
        half: 10.4,
        bandwidth: 400.0,
        memory: 64.0,
        source: "https://www.apple.com/newsroom/2021/10/introducing-m1-pro-and-m1-max-the-most-powerful-chips-apple-has-ever-built/",
    },
    DataSheet {
        id: "m2",
        name: "Apple M2, 10 GPU cores",
        f32: 3.6,
        half: 3.6,
        bandwidth: 100.0,
        memory: 24.0,
        source: "https://www.apple.com/newsroom/2022/06/apple-unveils-m2-with-breakthrough-performance-and-capabilities/",
    },
];

impl DataSheet {
    /// The device of an id.
    pub fn find(id: &str) -> Option<&'static DataSheet> {
        DATA_SHEETS.iter().find(|sheet| sheet.id == id)
    }

    /// Its ceilings for a dtype. One of 8 bits is at most twice as fast as one of 16 on these devices;
    /// one of 64 bits is not on the sheets, and has those of f32.
    pub fn ceilings(&self, dtype: DType) -> Ceilings {
        let tera = match dtype {
            DType::F16 | DType::BF16 => self.half,
            _ if dtype.bytes() == 1 => 2.0 * self.half,
            _ => self.f32,
        };
        Ceilings { flops_per_second: 1e12 * tera, bytes_per_second: 1e9 * self.bandwidth }
    }
}

/// A layer of an estimate.
#[derive(Debug, Clone, PartialEq)]
pub struct EstimatedLayer {
    /// Its path.
    pub path: String,
    /// What it is.
    pub kind: String,
    /// Floating-point operations.
    pub flops: u128,
    /// Bytes that it reads and writes.
    pub bytes: u128,
    /// The least seconds.
    pub seconds: f64,
    /// What limits it is memory.
    pub is_memory_bound: bool,
}

/// The layers of a model with the least time of each, in order of execution. Experts that no token
/// passes take none.
pub fn estimate(model: &Model, ceilings: &Ceilings) -> Vec<EstimatedLayer> {
    let mut layers = Vec::new();
    model.rows(|row| {
        if matches!(row.step.what, What::Layer(_)) && !row.idle {
            // A device does the work whatever a tool counts. What does not fit was reported.
            let flops = match model.counted {
                None => row.totals.flops,
                Some(_) => row.step.own_cost().flops().unwrap_or(u128::MAX),
            };
            let bytes = row.step.traffic();
            let (seconds, is_memory_bound) = ceilings.least(flops as f64, bytes as f64);
            layers.push(EstimatedLayer {
                path: row.path,
                kind: row.step.kind().to_owned(),
                flops,
                bytes,
                seconds,
                is_memory_bound,
            });
        }
        ControlFlow::Continue(())
    });
    layers
}

#[cfg(test)]
mod tests {
    use super::*;
    use analysis::{Options, Workspace, analyse};

    #[test]
    fn a_layer_is_bound_by_compute_or_by_memory() {
        let mut workspace = Workspace::default();
        let text =
            "model M { input x: bf16[N = 4096, 4096]; a: Linear(4096, bias=false); b: ReLU }";
        let file = workspace.insert("m.taper", syntax::parse(text));
        let analysis = analyse(&workspace, file, &Options::default());
        let sheet = DataSheet::find("h100").expect("it is known");
        let found = estimate(&analysis.models[0], &sheet.ceilings(DType::BF16));
        // 2 × 4096³ at 989 TFLOP/s; 2 × 2 × 4096² bytes at 3.35 TB/s.
        let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 1e-12;
        assert!(near(found[0].seconds, 2.0 * 4096f64.powi(3) / 989e12));
        assert!(near(found[1].seconds, 4.0 * 4096f64.powi(2) / 3.35e12));
        assert_eq!((found[0].is_memory_bound, found[1].is_memory_bound), (false, true));
    }

    #[test]
    fn ids_are_unique_and_figures_are_plausible() {
        for (number, sheet) in DATA_SHEETS.iter().enumerate() {
            assert!(DATA_SHEETS[..number].iter().all(|other| other.id != sheet.id));
            assert!(sheet.half >= sheet.f32 && sheet.source.starts_with("https://"));
        }
    }
}
