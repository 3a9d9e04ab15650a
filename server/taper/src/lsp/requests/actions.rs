//! Code actions and code lenses.

use ide::{ActionKind, Benchmark, Click};
use tower_lsp::lsp_types::*;

use super::{Context, rename::Edits};
use crate::lsp::{
    capabilities::{BENCHMARK, SHOW},
    event::BenchmarkParams,
    view::View,
};

pub fn code_actions(context: Context<'_>, params: CodeActionParams) -> Option<CodeActionResponse> {
    let selection = context.document.text_range(params.range);
    let wanted = params.context.only;
    let actions = ide::actions(context.snapshot(), selection).into_iter();
    let actions = actions
        .filter(|action| action.disabled.is_none() || context.world.client.disabled_actions)
        .map(|action| convert(context, action, &params.context.diagnostics))
        .filter(|action| {
            let kind = action.kind.as_ref().map_or("", CodeActionKind::as_str);
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.iter().any(|wanted| is_below(kind, wanted.as_str())))
        });
    Some(actions.map(CodeActionOrCommand::CodeAction).collect())
}

/// Whether a kind is another one or part of it: `refactor.extract` is below `refactor`.
fn is_below(kind: &str, wanted: &str) -> bool {
    let rest = kind.strip_prefix(wanted);
    wanted.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn convert(context: Context<'_>, action: ide::Action, diagnostics: &[Diagnostic]) -> CodeAction {
    let kind = match action.kind {
        ActionKind::QuickFix => CodeActionKind::QUICKFIX,
        ActionKind::Extract => CodeActionKind::REFACTOR_EXTRACT,
        ActionKind::Inline => CodeActionKind::REFACTOR_INLINE,
        ActionKind::Rewrite => CodeActionKind::REFACTOR_REWRITE,
        // Editors hide `source` from the list of what can be done here.
        ActionKind::Other => CodeActionKind::EMPTY,
    };
    let mut edits = Edits::default();
    for edit in &action.edits {
        edits.add(context.world, &context.snapshot().workspace, edit.place, &edit.text);
    }
    let does_edit = action.disabled.is_none() && action.click.is_none();
    let command = action.click.as_ref().and_then(|click| clicked(context, click));
    let command = command.map(|command| Command { title: action.title.clone(), ..command });
    let solved = (action.kind == ActionKind::QuickFix).then(|| diagnostics.to_vec());
    CodeAction {
        title: action.title,
        kind: Some(kind),
        diagnostics: solved,
        edit: does_edit.then(|| edits.finish(context.world, None)),
        command: command.filter(|_| action.disabled.is_none()),
        is_preferred: action.is_preferred.then_some(true),
        disabled: action.disabled.map(|reason| CodeActionDisabled { reason }),
        ..CodeAction::default()
    }
}

/// What models and blocks cost, above their heads. A click on a model's figures opens its layers,
/// on an index's its tensors.
pub fn code_lenses(context: Context<'_>, _: CodeLensParams) -> Option<Vec<CodeLens>> {
    let path = || context.document.path.clone();
    if let Some(checkpoint) = context.document.index() {
        let units = context.world.settings.display().units;
        let lens = ide::index_lens(checkpoint.as_ref().ok()?, units);
        let click = show(context, &View::Tensors { path: path() });
        return Some(vec![code_lens(context, lens, click)]);
    }
    let lenses = ide::lenses(context.snapshot()).into_iter().map(|lens| {
        let click = lens.click.as_ref().and_then(|click| clicked(context, click));
        code_lens(context, lens, click)
    });
    Some(lenses.collect())
}

/// The command of a click, where the client can do it.
fn clicked(context: Context<'_>, click: &Click) -> Option<Command> {
    let path = || context.document.path.clone();
    match click {
        Click::Layers(model) => {
            show(context, &View::Layers { path: path(), model: model.to_string() })
        }
        Click::Report(model) => {
            show(context, &View::Report { path: path(), model: model.to_string() })
        }
        Click::Benchmark(benchmark) => Some(run(context, benchmark)),
    }
}

/// The command that shows a document, where the client can.
fn show(context: Context<'_>, view: &View) -> Option<Command> {
    let uri = view.uri().filter(|_| context.world.client.shows_documents)?;
    let arguments = Some(vec![uri.as_str().into()]);
    Some(Command { command: SHOW.to_owned(), arguments, ..Command::default() })
}

/// The command that measures.
fn run(context: Context<'_>, benchmark: &Benchmark) -> Command {
    let params = BenchmarkParams {
        uri: context.document.uri.clone(),
        model: benchmark.model.to_string(),
        scope: benchmark.scope.clone(),
        device: benchmark.device.clone(),
    };
    // It has nothing that JSON has not.
    let argument = serde_json::to_value(params).unwrap_or_default();
    let arguments = Some(vec![argument]);
    Command { command: BENCHMARK.to_owned(), arguments, ..Command::default() }
}

/// A lens; nothing happens on a click where nothing can be shown, as the command has no name.
fn code_lens(context: Context<'_>, lens: ide::Lens, click: Option<Command>) -> CodeLens {
    let command = Command { title: lens.title, ..click.unwrap_or_default() };
    CodeLens { range: context.document.range(lens.range), command: Some(command), data: None }
}
