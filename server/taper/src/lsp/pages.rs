//! Files of the user's cache, for editors to open.

use std::{
    io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use analysis::Code;
use tower_lsp::lsp_types::{CodeDescription, Url};

/// The link to the section of a code in the page that explains diagnostics; none where the page
/// cannot be written.
pub fn link(code: Code) -> Option<CodeDescription> {
    static PAGE: OnceLock<Option<Url>> = OnceLock::new();
    let write = || Url::from_file_path(write(Path::new("errors.md"), &Code::page()).ok()?).ok();
    let mut href = PAGE.get_or_init(write).clone()?;
    href.set_fragment(Some(&code.number().to_ascii_lowercase()));
    Some(CodeDescription { href })
}

/// Writes a text that is not there yet, below this version's folder, as a file that is only read.
pub fn write(below: &Path, text: &str) -> io::Result<PathBuf> {
    let folder = crate::cache::folder().join(concat!("pages-", env!("CARGO_PKG_VERSION")));
    let path = folder.join(below);
    if std::fs::read_to_string(&path).is_ok_and(|known| known == text) {
        return Ok(path);
    }
    std::fs::create_dir_all(path.parent().unwrap_or(&folder))?;
    // In one step, as an editor may be reading it, and the old one may not be written.
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(&folder))?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    let mut permissions = file.as_file().metadata()?.permissions();
    permissions.set_readonly(true);
    file.as_file().set_permissions(permissions)?;
    file.persist(&path)?;
    Ok(path)
}
