//! The call around a cursor, half-typed as it may be.

use analysis::NodeRef;
use layers::{Called, Entry, Param};
use syntax::{Kind, SyntaxToken, TextSize, Tree, ast};

use crate::{Snapshot, scope::items_in_scope};

/// A call whose parentheses are open at a cursor.
pub(crate) struct OpenCall<'t> {
    /// What is called.
    pub callee: SyntaxToken<'t>,
    /// As what it is called; none behind a dot that no function stands behind.
    pub called: Option<Called>,
    /// How many arguments stand before the cursor's.
    pub index: usize,
    /// The names of arguments that are given, the cursor's own not.
    pub given: Vec<&'t str>,
    /// The name of the argument that the cursor's value is of.
    pub name: Option<&'t str>,
}

/// A token and those before it, without trivia.
fn before(token: SyntaxToken<'_>) -> impl Iterator<Item = SyntaxToken<'_>> {
    std::iter::successors(Some(token), |token| token.previous())
        .filter(|token| !token.kind().is_trivia())
}

/// The innermost call that is open at an offset. Brackets are counted, so nothing needs to be closed.
pub(crate) fn open_call(tree: &Tree, offset: TextSize) -> Option<OpenCall<'_>> {
    let first = tree.token_at(offset)?;
    let mut depth = 0;
    let (mut index, mut given, mut own): (usize, Vec<&str>, Option<&str>) = (0, Vec::new(), None);
    let tokens = before(first).filter(|token| token.range().start() < offset);
    for token in tokens {
        match token.kind() {
            kind if kind.is_closing() && token.range().end() <= offset => depth += 1,
            kind if kind.is_opening() && depth > 0 => depth -= 1,
            Kind::LeftParen => {
                let callee = before(token.previous()?).next()?;
                if callee.kind() != Kind::Name {
                    // Parentheses or a list around a part of the argument.
                    (index, own) = (0, None);
                    given.clear();
                    continue;
                }
                let dot = callee.previous().and_then(|token| before(token).next());
                let dot = dot.filter(|dot| dot.kind() == Kind::Dot);
                let prefix = dot.and_then(|dot| before(dot.previous()?).next());
                let called = match dot {
                    Some(_) => prefix.and_then(|prefix| Called::behind(prefix.text())),
                    None => Some(Called::Module),
                };
                let after = following_names(tree, offset);
                given.extend(after);
                return Some(OpenCall { callee, called, index, given, name: own });
            }
            Kind::LeftBracket => {
                (index, own) = (0, None);
                given.clear();
            }
            Kind::LeftBrace => return None,
            Kind::Comma if depth == 0 => index += 1,
            Kind::Equal if depth == 0 => {
                let name = before(token.previous()?).next()?;
                if name.kind() == Kind::Name {
                    match index {
                        0 if own.is_none() => own = Some(name.text()),
                        _ => given.push(name.text()),
                    }
                }
            }
            Kind::Semicolon | Kind::Arrow if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The names of arguments behind a cursor, up to the end of its call.
fn following_names(tree: &Tree, offset: TextSize) -> Vec<&str> {
    let Some(first) = tree.token_at(offset) else { return Vec::new() };
    let mut depth = 0;
    let mut names = Vec::new();
    let mut last: Option<SyntaxToken<'_>> = None;
    for token in std::iter::successors(Some(first), |token| token.next()) {
        match token.kind() {
            kind if kind.is_trivia() => continue,
            kind if kind.is_opening() => depth += 1,
            kind if kind.is_closing() && depth == 0 => break,
            kind if kind.is_closing() => depth -= 1,
            Kind::Equal if depth == 0 => {
                names.extend(last.filter(|token| token.kind() == Kind::Name).map(|t| t.text()));
            }
            Kind::Semicolon | Kind::Arrow => break,
            _ => {}
        }
        last = Some(token);
    }
    names
}

/// What a call calls.
pub(crate) enum Callee {
    Layer(&'static Entry),
    Item(NodeRef),
}

/// A parameter of a layer, block or model.
pub(crate) struct Parameter<'s> {
    pub name: &'s str,
    pub default: Option<&'s str>,
    /// Of a layer of Taper.
    pub entry: Option<&'static Param>,
}

impl Callee {
    /// What a name in a call stands for.
    pub fn of<'s>(snapshot: &'s Snapshot, call: &OpenCall<'s>) -> Option<Callee> {
        let name = call.callee.text();
        let called = call.called?;
        if called != Called::Module {
            return layers::find_called(called, name).map(Callee::Layer);
        }
        let at = call.callee.range().start();
        let item = items_in_scope(snapshot, at).into_iter().find(|(known, _)| *known == name);
        match item {
            Some((_, item)) => Some(Callee::Item(item)),
            None => layers::find(name).map(Callee::Layer),
        }
    }

    /// Its parameters, in order.
    pub fn parameters<'s>(&self, snapshot: &'s Snapshot) -> Vec<Parameter<'s>> {
        match self {
            Callee::Layer(entry) => {
                let shown = entry.params.iter().filter(|param| param.kind != layers::Kind::Ignored);
                shown
                    .map(|param| Parameter {
                        name: param.name,
                        default: param.default,
                        entry: Some(param),
                    })
                    .collect()
            }
            Callee::Item(item) => {
                let item = ast::Item::cast(snapshot.workspace.node(*item));
                let parameters = item.into_iter().flat_map(ast::Item::parameters);
                let named = parameters.filter_map(|parameter| {
                    Some(Parameter {
                        name: parameter.path()?.text(),
                        default: parameter.default().map(|default| default.text()),
                        entry: None,
                    })
                });
                named.collect()
            }
        }
    }
}
