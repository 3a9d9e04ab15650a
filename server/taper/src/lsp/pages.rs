//! The page that explains diagnostics, for editors to open: a file of the user's temporary folder,
//! written when it is first linked to.

use std::{path::PathBuf, sync::OnceLock};

use analysis::Code;
use tower_lsp::lsp_types::{CodeDescription, Url};

/// The link to the section of a code; none where the page cannot be written.
pub fn link(code: Code) -> Option<CodeDescription> {
    static PAGE: OnceLock<Option<Url>> = OnceLock::new();
    let mut href = PAGE.get_or_init(|| Url::from_file_path(write()?).ok()).clone()?;
    href.set_fragment(Some(&code.number().to_ascii_lowercase()));
    Some(CodeDescription { href })
}

fn write() -> Option<PathBuf> {
    let path =
        std::env::temp_dir().join(concat!("taper-", env!("CARGO_PKG_VERSION"), "-errors.md"));
    let page = Code::page();
    let is_there = std::fs::read_to_string(&path).is_ok_and(|known| known == page);
    if !is_there {
        std::fs::write(&path, page).ok()?;
    }
    Some(path)
}
