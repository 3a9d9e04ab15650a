//! The one layout, as the smallest edits that give it.

use similar::{Algorithm, DiffOp, capture_diff_slices};
use syntax::{Kind, Parse, TextRange, TextSize};

/// The edits that give a text the one layout, all of them or those that touch a range; none where
/// it has syntax errors.
pub fn format_edits(parse: &Parse, range: Option<TextRange>) -> Option<Vec<(TextRange, String)>> {
    let formatted = syntax::format::format(parse)?;
    let old: Vec<&str> = parse.text().split_inclusive('\n').collect();
    let new: Vec<&str> = formatted.split_inclusive('\n').collect();
    let mut starts = vec![TextSize::new(0)];
    for line in &old {
        starts.push(starts[starts.len() - 1] + TextSize::of(*line));
    }
    let mut edits = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &old, &new) {
        if matches!(op, DiffOp::Equal { .. }) {
            continue;
        }
        let (lines, by) = (op.old_range(), op.new_range());
        // Lines that only change are edited one by one.
        if lines.len() == by.len() {
            for (line, by) in lines.zip(by) {
                edits.push((TextRange::new(starts[line], starts[line + 1]), new[by].to_owned()));
            }
        } else {
            edits.push((TextRange::new(starts[lines.start], starts[lines.end]), new[by].concat()));
        }
    }
    edits.retain(|(place, _)| range.is_none_or(|range| range.intersect(*place).is_some()));
    Some(edits)
}

/// The edits after a character was typed: `}` lays out its braces, a newline the line before.
pub fn format_on_type(
    parse: &Parse,
    offset: TextSize,
    typed: char,
) -> Option<Vec<(TextRange, String)>> {
    let text = parse.text();
    let range = match typed {
        '}' => {
            let tree = parse.tree();
            let brace = tree.token_at(offset.checked_sub(TextSize::new(1))?)?;
            if brace.kind() != Kind::RightBrace {
                return None;
            }
            tree.innermost(brace).range()
        }
        _ => {
            let end = text[..usize::from(offset)].rfind('\n')?;
            let start = text[..end].rfind('\n').map_or(0, |at| at + 1);
            TextRange::new(TextSize::of(&text[..start]), TextSize::of(&text[..end]))
        }
    };
    format_edits(parse, Some(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UGLY: &str = "block A {\n  Linear( 4 )\n    ReLU\n   Tanh\n}\n";

    #[test]
    fn only_lines_that_differ_are_edited() {
        let edits = format_edits(&syntax::parse(UGLY), None).expect("edits");
        let texts: Vec<&str> = edits.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["    Linear(4)\n", "    Tanh\n"]);
        assert_eq!(&UGLY[std::ops::Range::<usize>::from(edits[1].0)], "   Tanh\n");
        assert_eq!(format_edits(&syntax::parse("block A {"), None), None);
    }

    #[test]
    fn a_range_and_a_typed_brace() {
        let parse = syntax::parse(UGLY);
        let first = TextRange::up_to(TextSize::new(15));
        assert_eq!(format_edits(&parse, Some(first)).map(|edits| edits.len()), Some(1));
        let behind_brace = TextSize::of(UGLY.trim_end());
        assert_eq!(format_on_type(&parse, behind_brace, '}').map(|edits| edits.len()), Some(2));
        let behind_tanh = TextSize::of(&UGLY[..UGLY.rfind('}').unwrap_or(0)]);
        assert_eq!(format_on_type(&parse, behind_tanh, '\n').map(|edits| edits.len()), Some(1));
    }
}
