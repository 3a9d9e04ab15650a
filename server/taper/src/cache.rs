//! The folder of the user's cache that is ours.

use std::path::PathBuf;

use etcetera::BaseStrategy;

/// `taper` in the user's cache folder (`$XDG_CACHE_HOME` or `~/.cache`, on Windows
/// `%LOCALAPPDATA%`); of one who has none, in that of temporary files.
pub fn folder() -> PathBuf {
    let cache = etcetera::choose_base_strategy().map(|strategy| strategy.cache_dir());
    cache.unwrap_or_else(|_| std::env::temp_dir()).join("taper")
}
