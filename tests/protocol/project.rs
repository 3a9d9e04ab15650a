//! A folder with files, removed when the test ends.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

pub struct Project(PathBuf);

impl Project {
    pub fn new(files: &[(&str, &str)]) -> Project {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("project-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let project = Project(folder);
        files.iter().for_each(|(name, text)| project.write(name, text));
        project
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.0.join(name), text).expect("to write");
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.0.join(name)).expect("to remove");
    }

    /// The path of a file; of the folder itself for an empty name.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    /// The address of a file; of the folder itself for an empty name.
    pub fn uri(&self, name: &str) -> String {
        let path = self.0.join(name).to_string_lossy().trim_end_matches('/').to_owned();
        format!("file://{path}")
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
