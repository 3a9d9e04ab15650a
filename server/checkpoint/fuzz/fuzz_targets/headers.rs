//! Any bytes as the header of any kind of checkpoint, and as a config.
//!
//! ```text
//! cargo +nightly fuzz run headers fuzz/corpus/headers fuzz/seeds -- -dict=fuzz/headers.dict -max_total_time=3600 -max_len=65536 -malloc_limit_mb=8
//! ```
#![no_main]

use std::path::Path;

use checkpoint::{Checkpoint, config::Config, outline::outline};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, bytes) = input;
    match kind % 5 {
        // A length that is right, so that the header is reached, with some bytes of data.
        0 => {
            let header = &bytes[..bytes.len() - bytes.len().min(usize::from(kind / 5))];
            let length = (header.len() as u64).to_le_bytes();
            read("model.safetensors", &[&length, header, &bytes[header.len()..]].concat());
        }
        1 => read("model.safetensors", bytes),
        2 => read("model.safetensors.index.json", bytes),
        3 => read("model.gguf", bytes),
        _ => {
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            if let Ok(config) = Config::parse(text) {
                assert!(config.keys.iter().all(|key| text.get(key.place.clone()).is_some()));
                config.arguments();
            }
        }
    }
});

fn read(name: &str, bytes: &[u8]) {
    // No shard is there.
    let path = Path::new("/nonexistent").join(name);
    if let Ok(found) = Checkpoint::from_bytes(&path, bytes) {
        let lines = outline(&found.tensors, usize::MAX);
        let listed = lines.iter().filter(|line| line.shape.is_some()).count();
        assert!(listed <= found.tensors.len());
        assert!(found.tensors.iter().all(|tensor| (tensor.file as usize) < found.files.len()));
        let _ = (found.bytes(), found.numel(), found.dtypes());
    }
}
