//! Text to tokens. Every byte lands in a token, so nothing is lost.

use logos::Logos;

use crate::{Kind, words::RESERVED_WORDS};

/// A token: its kind and where it begins. It ends where the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: Kind,
    pub start: u32,
}

#[derive(Logos, Debug, Clone, Copy, PartialEq)]
enum Raw {
    #[regex(r"[ \t\u{c}\u{feff}]+")]
    Whitespace,
    #[regex(r"\r?\n|\r")]
    Newline,
    #[regex(r"#[^\r\n]*", allow_greedy = true)]
    Comment,

    #[regex(r"[A-Za-z_][A-Za-z0-9_]*")]
    Name,
    #[regex(r"[0-9][0-9_]*", priority = 4)]
    Int,
    #[regex(r"[0-9][0-9_]*\.[0-9][0-9_]*([eE][+-]?[0-9][0-9_]*)?")]
    #[regex(r"[0-9][0-9_]*[eE][+-]?[0-9][0-9_]*", priority = 6)]
    Float,
    #[regex(r"[0-9][0-9_]*(\.[0-9][0-9_]*)?[A-Za-z][A-Za-z0-9]*", priority = 3)]
    Magnitude,
    #[regex(r#""([^"\\\r\n]|\\[^\r\n])*""#)]
    String,

    #[token("(")]
    LeftParen,
    #[token(")")]
    RightParen,
    #[token("[")]
    LeftBracket,
    #[token("]")]
    RightBracket,
    #[token("{")]
    LeftBrace,
    #[token("}")]
    RightBrace,
    #[token(",")]
    Comma,
    #[token(":")]
    Colon,
    #[token(";")]
    Semicolon,
    #[token(".")]
    Dot,
    #[token("...")]
    Ellipsis,
    #[token("->")]
    Arrow,
    #[token("=")]
    Equal,
    #[token("==")]
    EqualEqual,
    #[token("!=")]
    NotEqual,
    #[token("<")]
    Less,
    #[token("<=")]
    LessEqual,
    #[token(">")]
    Greater,
    #[token(">=")]
    GreaterEqual,
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("*")]
    Star,
    #[token("**")]
    StarStar,
    #[token("/")]
    Slash,
    #[token("//")]
    SlashSlash,
    #[token("%")]
    Percent,
    #[token("@")]
    At,
}

/// Splits a text into tokens, trivia included.
pub(crate) fn lex(text: &str) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len() / 3);
    lex_into(text, 0, &mut tokens);
    tokens
}

fn lex_into(text: &str, offset: usize, tokens: &mut Vec<Token>) {
    let mut base = 0;
    let mut lexer = Raw::lexer(text);
    while let Some(raw) = lexer.next() {
        let span = lexer.span();
        let (start, end) = (base + span.start, base + span.end);
        let slice = &text[start..end];
        let kind = raw.map_or(Kind::Unknown, |raw| kind_of(raw, slice));

        // Right after a dot digits are a name: `layers.0.1` has no float in it.
        let after_dot = tokens.last().is_some_and(|token| token.kind == Kind::Dot);
        if after_dot && matches!(kind, Kind::Float | Kind::Magnitude) {
            let digits = slice.bytes().take_while(u8::is_ascii_digit).count();
            push(tokens, Kind::Int, offset + start);
            base = start + digits;
            lexer = Raw::lexer(&text[base..]);
            continue;
        }
        if kind == Kind::String && split_string(slice, offset + start, tokens) {
            continue;
        }
        push(tokens, kind, offset + start);
    }
}

fn push(tokens: &mut Vec<Token>, kind: Kind, start: usize) {
    // A run of characters that begin no token is one token, so that it gives one message.
    let repeats = kind == Kind::Unknown && tokens.last().is_some_and(|last| last.kind == kind);
    if !repeats {
        // The text is at most `MAX_TEXT` bytes long, so the offset fits.
        tokens.push(Token { kind, start: start as u32 });
    }
}

/// Splits `"layer{i + 1}"` into its parts; false if the string has none or its braces do not match.
fn split_string(slice: &str, offset: usize, tokens: &mut Vec<Token>) -> bool {
    let Some(holes) = holes(slice) else { return false };
    if holes.is_empty() {
        return false;
    }
    let mut start = 0;
    for (index, hole) in holes.iter().enumerate() {
        let kind = if index == 0 { Kind::StringHead } else { Kind::StringMid };
        push(tokens, kind, offset + start);
        lex_into(&slice[hole.clone()], offset + hole.start, tokens);
        start = hole.end;
    }
    push(tokens, Kind::StringTail, offset + start);
    true
}

/// The ranges between single braces in a string; `None` if they do not match.
fn holes(slice: &str) -> Option<Vec<std::ops::Range<usize>>> {
    let bytes = slice.as_bytes();
    let mut holes = Vec::new();
    let mut at = 1;
    while at + 1 < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'{' if bytes[at + 1] == b'{' => at += 2,
            b'{' => {
                let length = slice[at + 1..].find(['{', '}', '"'])?;
                let end = at + 1 + length;
                if bytes[end] != b'}' || slice[at + 1..end].trim().is_empty() {
                    return None;
                }
                holes.push(at + 1..end);
                at = end + 1;
            }
            _ => at += 1,
        }
    }
    Some(holes)
}

fn kind_of(raw: Raw, slice: &str) -> Kind {
    match raw {
        Raw::Whitespace => Kind::Whitespace,
        Raw::Newline => Kind::Newline,
        Raw::Comment if slice.starts_with("##") => Kind::DocComment,
        Raw::Comment => Kind::Comment,
        Raw::Name => {
            let reserved = RESERVED_WORDS.iter().find(|(word, _)| *word == slice);
            reserved.map_or(Kind::Name, |(_, kind)| *kind)
        }
        Raw::Int => Kind::Int,
        Raw::Float => Kind::Float,
        Raw::Magnitude => Kind::Magnitude,
        Raw::String => Kind::String,
        Raw::LeftParen => Kind::LeftParen,
        Raw::RightParen => Kind::RightParen,
        Raw::LeftBracket => Kind::LeftBracket,
        Raw::RightBracket => Kind::RightBracket,
        Raw::LeftBrace => Kind::LeftBrace,
        Raw::RightBrace => Kind::RightBrace,
        Raw::Comma => Kind::Comma,
        Raw::Colon => Kind::Colon,
        Raw::Semicolon => Kind::Semicolon,
        Raw::Dot => Kind::Dot,
        Raw::Ellipsis => Kind::Ellipsis,
        Raw::Arrow => Kind::Arrow,
        Raw::Equal => Kind::Equal,
        Raw::EqualEqual => Kind::EqualEqual,
        Raw::NotEqual => Kind::NotEqual,
        Raw::Less => Kind::Less,
        Raw::LessEqual => Kind::LessEqual,
        Raw::Greater => Kind::Greater,
        Raw::GreaterEqual => Kind::GreaterEqual,
        Raw::Plus => Kind::Plus,
        Raw::Minus => Kind::Minus,
        Raw::Star => Kind::Star,
        Raw::StarStar => Kind::StarStar,
        Raw::Slash => Kind::Slash,
        Raw::SlashSlash => Kind::SlashSlash,
        Raw::Percent => Kind::Percent,
        Raw::At => Kind::At,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        let tokens = lex(text);
        let ends = tokens.iter().skip(1).map(|token| token.start).chain([text.len() as u32]);
        tokens
            .iter()
            .zip(ends)
            .map(|(token, end)| (token.kind, &text[token.start as usize..end as usize]))
            .filter(|(kind, _)| *kind != Kind::Whitespace)
            .collect()
    }

    #[test]
    fn digits_after_a_dot_are_a_name() {
        let expected = [
            (Kind::Name, "layers"),
            (Kind::Dot, "."),
            (Kind::Int, "0"),
            (Kind::Dot, "."),
            (Kind::Int, "1"),
            (Kind::Dot, "."),
            (Kind::Name, "mlp"),
        ];
        assert_eq!(kinds("layers.0.1.mlp"), expected);
    }

    #[test]
    fn numbers() {
        let expected = [
            (Kind::Int, "61_100_840"),
            (Kind::Float, "1e-5"),
            (Kind::Float, "0.5"),
            (Kind::Magnitude, "5.4M"),
            (Kind::Magnitude, "16GiB"),
        ];
        assert_eq!(kinds("61_100_840 1e-5 0.5 5.4M 16GiB"), expected);
    }

    #[test]
    fn strings_compute_in_single_braces() {
        let expected = [
            (Kind::StringHead, "\"a{"),
            (Kind::Name, "i"),
            (Kind::Plus, "+"),
            (Kind::Int, "1"),
            (Kind::StringMid, "}.{"),
            (Kind::Name, "j"),
            (Kind::StringTail, "}\""),
        ];
        assert_eq!(kinds("\"a{i + 1}.{j}\""), expected);
        assert_eq!(kinds("\"{{i}}\""), [(Kind::String, "\"{{i}}\"")]);
        assert_eq!(kinds("\"{\""), [(Kind::String, "\"{\"")]);
    }

    #[test]
    fn every_byte_is_kept() {
        for text in ["\0\u{1F600}é", "\"open", "a\r\nb\rc", "1.e5 .5 1..2"] {
            let tokens = lex(text);
            assert_eq!(tokens[0].start, 0, "{text:?}");
            assert!(tokens.windows(2).all(|pair| pair[0].start < pair[1].start), "{text:?}");
        }
    }
}
