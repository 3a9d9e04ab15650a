//! Semantic tokens: whole, of a range, and as the difference from the last answer.

use ide::TokenKind;
use syntax::TextRange;
use tower_lsp::lsp_types::*;

use super::Context;

pub fn tokens_full(context: Context<'_>, _: SemanticTokensParams) -> Option<SemanticTokensResult> {
    let tokens = whole(context);
    remember(context, &tokens);
    Some(SemanticTokensResult::Tokens(tokens))
}

pub fn tokens_range(
    context: Context<'_>,
    params: SemanticTokensRangeParams,
) -> Option<SemanticTokensRangeResult> {
    let range = context.document.text_range(params.range);
    let data = encode(context, Some(range));
    Some(SemanticTokensRangeResult::Tokens(SemanticTokens { result_id: None, data }))
}

pub fn tokens_delta(
    context: Context<'_>,
    params: SemanticTokensDeltaParams,
) -> Option<SemanticTokensFullDeltaResult> {
    let tokens = whole(context);
    let before = remember(context, &tokens)
        .filter(|before| before.result_id.as_ref() == Some(&params.previous_result_id));
    Some(match before {
        Some(before) => SemanticTokensFullDeltaResult::TokensDelta(SemanticTokensDelta {
            result_id: tokens.result_id,
            edits: difference(&before.data, &tokens.data).into_iter().collect(),
        }),
        None => SemanticTokensFullDeltaResult::Tokens(tokens),
    })
}

fn whole(context: Context<'_>) -> SemanticTokens {
    let result_id = Some(context.document.state.to_string());
    SemanticTokens { result_id, data: encode(context, None) }
}

/// Keeps an answer, and gives the one before it.
fn remember(context: Context<'_>, tokens: &SemanticTokens) -> Option<SemanticTokens> {
    let mut known = context.world.tokens.lock().ok()?;
    known.insert(context.document.uri.clone(), tokens.clone())
}

/// One edit from the first token that differs to the last.
fn difference(old: &[SemanticToken], new: &[SemanticToken]) -> Option<SemanticTokensEdit> {
    let before = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[before..], &new[before..]);
    let after = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[..old.len() - after], &new[..new.len() - after]);
    if old.is_empty() && new.is_empty() {
        return None;
    }
    // A token is five numbers.
    Some(SemanticTokensEdit {
        start: 5 * before as u32,
        delete_count: 5 * old.len() as u32,
        data: Some(new.to_vec()),
    })
}

/// Each token by its distance from the one before.
fn encode(context: Context<'_>, range: Option<TextRange>) -> Vec<SemanticToken> {
    let positions = context.document.positions();
    let mut last = Position::default();
    let tokens = ide::tokens(context.snapshot(), range).into_iter().map(|token| {
        let Range { start, end } = positions.range(token.range);
        let delta_line = start.line - last.line;
        let delta_start = match delta_line {
            0 => start.character - last.character,
            _ => start.character,
        };
        last = start;
        SemanticToken {
            delta_line,
            delta_start,
            length: end.character.saturating_sub(start.character),
            token_type: number(token.kind),
            token_modifiers_bitset: u32::from(token.is_declaration)
                | (u32::from(token.is_builtin) << 1)
                | (u32::from(token.is_hot) << 2),
        }
    });
    tokens.collect()
}

/// The number of a kind in the legend.
fn number(kind: TokenKind) -> u32 {
    match kind {
        TokenKind::Keyword => 0,
        TokenKind::Comment => 1,
        TokenKind::String => 2,
        TokenKind::Number => 3,
        TokenKind::Operator => 4,
        TokenKind::Type => 5,
        TokenKind::Class => 6,
        TokenKind::Function => 7,
        TokenKind::Parameter => 8,
        TokenKind::Variable => 9,
        TokenKind::Size => 10,
        TokenKind::Label => 11,
    }
}
