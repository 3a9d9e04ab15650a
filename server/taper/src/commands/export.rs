//! `taper export`: a model as source in another language.

use std::{path::PathBuf, process::ExitCode};

use analysis::{Diagnostic, Severity};
use clap::{Args, ValueEnum};

use crate::{
    commands::{ModelArguments, mistakes},
    report,
};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// The language.
    #[arg(long, value_enum)]
    to: Language,
    /// The file that is written; standard output unless given.
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    /// PyTorch modules with the parameter names of the model.
    Pytorch,
    /// A Rust module that uses Candle, with the parameter names of the model.
    Candle,
}

pub fn run(arguments: &Arguments) -> super::Result {
    let Some((opened, options)) = arguments.model.open()? else { return Ok(ExitCode::FAILURE) };
    let (workspace, file) = (opened.workspace, opened.file);
    let analysis = analysis::analyse(&workspace, file, &options);
    let mistakes = mistakes(&analysis);
    report::print(&workspace, &mistakes);
    let hinders = |mistake: &Diagnostic| {
        mistake.severity == Severity::Error && !mistake.code.leaves_the_model()
    };
    if mistakes.iter().any(hinders) {
        return Ok(ExitCode::FAILURE);
    }
    let model = arguments.model.choose(&analysis)?;
    let exported = match arguments.to {
        Language::Pytorch => translate::export::pytorch(&workspace, file, &options, model),
        Language::Candle => translate::export::candle(&workspace, file, &options, model),
    };
    let exported = match exported {
        Ok(exported) => exported,
        Err(error) => {
            let node = error.node.ok_or(error.message.as_str())?;
            report::error_at(&workspace, &error.message, workspace.place(node));
            return Ok(ExitCode::FAILURE);
        }
    };
    if !exported.fixed.is_empty() {
        let fixed = exported.fixed.join(", ");
        report::warning(&format!(
            "its steps are those of {fixed} only; `--set` chooses other sizes"
        ));
    }
    match &arguments.output {
        Some(path) => {
            std::fs::write(path, exported.text)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
            anstream::eprintln!("`{}` is in {}", model.name, path.display());
        }
        None => anstream::print!("{}", exported.text),
    }
    Ok(ExitCode::SUCCESS)
}
