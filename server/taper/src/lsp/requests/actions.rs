//! Code actions and code lenses.

use ide::ActionKind;
use tower_lsp::lsp_types::*;

use super::{Context, rename::Edits};

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
        ActionKind::Other => CodeActionKind::SOURCE,
    };
    let mut edits = Edits::default();
    for edit in &action.edits {
        edits.add(context.world, &context.snapshot().workspace, edit.place, &edit.text);
    }
    let solved = (action.kind == ActionKind::QuickFix).then(|| diagnostics.to_vec());
    CodeAction {
        title: action.title,
        kind: Some(kind),
        diagnostics: solved,
        edit: action.disabled.is_none().then(|| edits.finish(context.world, None)),
        is_preferred: action.is_preferred.then_some(true),
        disabled: action.disabled.map(|reason| CodeActionDisabled { reason }),
        ..CodeAction::default()
    }
}

/// What models and blocks cost, above their heads. Nothing happens on a click: the command has no
/// name.
pub fn code_lenses(context: Context<'_>, _: CodeLensParams) -> Option<Vec<CodeLens>> {
    let lenses = ide::lenses(context.snapshot()).into_iter().map(|lens| CodeLens {
        range: context.document.range(lens.range),
        command: Some(Command { title: lens.title, ..Command::default() }),
        data: None,
    });
    Some(lenses.collect())
}
