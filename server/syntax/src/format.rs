//! The one layout: four spaces a level, one space around operators, no aligned columns, at most
//! one blank line. Only white space changes, and line breaks stay where they are, so the meaning
//! and every comment are kept.

use crate::{Element, Kind, Parse, SyntaxNode, SyntaxToken};

const INDENT: usize = 4;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The text in the one layout; `None` if it has syntax errors, because a broken line says too
/// little about where it belongs.
///
/// ```
/// let parse = syntax::parse("block A{Linear( 4,bias = false)}");
/// let formatted = syntax::format::format(&parse).unwrap();
/// assert_eq!(formatted, "block A { Linear(4, bias=false) }\n");
/// ```
pub fn format(parse: &Parse) -> Option<String> {
    if !parse.errors().is_empty() {
        return None;
    }
    let mut formatter = Formatter::default();
    // The mark at the start of some Windows texts stays.
    formatter.out.extend(parse.text().starts_with(BYTE_ORDER_MARK).then_some(BYTE_ORDER_MARK));
    formatter.node(parse.tree().root());
    let text = formatter.finish();
    // Lines end as the first one does.
    let first = parse.text().find('\n').and_then(|end| end.checked_sub(1));
    let is_crlf = first.is_some_and(|at| parse.text().as_bytes()[at] == b'\r');
    Some(if is_crlf { text.replace('\n', "\r\n") } else { text })
}

#[derive(Default)]
struct Formatter<'t> {
    out: String,
    line: Vec<Placed<'t>>,
    /// The indentation of the line on which each open bracket stands.
    open: Vec<usize>,
    blank_lines: usize,
}

/// A token and the nodes around it that decide its spacing.
#[derive(Clone, Copy)]
struct Placed<'t> {
    token: SyntaxToken<'t>,
    parent: Kind,
    grandparent: Kind,
}

impl<'t> Formatter<'t> {
    fn node(&mut self, node: SyntaxNode<'t>) {
        let grandparent = node.parent().map_or(Kind::File, SyntaxNode::kind);
        for element in node.elements() {
            match element {
                Element::Node(child) => self.node(child),
                Element::Token(token) => match token.kind() {
                    Kind::Newline => self.end_line(),
                    Kind::Whitespace => {}
                    _ => self.line.push(Placed { token, parent: node.kind(), grandparent }),
                },
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let Some(first) = line.first() else {
            self.blank_lines += 1;
            return;
        };
        if self.blank_lines > 0 && !self.out.trim_start_matches(BYTE_ORDER_MARK).is_empty() {
            self.out.push('\n');
        }
        self.blank_lines = 0;

        let indent = self.indent(first.token.kind());
        self.out.extend(std::iter::repeat_n(' ', indent));
        // What opens on the last line of a bracket belongs to the line where that bracket opened.
        let mut base = indent;
        for (index, placed) in line.iter().enumerate() {
            if let Some(before) = index.checked_sub(1).map(|before| line[before]) {
                self.out.push_str(space_between(before, *placed));
            }
            self.out.push_str(placed.token.text().trim_end());
            let kind = placed.token.kind();
            if kind.is_opening() {
                self.open.push(base);
            } else if kind.is_closing() {
                base = base.min(self.open.pop().unwrap_or(0));
            }
        }
        self.out.push('\n');
    }

    /// The indentation of a line that begins with a token of this kind.
    fn indent(&self, first: Kind) -> usize {
        let inside = self.open.last().map_or(0, |indent| indent + INDENT);
        match first {
            kind if kind.is_closing() => self.open.last().copied().unwrap_or(0),
            Kind::Arrow => inside + INDENT,
            _ => inside,
        }
    }

    fn finish(mut self) -> String {
        self.end_line();
        self.out
    }
}

fn space_between(left: Placed<'_>, right: Placed<'_>) -> &'static str {
    let (before, after) = (left.token.kind(), right.token.kind());
    if matches!(after, Kind::Comment | Kind::DocComment) {
        return "  ";
    }
    let tight = match after {
        Kind::Comma | Kind::Semicolon | Kind::RightParen | Kind::RightBracket | Kind::Dot => true,
        Kind::StringMid | Kind::StringTail => true,
        Kind::Colon => before != Kind::Comma,
        Kind::LeftParen => matches!(right.parent, Kind::Call | Kind::Parameters),
        Kind::LeftBracket => right.parent == Kind::Index || left.parent == Kind::Dtype,
        Kind::RightBrace => before == Kind::LeftBrace,
        Kind::Equal => is_argument(right),
        _ => false,
    };
    let tight = tight
        || match before {
            Kind::LeftParen | Kind::LeftBracket | Kind::Dot => true,
            Kind::StringHead | Kind::StringMid => true,
            Kind::Minus => left.parent == Kind::Unary,
            Kind::Colon => left.parent == Kind::Slice,
            Kind::Equal => is_argument(left),
            _ => false,
        };
    if tight { "" } else { " " }
}

/// `kernel_size=3` in a call is tight; `N = 1` after `at` is not.
fn is_argument(equal: Placed<'_>) -> bool {
    equal.parent == Kind::Argument && equal.grandparent == Kind::Call
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let once = format(&crate::parse(text)).expect("no syntax errors");
        assert_eq!(once, expected);
        let twice = format(&crate::parse(&once)).expect("no syntax errors");
        assert_eq!(twice, once, "formatting twice changes something");
    }

    #[test]
    fn spaces() {
        check(
            "model M(a=1,b = -2){\ninput x:f32[N=1,3]\n  y :x[ :,0 :: 2 ]+1->Linear( 4 ,bias = false )->ReLU\n\n\n\n\"a{ i+1 }\":{ReLU;Tanh}\nexpect params<5M at N=2\n}",
            "model M(a = 1, b = -2) {\n    input x: f32[N = 1, 3]\n    y: x[:, 0::2] + 1 -> Linear(4, bias=false) -> ReLU\n\n    \"a{i + 1}\": { ReLU; Tanh }\n    expect params < 5M at N = 2\n}\n",
        );
    }

    #[test]
    fn comments_stay() {
        check(
            "# top\nblock A {   # why\n## doc\n    ReLU     # aligned\n  # alone\n}\n",
            "# top\nblock A {  # why\n    ## doc\n    ReLU  # aligned\n    # alone\n}\n",
        );
    }

    #[test]
    fn continued_lines_are_one_level_deeper() {
        check(
            "block A(a,\n        b) {\nx\n-> Linear(\n4\n)\n-> {\nReLU\n}\n}",
            "block A(a,\n    b) {\n    x\n        -> Linear(\n            4\n        )\n        -> {\n            ReLU\n        }\n}\n",
        );
    }

    #[test]
    fn line_ends_stay() {
        check("block A {\r\nReLU\n}\n", "block A {\r\n    ReLU\r\n}\r\n");
        check("\u{feff}\n\nblock A { }\n", "\u{feff}block A {}\n");
        check("block A {\nReLU\r\n}\n", "block A {\n    ReLU\n}\n");
    }

    #[test]
    fn broken_text_is_left_alone() {
        assert_eq!(format(&crate::parse("block A { Linear( }")), None);
    }
}
