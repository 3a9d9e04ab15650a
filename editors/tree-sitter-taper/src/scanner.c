// The end of a line: a newline ends a step, but not before a line that begins with `->` or `else`
// (docs/language.md §2). Inside brackets the grammar does not ask for it.

#include "tree_sitter/parser.h"

enum Token { NEWLINE, ERROR };

void *tree_sitter_taper_external_scanner_create(void) { return 0; }
void tree_sitter_taper_external_scanner_destroy(void *payload) {}
unsigned tree_sitter_taper_external_scanner_serialize(void *payload, char *buffer) { return 0; }
void tree_sitter_taper_external_scanner_deserialize(void *payload, const char *buffer, unsigned length) {}

static bool is_space(int32_t c) { return c == ' ' || c == '\t' || c == '\f' || c == 0xFEFF; }

static bool is_newline(int32_t c) { return c == '\n' || c == '\r'; }

static bool is_word(int32_t c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Moves over blank lines and lines with only a comment.
static void skip_empty_lines(TSLexer *lexer) {
    for (;;) {
        if (is_space(lexer->lookahead) || is_newline(lexer->lookahead)) {
            lexer->advance(lexer, true);
        } else if (lexer->lookahead == '#') {
            while (!lexer->eof(lexer) && !is_newline(lexer->lookahead)) lexer->advance(lexer, true);
        } else {
            return;
        }
    }
}

// Whether what stands here continues the line before it.
static bool continues(TSLexer *lexer) {
    if (lexer->lookahead == '-') {
        lexer->advance(lexer, false);
        return lexer->lookahead == '>';
    }
    for (const char *expected = "else"; *expected; expected++) {
        if (lexer->lookahead != *expected) return false;
        lexer->advance(lexer, false);
    }
    return !is_word(lexer->lookahead);
}

bool tree_sitter_taper_external_scanner_scan(void *payload, TSLexer *lexer, const bool *valid) {
    // While the parser recovers from an error everything is valid.
    if (!valid[NEWLINE] || valid[ERROR]) return false;
    while (is_space(lexer->lookahead)) lexer->advance(lexer, true);
    if (!is_newline(lexer->lookahead)) return false;
    lexer->advance(lexer, false);
    lexer->mark_end(lexer);
    skip_empty_lines(lexer);
    lexer->result_symbol = NEWLINE;
    return !continues(lexer);
}
