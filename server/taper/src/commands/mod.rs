//! One file per command.

pub mod bench;
pub mod check;
pub mod diff;
pub mod estimate;
pub mod explain;
pub mod export;
pub mod fits;
pub mod fmt;
pub mod hints;
pub mod import;
pub mod inspect;
pub mod new;
pub mod summary;
pub mod sweep;
pub mod why;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

use analysis::{Analysis, Code, Diagnostic, Model, Options, Severity, Workspace};
use clap::{
    Args,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use layers::DType;

use crate::{
    count::{self, Count},
    files::{self, Opened},
    report,
};

pub type Result = std::result::Result<ExitCode, Box<dyn Error>>;

/// What the commands about a model have in common.
#[derive(Args, Clone)]
pub struct ModelArguments {
    /// A `.taper` file, a `config.json`, an architecture as `library:resnet50`, or `-` for standard
    /// input.
    pub file: PathBuf,
    #[command(flatten)]
    pub choice: ModelChoice,
}

/// Which model of a file is meant, and how.
#[derive(Args, Clone)]
pub struct ModelChoice {
    /// The model to show; the first one unless given.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// A size of a symbol or a value of a parameter.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub set: Vec<(String, String)>,
    /// The dtype of weights and activations.
    #[arg(long, value_parser = parse_dtype)]
    pub dtype: Option<DType>,
    /// Kinds of layers whose work is not counted, such as BatchNorm2d,ReLU.
    #[arg(long, value_name = "KIND", value_parser = parse_kind, value_delimiter = ',')]
    pub ignore: Vec<String>,
    /// The only kinds of layers whose work is counted, such as Conv2d,Linear.
    #[arg(long, value_name = "KIND", value_parser = parse_kind, value_delimiter = ',')]
    pub only: Vec<String>,
    #[command(flatten)]
    pub architectures: Architectures,
}

/// What is wrong with a model, but for what its file expects of it: at other sizes that is something else.
pub fn mistakes(analysis: &Analysis) -> Vec<Diagnostic> {
    let expected = [Code::Expectation, Code::Promise];
    let wrong = analysis.diagnostics.iter().filter(|found| !expected.contains(&found.code));
    wrong.cloned().collect()
}

/// Prints what is wrong with a model at these sizes, but for what it promises of others and what was told already; whether
/// anything is.
pub fn print_wrong_here(
    workspace: &Workspace,
    analysis: &Analysis,
    told: &mut Vec<Diagnostic>,
) -> bool {
    let here = analysis.diagnostics.iter().filter(|found| found.code != Code::Promise);
    let here: Vec<Diagnostic> = here.cloned().collect();
    let new: Vec<Diagnostic> = here.iter().filter(|one| !told.contains(one)).cloned().collect();
    report::print(workspace, &new);
    told.extend(new);
    here.iter().any(|found| found.severity == Severity::Error)
}

/// What is said below figures that lack the work of such kinds of steps; nothing where they lack none.
pub fn least(mut kinds: Vec<String>) -> Option<String> {
    kinds.sort();
    kinds.dedup();
    let kinds = kinds.join(", ");
    let what = format!("The work of {kinds} is not known, so the figures are a least.");
    (!kinds.is_empty()).then_some(what)
}

/// Whose rules count the work.
#[derive(Args, Clone, Copy)]
pub struct CountArguments {
    /// Whose rules count the work.
    #[arg(long, value_parser = parse_count(), default_value = "taper")]
    pub count: Count,
}

pub fn parse_count() -> impl TypedValueParser<Value = Count> {
    let names = count::all().map(|(name, summary)| PossibleValue::new(name).help(summary));
    PossibleValuesParser::new(names).map(|name| count::find(&name).flatten())
}

/// Whether each name is given one value.
///
/// # Errors
/// If one is given two.
pub fn given_once<'n>(names: impl Iterator<Item = &'n str>) -> std::result::Result<(), String> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if seen.contains(&name) {
            return Err(format!("`{name}` is given twice"));
        }
        seen.push(name);
    }
    Ok(())
}

pub fn parse_setting(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((_, value)) if holds_another_setting(value) => {
            Err(format!("`{text}` holds several; each has a `--set` of its own"))
        }
        Some((name, value)) if !name.is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(format!("`{text}` is not of the form NAME=VALUE")),
    }
}

/// Whether a value goes on with another one: `64,W=64`. Within quotes or brackets it is a text or a list.
fn holds_another_setting(value: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.')
    };
    let has_quotes = value.contains(['"', '\'', '[', '(']);
    let mut rest = value.split(',').skip(1).filter_map(|part| part.split_once('='));
    !has_quotes && rest.any(|(name, _)| is_name(name.trim()))
}

fn parse_dtype(text: &str) -> std::result::Result<DType, String> {
    let names: Vec<&str> = DType::ALL.iter().map(|(_, name, _)| *name).collect();
    DType::parse(text).ok_or_else(|| format!("there are {}", names.join(", ")))
}

fn parse_kind(text: &str) -> std::result::Result<String, String> {
    let text = text.trim();
    if layers::is_kind(text) {
        return Ok(text.to_owned());
    }
    Err(match layers::nearest_kind(text) {
        Some(nearest) => format!("no layer is called `{text}`; did you mean `{nearest}`?"),
        None => {
            format!("no layer is called `{text}`; docs/layers.md lists them, and a block is none")
        }
    })
}

/// Files that may have the model of a config.
#[derive(Args, Clone)]
pub struct Architectures {
    /// A `.taper` file with models for configs whose architecture the library lacks.
    #[arg(long, value_name = "FILE")]
    pub architectures: Vec<PathBuf>,
}

impl ModelArguments {
    /// A file as it is, with nothing set.
    pub fn of(file: &Path) -> ModelArguments {
        let architectures = Architectures { architectures: Vec::new() };
        let (set, ignore, only) = (Vec::new(), Vec::new(), Vec::new());
        let choice = ModelChoice { model: None, set, dtype: None, ignore, only, architectures };
        ModelArguments { file: file.to_owned(), choice }
    }

    /// Opens the file, with how to analyse it. Why a config has no model is printed.
    pub fn open(&self) -> std::result::Result<Option<(Opened, Options)>, Box<dyn Error>> {
        self.choice.open(&self.file)
    }

    /// The model that is asked for.
    pub fn choose<'a>(
        &self,
        analysis: &'a Analysis,
    ) -> std::result::Result<&'a Model, Box<dyn Error>> {
        self.choice.choose(analysis)
    }
}

impl ModelChoice {
    pub fn options(&self) -> Options {
        let each_once = |kinds: &[String]| -> Vec<String> {
            let is_first = |at: usize| !kinds[..at].contains(&kinds[at]);
            (0..kinds.len()).filter(|at| is_first(*at)).map(|at| kinds[at].clone()).collect()
        };
        let (set, ignore, only) =
            (self.set.clone(), each_once(&self.ignore), each_once(&self.only));
        Options { set, dtype: self.dtype, ignore, only, ..Options::default() }
    }

    /// Opens a file, with how to analyse it. Why a config has no model is printed.
    pub fn open(
        &self,
        file: &Path,
    ) -> std::result::Result<Option<(Opened, Options)>, Box<dyn Error>> {
        match files::open(file, &self.architectures.architectures)? {
            Ok(opened) => {
                given_once(self.set.iter().map(|(name, _)| &name[..]))?;
                let model = self.one_of(&opened);
                let configured = opened.configured.clone();
                Ok(Some((opened, Options { configured, model, ..self.options() })))
            }
            Err((workspace, diagnostic)) => {
                report::print(&workspace, &[diagnostic]);
                Ok(None)
            }
        }
    }

    /// The name of the model that is asked for, if the file has it: mistakes in others are not this one's.
    fn one_of(&self, opened: &Opened) -> Option<String> {
        // A config says itself which one it is.
        if opened.configured.is_some() {
            return None;
        }
        let items = opened.workspace.parse(opened.file).file().items();
        let mut items = items.filter_map(|item| Some((item.is_model(), item.name()?.text())));
        let found = items.find(|(is_model, name)| match &self.model {
            Some(wanted) => wanted == name,
            None => *is_model,
        });
        found.map(|(_, name)| name.to_owned())
    }

    /// The model that is asked for; what is set must be a symbol or a parameter of it.
    pub fn choose<'a>(
        &self,
        analysis: &'a Analysis,
    ) -> std::result::Result<&'a Model, Box<dyn Error>> {
        let found = match &self.model {
            Some(name) => analysis.model(name),
            None => analysis.models.first(),
        };
        let Some(model) = found else { return Err(self.no_model(analysis).into()) };
        // Where an input is wrong its symbols are not known, and that was said.
        let is_wrong = mistakes(analysis).iter().any(|found| found.severity == Severity::Error);
        for (name, _) in self.set.iter().filter(|_| !is_wrong) {
            let is_symbol = model.symbols.iter().any(|symbol| symbol.name == *name);
            let is_parameter = model.arguments.iter().any(|(parameter, _)| parameter == name);
            if !is_symbol && !is_parameter {
                let symbols = model.symbols.iter().map(|symbol| symbol.name.as_str());
                let known: Vec<&str> =
                    symbols.chain(model.arguments.iter().map(|(name, _)| name.as_str())).collect();
                return Err(format!(
                    "`{}` has no symbol or parameter `{name}`; it has {}",
                    model.name,
                    known.join(", ")
                )
                .into());
            }
        }
        Ok(model)
    }

    fn no_model(&self, analysis: &Analysis) -> String {
        let incomplete = analysis
            .incomplete
            .iter()
            .find(|(name, _)| self.model.as_ref().is_none_or(|wanted| wanted == name));
        if let Some((name, missing)) = incomplete {
            let settings: Vec<String> =
                missing.iter().map(|name| format!("--set {name}=…")).collect();
            return format!("`{name}` needs arguments: {}", settings.join(" "));
        }
        let names: Vec<&str> = analysis.models.iter().map(|model| model.name.as_str()).collect();
        match &self.model {
            Some(name) => format!("there is no model `{name}`; there is {}", names.join(", ")),
            None => "this file has no model".to_owned(),
        }
    }
}
