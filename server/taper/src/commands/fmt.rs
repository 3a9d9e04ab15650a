//! `taper fmt`: files in the one layout.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use crate::{files, report};

#[derive(Args)]
pub struct Arguments {
    /// Change nothing; name the files that are not in the layout, and fail if there are any.
    #[arg(long)]
    check: bool,
    /// `.taper` files; `-` formats standard input to standard output.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

pub fn run(arguments: &Arguments) -> super::Result {
    let mut failed = false;
    for path in &arguments.files {
        let text = files::read(path)?;
        let parse = syntax::parse(&text);
        let Some(formatted) = syntax::format::format(&parse) else {
            let mut workspace = analysis::Workspace::default();
            let file = workspace.insert(&files::key(path), parse);
            let mut found = analysis::analyse(&workspace, file, &Default::default()).diagnostics;
            found.retain(|one| one.code == analysis::Code::Syntax);
            report::print(&workspace, &found);
            failed = true;
            continue;
        };
        let is_stdin = path.as_os_str() == "-";
        if is_stdin && !arguments.check {
            anstream::print!("{formatted}");
        } else if formatted != text && arguments.check {
            anstream::println!("{} is not formatted", path.display());
            failed = true;
        } else if formatted != text {
            std::fs::write(path, formatted)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
