//! The Taper files and configs of a revision of a git repository, in a folder of their own.

use std::{
    ffi::OsStr,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// Files as they were at a revision.
pub struct Revision {
    /// They are there as long as this is.
    _folder: TempDir,
    /// Where the file that was asked for lies.
    pub file: PathBuf,
    /// Its path in the repository.
    pub path: String,
}

impl Revision {
    /// The files of the repository in which a file lies. `git` reads them.
    ///
    /// # Errors
    /// If git is not there, the file is in no repository, or was not there at that revision.
    pub fn of(file: &Path, revision: &str) -> Result<Revision, String> {
        let file = file
            .canonicalize()
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let beside = file.parent().unwrap_or(Path::new("."));
        let root = text(git(beside, ["rev-parse", "--show-toplevel"], &[])?)?;
        let root = Path::new(root.trim()).canonicalize().map_err(|error| error.to_string())?;
        let inside = file.strip_prefix(&root).map_err(|error| error.to_string())?;
        let commit = format!("{revision}^{{commit}}");
        let commit = text(
            git(&root, ["rev-parse", "--verify", "--quiet", &commit], &[])
                .map_err(|_| format!("git knows no revision `{revision}`"))?,
        )?;
        let listed = git(&root, ["ls-tree", "-r", "-z", "--name-only", commit.trim()], &[])?;
        let wanted: Vec<u8> = listed
            .split_inclusive(|byte| *byte == 0)
            .filter(|name| is_wanted(name))
            .flatten()
            .copied()
            .collect();
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        // An index of its own: the repository's is not touched.
        let index = folder.path().join("index");
        let prefix = format!("--prefix={}/", folder.path().display());
        with_index(&root, &index, ["read-tree", commit.trim()], &[])?;
        with_index(&root, &index, ["checkout-index", "-z", "--stdin", &prefix], &wanted)?;
        let file = folder.path().join(inside);
        let path = inside.display().to_string();
        match file.exists() {
            true => Ok(Revision { _folder: folder, file, path }),
            false => Err(format!("{path} was not there at {revision}")),
        }
    }
}

/// Whether a file can be part of a model: its name ends with a 0.
fn is_wanted(name: &[u8]) -> bool {
    name.ends_with(b".taper\0") || name.ends_with(b".json\0")
}

fn git<'a>(
    folder: &Path,
    arguments: impl IntoIterator<Item = &'a str>,
    input: &[u8],
) -> Result<Vec<u8>, String> {
    run(Command::new("git").arg("-C").arg(folder).args(arguments), input)
}

fn with_index<'a>(
    root: &Path,
    index: &Path,
    arguments: impl IntoIterator<Item = &'a str>,
    input: &[u8],
) -> Result<Vec<u8>, String> {
    let index: &OsStr = index.as_os_str();
    let mut command = Command::new("git");
    run(command.arg("-C").arg(root).args(arguments).env("GIT_INDEX_FILE", index), input)
}

fn run(command: &mut Command, input: &[u8]) -> Result<Vec<u8>, String> {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| format!("cannot run git: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A git that ends early says why itself.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(|error| format!("git: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let message = String::from_utf8_lossy(&output.stderr);
    Err(message.trim().lines().next().unwrap_or("git failed").to_owned())
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "git prints a name that is no UTF-8".to_owned())
}
