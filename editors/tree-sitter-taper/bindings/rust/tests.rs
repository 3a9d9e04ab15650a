//! The grammar against the parser of the server: what the one takes as valid the other takes too.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use tree_sitter::{Node, Parser, Query, Tree};
use tree_sitter_generate::{ABI_VERSION_MAX, OptLevel, generate_parser_in_directory};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn parse(text: &str) -> Tree {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_taper::LANGUAGE.into()).expect("the language");
    parser.parse(text, None).expect("a tree")
}

/// The first place that does not fit, with its line.
fn error(text: &str) -> Option<String> {
    fn first(node: Node<'_>) -> Option<usize> {
        if node.is_error() || node.is_missing() {
            return Some(node.start_position().row);
        }
        let mut cursor = node.walk();
        let children: Vec<_> = node.children(&mut cursor).collect();
        children.into_iter().filter(Node::has_error).find_map(first)
    }
    let tree = parse(text);
    let row = tree.root_node().has_error().then(|| first(tree.root_node()))?;
    let row = row.unwrap_or_default();
    Some(format!("line {}: {}", row + 1, text.lines().nth(row).unwrap_or_default()))
}

/// All Taper files below a folder.
fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "taper") {
            found.push((path.clone(), fs::read_to_string(&path).expect("a text")));
        }
    }
    found
}

/// The examples, the library, and the models of the tests.
fn all_files() -> Vec<(PathBuf, String)> {
    let repository = root().join("../..");
    let all: Vec<_> = ["examples", "server/library", "tests"]
        .iter()
        .flat_map(|folder| files(&repository.join(folder)))
        .collect();
    assert!(all.len() > 100, "{} files", all.len());
    all
}

#[test]
fn the_parser_is_generated_from_the_grammar() {
    let made = tempfile::tempdir().expect("a folder");
    let mut messages = Vec::new();
    generate_parser_in_directory(
        root(),
        Some(made.path()),
        Some(root().join("grammar.js")),
        ABI_VERSION_MAX,
        None,
        Some("native"),
        true,
        OptLevel::default(),
        &mut messages,
    )
    .expect("a parser");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        for file in ["grammar.json", "node-types.json", "parser.c"] {
            fs::copy(made.path().join(file), root().join("src").join(file)).expect("a copy");
        }
    }
    for file in ["grammar.json", "parser.c"] {
        let read = |folder: &Path| fs::read_to_string(folder.join(file)).expect("a file");
        let is_current = read(made.path()) == read(&root().join("src"));
        assert!(
            is_current,
            "src/{file} is not that of grammar.js: run this test with UPDATE_EXPECT=1"
        );
    }
}

#[test]
fn every_file_parses() {
    for (path, text) in all_files() {
        // Some of the tests' files are wrong on purpose.
        if syntax::parse(&text).errors().is_empty() {
            assert_eq!(error(&text), None, "{}", path.display());
        }
    }
}

/// What stands between the lines of `=` is a name, before the line of `-` a text, after it its tree.
#[test]
fn the_corpus_has_its_trees() {
    let mut cases = 0;
    for entry in fs::read_dir(root().join("test/corpus")).expect("the corpus").flatten() {
        let corpus = fs::read_to_string(entry.path()).expect("a text");
        let bar = |of: &str| of.repeat(80) + "\n";
        let parts: Vec<&str> = corpus.split(&bar("=")).skip(1).collect();
        for case in parts.chunks(2) {
            let (text, expected) = case[1].split_once(&bar("-")).expect("a text and a tree");
            let words = |tree: &str| tree.split_whitespace().collect::<Vec<_>>().join(" ");
            let tree = shape_of(parse(text).root_node());
            assert_eq!(words(&tree), words(expected).replace(" )", ")"), "{}", case[0]);
            cases += 1;
        }
    }
    assert!(cases >= 4);
}

/// The named nodes of a tree, as a corpus writes them.
fn shape_of(node: Node<'_>) -> String {
    let mut cursor = node.walk();
    let children: Vec<String> = node.named_children(&mut cursor).map(shape_of).collect();
    match children.is_empty() {
        true => format!("({})", node.kind()),
        false => format!("({} {})", node.kind(), children.join(" ")),
    }
}

#[test]
fn the_queries_are_of_this_grammar() {
    for entry in fs::read_dir(root().join("queries")).expect("the queries").flatten() {
        let text = fs::read_to_string(entry.path()).expect("a text");
        let query = Query::new(&tree_sitter_taper::LANGUAGE.into(), &text);
        assert!(query.is_ok(), "{}: {query:?}", entry.path().display());
    }
}

/// The tokens of a text with the white space before each.
fn tokens(text: &str) -> Vec<String> {
    let parsed = syntax::parse(text);
    let mut tokens = Vec::new();
    let mut space = String::new();
    for token in parsed.tree().tokens() {
        space.push_str(token.text());
        if !token.kind().is_trivia() {
            tokens.push(std::mem::take(&mut space));
        }
    }
    tokens
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Files with some tokens taken from elsewhere, twice or not at all: many are valid still.
    #[test]
    fn what_is_changed_and_still_valid_parses(
        file in 0usize..1000,
        changes in proptest::collection::vec((0usize..100_000, 0usize..100_000, 0u8..3), 1..4),
    ) {
        let all = all_files();
        let mut parts = tokens(&all[file % all.len()].1);
        for (at, from, how) in changes {
            let (at, from) = (at % parts.len(), from % parts.len());
            match how {
                0 => drop(parts.remove(at)),
                1 => parts.insert(at, parts[from].clone()),
                _ => parts.swap(at, from),
            }
            prop_assume!(parts.len() > 1);
        }
        let text = parts.concat();
        // A string whose braces do not match is a text, which this grammar does not find out.
        let parsed = syntax::parse(&text);
        let has_brace = |token: syntax::SyntaxToken<'_>| {
            token.kind() == syntax::Kind::String && token.text().contains('{')
        };
        if parsed.errors().is_empty() && !parsed.tree().tokens().any(has_brace) {
            prop_assert_eq!(error(&text), None);
        }
    }
}
