//! The words that editors colour without the server are those of the language.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

type Words = BTreeSet<String>;

fn read(path: &str) -> String {
    fs::read_to_string(super::root().join("editors").join(path)).expect(path)
}

fn words<'a>(all: impl IntoIterator<Item = &'a str>) -> Words {
    all.into_iter().map(str::to_owned).collect()
}

fn keywords() -> Words {
    let reserved = syntax::RESERVED_WORDS.iter().map(|(word, _)| *word);
    words(reserved.chain(syntax::CONTEXTUAL_WORDS))
}

fn dtypes() -> Words {
    words(layers::DType::ALL.iter().map(|(_, name, _)| *name))
}

/// The words in a regular expression: letters and digits outside of escapes and classes.
fn words_of(pattern: &str) -> Words {
    let mut plain = String::new();
    let mut in_class = false;
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        match char {
            // Vim's `\ze` ends what is coloured.
            '\\' if chars.next() == Some('z') => drop(chars.next()),
            '\\' => plain.push(' '),
            '[' => in_class = true,
            ']' => in_class = false,
            _ if in_class => {}
            _ => plain.push(char),
        }
    }
    let found = plain.split(|char: char| !char.is_ascii_alphanumeric());
    words(found.filter(|word| !word.is_empty()))
}

/// The words of the patterns of a TextMate grammar whose scope begins with one of these.
fn textmate(grammar: &Value, scopes: &[&str]) -> Words {
    let children: Vec<&Value> = match grammar {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => return Words::new(),
    };
    let scope = grammar["name"].as_str().or(grammar["captures"]["1"]["name"].as_str());
    let is_wanted =
        scope.is_some_and(|scope| scopes.iter().any(|wanted| scope.starts_with(wanted)));
    let own = grammar["match"].as_str().filter(|_| is_wanted).map(words_of).unwrap_or_default();
    children.into_iter().flat_map(|child| textmate(child, scopes)).chain(own).collect()
}

/// The words of groups of a syntax file of Vim's.
fn vim(file: &str, groups: &[&str]) -> Words {
    let commands = file.lines().filter_map(|line| line.strip_prefix("syntax "));
    let rules =
        commands.filter_map(|command| command.splitn(3, ' ').collect::<Vec<_>>().try_into().ok());
    rules
        .filter(|[_, group, _]: &[&str; 3]| groups.contains(group))
        .flat_map(|[_, _, pattern]| words_of(pattern))
        .collect()
}

#[test]
fn vs_code_colours_the_words_of_the_language() {
    let grammar = read("vscode/syntaxes/taper.tmLanguage.json");
    let grammar = serde_json::from_str(&grammar).expect("JSON");
    let scopes = ["keyword", "constant.language", "variable.language"];
    assert_eq!(textmate(&grammar, &scopes), keywords());
    assert_eq!(textmate(&grammar, &["storage.type"]), dtypes());
}

#[test]
fn neovim_colours_the_words_of_the_language() {
    let file = read("nvim/syntax/taper.vim");
    assert_eq!(vim(&file, &["taperKeyword", "taperItem", "taperConstant"]), keywords());
    assert_eq!(vim(&file, &["taperDtype"]), dtypes());
}

#[test]
fn the_queries_of_tree_sitter_colour_the_words_of_the_language() {
    let queries = read("tree-sitter-taper/queries/highlights.scm");
    let texts = queries.split('"').skip(1).step_by(2);
    let coloured = words(texts.filter(|text| text.chars().all(|char| char.is_ascii_lowercase())));
    // These are nodes.
    let nodes = words(["true", "false", "none", "it"]);
    assert_eq!(coloured.union(&nodes).cloned().collect::<Words>(), keywords());
}
