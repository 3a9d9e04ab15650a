//! Measurements, kept in the user's cache: a file for each piece of work on a device.

use std::{
    collections::{HashMap, VecDeque},
    fs,
    hash::{Hash, Hasher},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use bench::Measured;
use ide::Measurement;
use rustc_hash::FxHasher;
use serde::{Deserialize, Serialize};

/// The most that are kept; those that were not measured again for longest go first.
const MOST: usize = 200;

/// A measurement, and of what it is one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The path of the document.
    pub document: String,
    /// The fingerprint of the work.
    pub fingerprint: u64,
    /// Those of its layers with their paths, in order of execution.
    pub layers: Vec<(String, u64)>,
    pub measured: Measured,
}

impl Record {
    /// As editor features take it.
    pub fn measurement(&self) -> Measurement {
        let Measured { whole, ceilings, throughput, .. } = &self.measured;
        let work = |fingerprint, seconds, flops, bytes| {
            let (least, is_memory_bound) = ceilings
                .map_or((0.0, false), |ceilings| ceilings.least(flops as f64, bytes as f64));
            ide::Measured { fingerprint, seconds, least, is_memory_bound }
        };
        let mut prints: HashMap<&str, VecDeque<u64>> = HashMap::new();
        for (path, print) in &self.layers {
            prints.entry(path).or_default().push_back(*print);
        }
        let layers = self.measured.layers.iter().filter_map(|layer| {
            let print = prints.get_mut(layer.path.as_str())?.pop_front()?;
            Some((layer.path.clone(), work(print, layer.median, layer.flops, layer.bytes)))
        });
        Measurement {
            name: self.name(),
            document: self.document.clone(),
            model: self.measured.model.clone(),
            scope: self.measured.scope.clone(),
            device: self.measured.device.id.clone(),
            dtype: self.measured.dtype.clone(),
            at: self.measured.at,
            whole: work(self.fingerprint, whole.median, self.measured.flops, self.measured.bytes),
            interval: whole.interval,
            throughput: ide::rate(throughput.per_second, &throughput.unit),
            layers: layers.collect(),
            doubts: self.measured.invalid.iter().chain(&self.measured.doubts).cloned().collect(),
            is_invalid: !self.measured.invalid.is_empty(),
        }
    }

    /// What was measured, as a title.
    pub fn what(&self) -> String {
        let Measured { model, scope, device, .. } = &self.measured;
        let of = scope.as_ref().map_or(String::new(), |path| format!("{path} of "));
        format!("{of}{model} on {}", device.id)
    }

    /// The same for the same work on the same device. A layer or block by itself is what it is in its
    /// place: many do the same work.
    fn name(&self) -> String {
        let Measured { device, dtype, tf32, model, scope, .. } = &self.measured;
        let place = scope.as_ref().map(|scope| (&self.document, model, scope));
        let mut hasher = FxHasher::default();
        (self.fingerprint, &device.id, &device.name, dtype, tf32, place).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// Keeps it.
    pub fn save(&self) -> io::Result<()> {
        let folder = folder();
        fs::create_dir_all(&folder)?;
        // In one step, as another server may be reading it.
        let mut file = tempfile::NamedTempFile::new_in(&folder)?;
        serde_json::to_writer(&mut file, self)?;
        file.persist(folder.join(format!("{}.json", self.name())))?;
        forget_old(&folder);
        Ok(())
    }
}

/// Every measurement that is kept. What cannot be read was written by another version.
pub fn load() -> Vec<Arc<Measurement>> {
    let files = files(&folder()).into_iter();
    let records = files.filter_map(|(_, path)| {
        let record: Record = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        Some(Arc::new(record.measurement()))
    });
    records.collect()
}

fn folder() -> PathBuf {
    crate::cache::folder().join("benchmarks")
}

/// The files of a folder, the newest first.
fn files(folder: &Path) -> Vec<(SystemTime, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<(SystemTime, PathBuf)> = entries
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort_by(|one, other| other.cmp(one));
    files
}

fn forget_old(folder: &Path) {
    for (_, path) in files(folder).into_iter().skip(MOST) {
        // Another server may have been faster.
        let _ = fs::remove_file(path);
    }
}
