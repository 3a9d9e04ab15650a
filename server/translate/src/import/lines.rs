//! Lines of a body as text, in the shortest way that means the same.

use syntax::RESERVED_WORDS;

use crate::{names::counted, template::Template};

/// Braces with one line that is shorter stand on that line.
const SHORT: usize = 60;

/// A line of a body.
pub(super) struct Line {
    pub label: Option<String>,
    /// What it takes if that is not the current value.
    pub sources: Option<String>,
    pub stage: Template,
    /// A layer, block or group, which takes a number if it has no label.
    pub is_module: bool,
    /// It is read by its name.
    pub is_named: bool,
}

/// Lines in braces.
pub(super) fn braces(lines: Vec<Line>) -> Template {
    let lines = rendered(lines);
    let mut text = Template::text("{");
    if let [one] = &lines[..] {
        if one.plain().starts_with("repeat ") {
            return one.clone();
        }
        if one.plain().len() < SHORT {
            text.push(" ");
            text.append(one.clone());
            text.push(" }");
            return text;
        }
    }
    for line in lines {
        text.push("\n    ");
        text.append(line.indented());
    }
    text.push("\n}");
    text
}

/// Lines as text; labels that count on and equal lines are written shorter.
pub(super) fn rendered(mut lines: Vec<Line>) -> Vec<Template> {
    let mut next = 0u64;
    for line in &mut lines {
        let number = line.label.as_ref().and_then(|label| label.parse::<u64>().ok());
        if number == Some(next) && line.is_module {
            line.label = None;
            next += 1;
        } else if line.label.is_none() && line.is_module {
            next += 1;
        }
    }
    let mut texts = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let count = equal(&lines[at..]);
        if count < 2 {
            texts.push(text(&lines[at]));
            at += 1;
            continue;
        }
        let first = &lines[at];
        let stage = first.stage.clone();
        let mut text = match &first.label {
            None => {
                let mut text = Template::text("repeat ");
                text.append(Template::hole("depth", count.to_string()));
                text.push(" { ");
                text
            }
            Some(label) => {
                let (prefix, start) = counted_label(label).unwrap_or((label, 0));
                let mut text = Template::text("for i in range(");
                if start != 0 {
                    text.append(Template::hole("start", start.to_string()));
                    text.push(", ");
                }
                text.append(Template::hole("depth", (start + count).to_string()));
                text.push(&format!(") {{ \"{prefix}{{i}}\": "));
                text
            }
        };
        text.append(stage);
        text.push(" }");
        texts.push(text);
        at += count;
    }
    texts
}

/// How many lines are the same layer or block, one after the other.
fn equal(lines: &[Line]) -> usize {
    let first = &lines[0];
    let is_short = !first.stage.plain().contains('\n');
    if !first.is_module || first.sources.is_some() || first.is_named || !is_short {
        return 1;
    }
    let follows = |index: usize, line: &Line| match (&first.label, &line.label) {
        (None, None) => true,
        (Some(first), Some(label)) => counted_label(first)
            .is_some_and(|(prefix, start)| counted_label(label) == Some((prefix, start + index))),
        _ => false,
    };
    let count = lines
        .iter()
        .enumerate()
        .take_while(|(index, line)| {
            let is_same = line.is_module && line.sources.is_none() && !line.is_named;
            is_same && line.stage == first.stage && follows(*index, line)
        })
        .count();
    let least = if first.label.is_some() { 3 } else { 2 };
    if count < least { 1 } else { count }
}

/// A label that counts, and can be computed in a loop.
fn counted_label(label: &str) -> Option<(&str, usize)> {
    counted(label).filter(|(prefix, _)| !prefix.contains(['{', '"', ',']))
}

fn text(line: &Line) -> Template {
    let mut text = Template::default();
    if let Some(label) = &line.label {
        text.push(&format!("{}: ", written(label)));
    }
    if let Some(sources) = &line.sources {
        text.push(&format!("{sources} -> "));
    }
    let owner = line.label.as_deref().unwrap_or_default();
    text.append(line.stage.clone().prefixed(owner));
    text
}

/// How a label is read: the numbered step 4 is `"4"`.
pub(super) fn readable(label: &str) -> String {
    match label.starts_with(|first: char| first.is_ascii_digit()) {
        true => format!("\"{label}\""),
        false => written(label),
    }
}

/// A label as it is written: what is no path of names and numbers is a string. Several stand in a list.
pub(super) fn written(label: &str) -> String {
    let is_list = label.contains(", ");
    match is_list || label.split('.').all(is_plain) {
        true => label.to_owned(),
        false => format!("\"{}\"", label.replace('{', "{{")),
    }
}

/// A number, or a name that is no word of the language.
fn is_plain(segment: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let is_number = segment.chars().all(|letter| letter.is_ascii_digit());
    let begins_name = !segment.starts_with(|first: char| first.is_ascii_digit());
    let is_reserved = RESERVED_WORDS.iter().any(|(word, _)| *word == segment);
    !segment.is_empty()
        && segment.chars().all(is_letter)
        && (is_number || begins_name)
        && !is_reserved
}
