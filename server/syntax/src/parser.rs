//! The machine under the grammar: a cursor over the significant tokens, events, and the two
//! rules that keep a half-typed line from costing others (`language.md` §13).
//!
//! The grammar never sees white space. A newline that ends a step shows as [`Kind::Newline`], and
//! the place where an open bracket must end as well, so every loop of the grammar stops there by
//! itself.

use text_size::TextRange;

use crate::{
    Kind,
    lexer::{self, Token},
    tree::{NodeData, Tree},
};

/// Parses a text by a grammar of its whole.
pub(crate) fn parse(text: &str, grammar: fn(&mut Parser<'_>)) -> (Tree, Vec<SyntaxError>) {
    let raw = lexer::lex(text);
    let mut parser = Parser::new(text, &raw);
    grammar(&mut parser);
    let Parser { events, errors, tokens, .. } = parser;
    let nodes = build_nodes(&events, &tokens, raw.len() as u32);
    (Tree::new(text, raw, nodes), errors)
}

/// The deepest nesting of braces and brackets that is parsed.
pub const MAX_DEPTH: usize = 128;

/// What [`crate::parse`] found wrong: one sentence, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// One sentence in the user's words.
    pub message: String,
    /// The text that it is about; never empty unless the file is.
    pub range: TextRange,
}

/// A token that is not trivia.
struct Significant {
    kind: Kind,
    /// Its number among all tokens.
    raw: u32,
    start: u32,
    end: u32,
    /// It is the first of its line.
    begins_line: bool,
    /// The column of the first token of its line.
    indent: u32,
    /// An item begins here, whatever is open.
    begins_item: bool,
    /// It stands in an item whose brackets do not balance, so indentation decides.
    unbalanced: bool,
}

enum Event {
    /// A node begins; `parent` is the event of a node that was put around it later.
    Start {
        kind: Kind,
        parent: Option<u32>,
    },
    Token,
    Finish,
    /// A node that was taken back.
    Abandoned,
}

pub(crate) struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Significant>,
    at: usize,
    events: Vec<Event>,
    errors: Vec<SyntaxError>,
    /// The token before which a newline was taken.
    newline_taken: Option<usize>,
    /// How many `(` and `[` are open.
    brackets: u32,
    /// Inside the parameters of an item, or between `for`, `if` or `repeat` and its brace.
    in_head: bool,
    /// The indentation of the line on which each open step or body began.
    indents: Vec<u32>,
    depth: usize,
    gave_up: bool,
    /// Errors here follow from one that was reported.
    muted: bool,
    /// The token at which the last error was reported: one mistake, one message.
    error_at: Option<usize>,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, raw: &[Token]) -> Parser<'t> {
        let mut tokens = significant(text, raw);
        find_unbalanced(&mut tokens, text);
        Parser {
            text,
            tokens,
            at: 0,
            events: Vec::with_capacity(raw.len() * 2),
            errors: Vec::new(),
            newline_taken: None,
            brackets: 0,
            in_head: false,
            indents: Vec::new(),
            depth: 0,
            gave_up: false,
            muted: false,
            error_at: None,
        }
    }

    /// The kind of the current token, or [`Kind::Newline`] where a step must end.
    pub(crate) fn current(&self) -> Kind {
        let Some(token) = self.tokens.get(self.at) else { return Kind::Eof };
        if token.begins_item && token.unbalanced && !self.indents.is_empty() {
            return Kind::Eof;
        }
        if token.begins_line && self.ends_step(token) {
            return Kind::Newline;
        }
        token.kind
    }

    /// Whether the line that begins with `token` ends the step before it.
    fn ends_step(&self, token: &Significant) -> bool {
        if self.brackets == 0 {
            return self.newline_taken != Some(self.at)
                && !matches!(token.kind, Kind::Arrow | Kind::ElseKw);
        }
        let deepest = self.indents.last().copied().unwrap_or(0);
        let leaves_head = self.in_head && !self.may_continue_head(token);
        token.unbalanced && !token.kind.is_closing() && (token.indent <= deepest || leaves_head)
    }

    /// Whether a line may belong to the head above it, rather than to the body.
    fn may_continue_head(&self, first: &Significant) -> bool {
        let number = matches!(first.kind, Kind::Int | Kind::Float | Kind::Magnitude);
        let second = self.tokens.get(self.at + 1).map_or(Kind::Eof, |token| token.kind);
        let parameter = matches!(second, Kind::Equal | Kind::Comma | Kind::RightParen);
        number || (first.kind == Kind::Name && parameter)
    }

    /// A name at the start of a line, with `=` after it: another parameter begins, whatever the
    /// line before it lacks.
    pub(crate) fn at_new_parameter(&self) -> bool {
        let begins_line = self.tokens.get(self.at).is_some_and(|token| token.begins_line);
        begins_line && self.at(Kind::Name) && self.next() == Kind::Equal
    }

    pub(crate) fn at(&self, kind: Kind) -> bool {
        self.current() == kind
    }

    /// The kind of the next token, if it stands on the same line.
    pub(crate) fn next_on_line(&self) -> Kind {
        match self.tokens.get(self.at + 1) {
            Some(token) if !token.begins_line => token.kind,
            Some(_) => Kind::Newline,
            None => Kind::Eof,
        }
    }

    /// The text of the current token.
    pub(crate) fn text(&self) -> &'t str {
        match self.tokens.get(self.at) {
            Some(token) => &self.text[token.start as usize..token.end as usize],
            None => "",
        }
    }

    /// At this contextual word; what follows it is for the grammar to say.
    pub(crate) fn at_word(&self, word: &str) -> bool {
        self.at(Kind::Name) && self.text() == word
    }

    /// The range of the current token.
    pub(crate) fn range(&self) -> TextRange {
        match self.tokens.get(self.at) {
            Some(token) => TextRange::new(token.start.into(), token.end.into()),
            None => self.after_last_token(),
        }
    }

    /// The kind of the next token, on whatever line.
    pub(crate) fn next(&self) -> Kind {
        self.tokens.get(self.at + 1).map_or(Kind::Eof, |token| token.kind)
    }

    /// The column of the line on which the innermost open step began.
    pub(crate) fn step_indent(&self) -> u32 {
        self.indents.last().copied().unwrap_or(0)
    }

    /// The column at which the line of the current token begins.
    pub(crate) fn indent(&self) -> u32 {
        self.tokens.get(self.at).map_or(0, |token| token.indent)
    }

    /// Where brackets do not balance: the current line shows that a body whose step began at
    /// `indent` has ended without its brace.
    pub(crate) fn dedented(&self, indent: u32) -> bool {
        self.tokens.get(self.at).is_some_and(|token| {
            let closes = token.kind.is_closing();
            let outside = if closes { token.indent < indent } else { token.indent <= indent };
            token.unbalanced && token.begins_line && outside
        })
    }

    /// Where brackets do not balance: the current brace stands deeper than the step at `indent`,
    /// or deeper lines follow it, so it does not close that step's body.
    pub(crate) fn closes_nothing(&self, indent: u32) -> bool {
        let Some(token) = self.tokens.get(self.at).filter(|token| token.unbalanced) else {
            return false;
        };
        let deeper_follows = self.tokens.get(self.at + 1).is_some_and(|next| {
            next.begins_line && !next.kind.is_closing() && next.indent > indent
        });
        (token.begins_line && token.indent > indent) || (deeper_follows && token.indent >= indent)
    }

    /// Takes the newline before the current token, if there is one.
    pub(crate) fn skip_newline(&mut self) {
        if self.at(Kind::Newline) {
            self.newline_taken = Some(self.at);
        }
    }

    /// Puts the current token into the tree.
    pub(crate) fn bump(&mut self) {
        if self.at < self.tokens.len() {
            self.at += 1;
            self.events.push(Event::Token);
        }
    }

    pub(crate) fn eat(&mut self, kind: Kind) -> bool {
        let found = self.at(kind);
        if found {
            self.bump();
        }
        found
    }

    /// Takes a token of this kind, or says that it is missing.
    pub(crate) fn expect(&mut self, kind: Kind) -> bool {
        self.eat(kind) || {
            self.error_expected(kind.describe());
            false
        }
    }

    /// Says what was expected here instead of what was found.
    pub(crate) fn error_expected(&mut self, expected: &str) {
        let found = match self.current() {
            found @ (Kind::Newline | Kind::Eof) => found.describe().to_owned(),
            Kind::Unknown if self.text().starts_with('"') => "a string without its end".to_owned(),
            Kind::Unknown => {
                let shown: String = self.text().chars().take(12).collect();
                format!("`{}`", shown.escape_debug())
            }
            _ => {
                let shown: String = self.text().chars().take(40).collect();
                format!("`{shown}`")
            }
        };
        self.error(format!("expected {expected}, found {found}"));
    }

    /// Reports an error at the current token, or after the last one where a line ended too soon.
    pub(crate) fn error(&mut self, message: String) {
        let ended = matches!(self.current(), Kind::Newline | Kind::Eof);
        let range = match self.tokens.get(self.at) {
            Some(token) if !ended => TextRange::new(token.start.into(), token.end.into()),
            _ => self.after_last_token(),
        };
        self.error_at_range(message, range);
    }

    /// Reports an error at a place that was passed.
    pub(crate) fn error_at_range(&mut self, message: String, range: TextRange) {
        if self.gave_up || self.muted || self.error_at == Some(self.at) {
            return;
        }
        self.error_at = Some(self.at);
        self.errors.push(SyntaxError { message, range });
    }

    /// The last character that was taken: where something is missing at the end of a line.
    fn after_last_token(&self) -> TextRange {
        let Some(last) = self.at.checked_sub(1).map(|index| &self.tokens[index]) else {
            return TextRange::default();
        };
        let text = &self.text[last.start as usize..last.end as usize];
        let width = text.chars().next_back().map_or(0, char::len_utf8) as u32;
        TextRange::new((last.end - width).into(), last.end.into())
    }

    /// Wraps everything up to the end of the line, or a token of `stop`, into an error node.
    pub(crate) fn skip_until(&mut self, stop: &[Kind]) {
        let ends = |kind: Kind| matches!(kind, Kind::Newline | Kind::Eof) || stop.contains(&kind);
        if ends(self.current()) {
            return;
        }
        let error = self.start();
        let mut open = Vec::new();
        loop {
            let kind = self.current();
            if matches!(kind, Kind::Newline | Kind::Eof) || (open.is_empty() && ends(kind)) {
                break;
            }
            if let Some(closing) = kind.closing() {
                if kind == Kind::LeftBrace {
                    break;
                }
                open.push(closing);
            } else if open.last() == Some(&kind) {
                open.pop();
            }
            self.bump();
        }
        self.finish(error, Kind::Error);
    }

    /// Wraps a pair of braces on one line, with what is in it, into an error node.
    pub(crate) fn skip_braces(&mut self) {
        let error = self.start();
        let mut depth = 0;
        while !matches!(self.current(), Kind::Newline | Kind::Eof) {
            match self.current() {
                Kind::LeftBrace => depth += 1,
                Kind::RightBrace => depth -= 1,
                _ => {}
            }
            self.bump();
            if depth == 0 {
                break;
            }
        }
        self.finish(error, Kind::Error);
    }

    /// Opens a bracket, inside which a newline ends nothing.
    pub(crate) fn open_bracket(&mut self) {
        self.bump();
        self.brackets += 1;
    }

    /// Closes a bracket, or says that it is missing.
    pub(crate) fn close_bracket(&mut self, kind: Kind, opened: TextRange) {
        if self.at(kind) {
            self.bump();
        } else {
            let bracket = if kind == Kind::RightParen { "(" } else { "[" };
            let missing = matches!(self.current(), Kind::Newline | Kind::Eof);
            if missing {
                self.error_at_range(format!("this `{bracket}` is not closed"), opened);
            } else {
                self.error_expected(kind.describe());
                self.skip_until(&[kind, Kind::RightBrace]);
                self.eat(kind);
            }
        }
        self.brackets -= 1;
    }

    /// Runs `inside` as what stands between the word of an item or stage and its brace.
    pub(crate) fn in_head(&mut self, inside: impl FnOnce(&mut Self)) {
        self.in_head = true;
        inside(self);
        self.in_head = false;
    }

    /// Runs `inside` with the bracket count of a body, in which newlines end steps again.
    pub(crate) fn in_body(&mut self, indent: u32, inside: impl FnOnce(&mut Self)) {
        let brackets = std::mem::take(&mut self.brackets);
        self.indents.push(indent);
        inside(self);
        self.indents.pop();
        self.brackets = brackets;
    }

    /// Runs `inside` as a step that began at `indent`.
    pub(crate) fn in_step(&mut self, indent: u32, inside: impl FnOnce(&mut Self)) {
        self.indents.push(indent);
        inside(self);
        self.indents.pop();
    }

    /// Goes one level deeper; past [`MAX_DEPTH`] the rest of the text is skipped, with one error.
    pub(crate) fn nested(&mut self, inside: impl FnOnce(&mut Self)) {
        if self.depth == MAX_DEPTH {
            self.error(format!("nested more than {MAX_DEPTH} deep"));
            self.gave_up = true;
            let error = self.start();
            while self.at < self.tokens.len() {
                self.bump();
            }
            self.finish(error, Kind::Error);
            return;
        }
        self.depth += 1;
        inside(self);
        self.depth -= 1;
    }

    pub(crate) fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Begins a node, whose kind is said when it is finished.
    pub(crate) fn start(&mut self) -> Marker {
        self.events.push(Event::Start { kind: Kind::Error, parent: None });
        Marker(self.events.len() as u32 - 1)
    }

    pub(crate) fn finish(&mut self, marker: Marker, kind: Kind) -> Finished {
        if let Event::Start { kind: slot, .. } = &mut self.events[marker.0 as usize] {
            *slot = kind;
        }
        self.events.push(Event::Finish);
        Finished { start: marker.0, kind }
    }

    /// Takes back a node that was begun; what was read since belongs to the node around it.
    pub(crate) fn abandon(&mut self, marker: Marker) {
        self.events[marker.0 as usize] = Event::Abandoned;
    }

    /// Begins a node around one that is finished.
    pub(crate) fn wrap(&mut self, inner: Finished) -> Marker {
        let outer = self.start();
        if let Event::Start { parent, .. } = &mut self.events[inner.start as usize] {
            *parent = Some(outer.0);
        }
        outer
    }
}

/// A node that has begun.
pub(crate) struct Marker(u32);

/// A node that is finished.
#[derive(Clone, Copy)]
pub(crate) struct Finished {
    start: u32,
    pub(crate) kind: Kind,
}

fn significant(text: &str, raw: &[Token]) -> Vec<Significant> {
    let mut tokens = Vec::with_capacity(raw.len());
    let (mut begins_line, mut column, mut indent) = (true, 0, 0);
    for (index, token) in raw.iter().enumerate() {
        let end = raw.get(index + 1).map_or(text.len() as u32, |next| next.start);
        match token.kind {
            Kind::Newline => (begins_line, column) = (true, 0),
            Kind::Whitespace if begins_line => {
                let white = &text[token.start as usize..end as usize];
                column = white.chars().fold(0, |column, char| match char {
                    '\t' => column / 4 * 4 + 4,
                    _ => column + 1,
                });
            }
            kind if kind.is_trivia() => {}
            kind => {
                if begins_line {
                    indent = column;
                }
                tokens.push(Significant {
                    kind,
                    raw: index as u32,
                    start: token.start,
                    end,
                    begins_line,
                    indent,
                    begins_item: false,
                    unbalanced: false,
                });
                begins_line = false;
            }
        }
    }
    tokens
}

/// Marks the items whose brackets do not balance. If all of the file's do, nothing is marked.
fn find_unbalanced(tokens: &mut [Significant], text: &str) {
    if balanced(tokens) {
        return;
    }
    for index in 0..tokens.len() {
        let token = &tokens[index];
        let word = &text[token.start as usize..token.end as usize];
        let operand = tokens.get(index + 1).is_some_and(|next| {
            !next.begins_line && matches!(next.kind, Kind::Name | Kind::String)
        });
        tokens[index].begins_item = token.begins_line
            && token.indent == 0
            && operand
            && matches!(word, "model" | "block" | "use");
    }
    for item in tokens.chunk_by_mut(|_, next| !next.begins_item) {
        if !balanced(item) {
            item.iter_mut().for_each(|token| token.unbalanced = true);
        }
    }
    // An item of an unbalanced file begins even where the one before it is whole.
    tokens.iter_mut().filter(|token| token.begins_item).for_each(|token| token.unbalanced = true);
}

fn balanced(tokens: &[Significant]) -> bool {
    let mut open = Vec::new();
    for token in tokens {
        if let Some(closing) = token.kind.closing() {
            open.push(closing);
        } else if token.kind.is_closing() && open.pop() != Some(token.kind) {
            return false;
        }
    }
    open.is_empty()
}

/// Turns events into the array of nodes. Trivia between two tokens of a node belongs to it.
fn build_nodes(events: &[Event], tokens: &[Significant], raw_len: u32) -> Vec<NodeData> {
    let mut nodes: Vec<NodeData> = Vec::with_capacity(events.len() / 3);
    let mut open: Vec<u32> = Vec::new();
    let mut wrapped = vec![false; events.len()];
    let mut outer = Vec::new();
    let mut next = 0;
    let first_raw = |next: usize| tokens.get(next).map_or(raw_len, |token| token.raw);
    let end_raw = |next: usize| match next.checked_sub(1) {
        Some(last) => tokens[last].raw + 1,
        None => 0,
    };

    for (index, event) in events.iter().enumerate() {
        match event {
            Event::Start { .. } if wrapped[index] => {}
            Event::Start { kind, parent } => {
                outer.push(*kind);
                let mut parent = *parent;
                while let Some(event) = parent {
                    wrapped[event as usize] = true;
                    let Event::Start { kind, parent: above } = &events[event as usize] else {
                        break;
                    };
                    outer.push(*kind);
                    parent = *above;
                }
                while let Some(kind) = outer.pop() {
                    let id = nodes.len() as u32;
                    let parent = open.last().copied().unwrap_or(0);
                    let first_token = first_raw(next);
                    nodes.push(NodeData {
                        kind,
                        parent,
                        end: id + 1,
                        first_token,
                        end_token: first_token,
                    });
                    open.push(id);
                }
            }
            Event::Abandoned => {}
            Event::Token => next += 1,
            Event::Finish => {
                let end = nodes.len() as u32;
                let Some(id) = open.pop() else { continue };
                nodes[id as usize].end = end;
                let first_token = nodes[id as usize].first_token;
                let end_token = end_raw(next);
                if end_token > first_token {
                    nodes[id as usize].end_token = end_token;
                    continue;
                }
                // A node without tokens stands behind the last token, with all that is in it.
                let around = open.last().map_or(0, |parent| nodes[*parent as usize].first_token);
                let at = end_token.max(around);
                for node in &mut nodes[id as usize..end as usize] {
                    (node.first_token, node.end_token) = (at, at);
                }
            }
        }
    }
    // The root covers everything, so that leading and trailing trivia is in the tree.
    if let Some(root) = nodes.first_mut() {
        (root.first_token, root.end_token) = (0, raw_len);
    }
    nodes
}
