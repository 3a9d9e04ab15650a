//! The tree-sitter grammar of Taper.

use tree_sitter_language::LanguageFn;

#[allow(unsafe_code)]
unsafe extern "C" {
    fn tree_sitter_taper() -> *const ();
}

/// The language, for `tree_sitter::Parser::set_language`.
// SAFETY: the function is that of the generated parser, which gives a language.
#[allow(unsafe_code)]
pub const LANGUAGE: LanguageFn = unsafe { LanguageFn::from_raw(tree_sitter_taper) };

/// The query that says what is coloured how.
pub const HIGHLIGHTS_QUERY: &str = include_str!("../../queries/highlights.scm");
