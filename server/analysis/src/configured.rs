//! A model whose arguments stand in a config: what is wrong with them is told where they stand.

use syntax::{Kind, ast};

use crate::{Code, Diagnostic, NodeRef, Place, Severity, Workspace};

/// A model with arguments from a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// The model's name.
    pub model: String,
    /// Where the config says which model it is.
    pub place: Place,
    /// Names and values; those that the model does not have are ignored. Of two the later one counts.
    pub arguments: Vec<ConfiguredArgument>,
    /// The checkpoint beside the config.
    pub weights: Option<String>,
}

/// An argument that stands in a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredArgument {
    /// The name of the parameter, with dots for a nested key.
    pub name: String,
    /// Its value, as a literal of the language.
    pub value: String,
    /// Where name and value stand, unless the architecture gives it.
    pub at: Option<(Place, Place)>,
}

impl Configured {
    /// Keys that are nearly the model's, and values of another kind than its defaults.
    pub(crate) fn check(&self, item: ast::Item<'_>) -> Vec<Diagnostic> {
        let parameters: Vec<(&str, ast::Expr<'_>)> = item
            .parameters()
            .filter_map(|parameter| Some((parameter.path()?.text(), parameter.default()?)))
            .collect();
        let given = self.arguments.iter().filter_map(|argument| Some((argument, argument.at?)));
        let mut diagnostics = Vec::new();
        for (argument, (key, value)) in given {
            match parameters.iter().find(|(name, _)| *name == argument.name) {
                Some((_, default)) => diagnostics.extend(wrong_kind(argument, *default, value)),
                None => {
                    let names = parameters.iter().map(|(name, _)| *name);
                    diagnostics.extend(self.misspelt(argument, key, names));
                }
            }
        }
        diagnostics
    }

    /// A key that is one edit away from one of the model's that is not given.
    fn misspelt<'p>(
        &self,
        argument: &ConfiguredArgument,
        key: Place,
        parameters: impl Iterator<Item = &'p str>,
    ) -> Option<Diagnostic> {
        let is_given = |name: &str| self.arguments.iter().any(|other| other.name == name);
        let mut missing = parameters.filter(|name| !is_given(name));
        let meant = missing.find(|name| layers::is_one_edit_away(&argument.name, name))?;
        let message =
            format!("`{}` is no key of `{}`; did you mean `{meant}`?", argument.name, self.model);
        let last = meant.rsplit('.').next().unwrap_or(meant);
        let diagnostic = Diagnostic::new(Code::MisspeltKey, key, message);
        Some(diagnostic.fix(format!("Write `{meant}`"), key, format!("\"{last}\"")))
    }

    /// Moves what is wrong in the model to the keys of the config that it is about.
    pub(crate) fn blame(&self, workspace: &Workspace, item: NodeRef, found: &mut Vec<Diagnostic>) {
        for diagnostic in found.iter_mut().filter(|found| found.place.file != self.place.file) {
            let mut names = Vec::new();
            mentioned(workspace, item, diagnostic.place, &mut names);
            let keys: Vec<&ConfiguredArgument> = names
                .iter()
                .filter_map(|name| self.arguments.iter().rev().find(|one| one.name == *name))
                .filter(|argument| argument.at.is_some())
                .collect();
            let values = keys.iter().filter_map(|key| Some((key, key.at?.1)));
            let others = values.clone().skip(1);
            let related: Vec<(Place, String)> = others
                .map(|(key, place)| (place, format!("with `{}`", key.name)))
                .chain([(diagnostic.place, format!("here in `{}`", self.model))])
                .collect();
            diagnostic.place = values.map(|(_, place)| place).next().unwrap_or(self.place);
            diagnostic.related.splice(0..0, related);
            diagnostic.fixes.clear();
        }
        // One message for one value: the others follow from it.
        let mut told = Vec::new();
        found.retain(|found| {
            let known = told.contains(&(found.place, found.severity));
            told.push((found.place, found.severity));
            !known
        });
    }
}

/// A value of another kind than the default, if that tells the kind.
fn wrong_kind(
    argument: &ConfiguredArgument,
    default: ast::Expr<'_>,
    place: Place,
) -> Option<Diagnostic> {
    let value = argument.value.as_str();
    let is_number = value.parse::<f64>().is_ok();
    let is_whole = value.parse::<i128>().is_ok();
    let is_bool = matches!(value, "true" | "false");
    let (fits, wanted) = match default.text() {
        _ if value == "none" => (true, ""),
        "true" | "false" => (is_bool, "`true` or `false`"),
        // What is "auto" may be told too.
        "\"auto\"" => (true, ""),
        text if text.starts_with('"') => (value.starts_with('"'), "a text"),
        text if text.replace('_', "").parse::<i64>().is_ok() => {
            // A list stands where a number may differ from layer to layer.
            let is_count = value.parse::<i128>().is_ok_and(|value| value >= 0);
            let fits = if text.starts_with('-') { is_whole } else { is_count };
            let wanted = if is_whole { "a whole number of at least 0" } else { "a whole number" };
            (fits || value.starts_with('['), wanted)
        }
        text if text.parse::<f64>().is_ok() => (is_number || value.starts_with('['), "a number"),
        _ => (true, ""),
    };
    let message =
        format!("`{}` is {wanted}, such as {}; here stands {value}", argument.name, default.text());
    (!fits).then(|| Diagnostic {
        severity: Severity::Error,
        ..Diagnostic::new(Code::WrongValue, place, message)
    })
}

/// The names of parameters of an item on which a line depends, through `let`s.
fn mentioned(workspace: &Workspace, item: NodeRef, place: Place, names: &mut Vec<String>) {
    let tree = workspace.parse(place.file).tree();
    let Some(token) = tree.token_at(place.range.start()) else { return };
    let node = tree.innermost(token);
    let line = node.ancestors().find(|node| ast::Line::cast(*node).is_some()).unwrap_or(node);
    let Some(item) = ast::Item::cast(workspace.node(item)) else { return };
    let mut open: Vec<&str> = line
        .descendants()
        .filter(|node| node.kind() == Kind::NameExpr)
        .map(|node| node.text())
        .collect();
    open.reverse();
    let mut seen = Vec::new();
    while let Some(name) = open.pop() {
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        if item
            .parameters()
            .any(|parameter| parameter.path().is_some_and(|path| path.text() == name))
        {
            names.push(name.to_owned());
            continue;
        }
        let lets = item.syntax().descendants().filter_map(ast::Let::cast);
        let given = lets.filter(|line| line.name().is_some_and(|given| given.text() == name));
        for expr in given.filter_map(|line| line.expr()) {
            let inner = std::iter::once(expr.syntax()).chain(expr.syntax().descendants());
            open.extend(inner.filter(|node| node.kind() == Kind::NameExpr).map(|node| node.text()));
        }
    }
}
