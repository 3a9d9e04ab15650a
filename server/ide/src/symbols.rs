//! The outline of a file, and the models and blocks of all files.

use analysis::{FileId, Model, Place, Totals};
use syntax::{Kind, SyntaxNode, TextRange, ast};

use crate::{Snapshot, Units, lines::outputs};

/// What an outline shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it.
pub enum SymbolKind {
    Model,
    Block,
    Input,
    Let,
    /// A parameter or buffer that is declared.
    Tensor,
    /// A labelled step.
    Layer,
}

/// A name in an outline, with what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// The name.
    pub name: String,
    /// What it is.
    pub kind: SymbolKind,
    /// Its output, parameters and FLOPs.
    pub detail: Option<String>,
    /// All of it.
    pub range: TextRange,
    /// Its name.
    pub name_range: TextRange,
    /// What is in it.
    pub children: Vec<Symbol>,
}

/// The outline of the file.
pub fn document_symbols(snapshot: &Snapshot) -> Vec<Symbol> {
    snapshot.parse().file().items().filter_map(|item| item_symbol(snapshot, item)).collect()
}

fn item_symbol(snapshot: &Snapshot, item: ast::Item<'_>) -> Option<Symbol> {
    let name = item.name()?;
    let reference = snapshot.node(item.id());
    let shown = snapshot.model_with(reference).and_then(|model| {
        let totals = match model.item == reference {
            true => *model.totals(),
            false => model.part_uses(reference).first()?.part.totals,
        };
        Some(figures(snapshot.display.units, model, &totals))
    });
    Some(Symbol {
        name: name.text().to_owned(),
        kind: if item.is_model() { SymbolKind::Model } else { SymbolKind::Block },
        detail: shown,
        range: item.syntax().range(),
        name_range: name.range(),
        children: item.body().map_or_else(Vec::new, |body| body_symbols(snapshot, body.syntax())),
    })
}

fn figures(units: Units, model: &Model, totals: &Totals) -> String {
    let unit = model.unit();
    let work = units.count(totals.work(unit));
    format!("{} params, {work} {}s", units.count(totals.params), unit.name())
}

/// The symbols of the lines below a node, through braces that have no name.
fn body_symbols(snapshot: &Snapshot, node: SyntaxNode<'_>) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    for child in node.children() {
        match child.kind() {
            Kind::Model | Kind::Block => {
                symbols.extend(ast::Item::cast(child).and_then(|item| item_symbol(snapshot, item)));
            }
            Kind::Let => {
                let value = snapshot.analysis().scalars.get(&snapshot.node(child.id())).cloned();
                let name = ast::Let::cast(child).and_then(ast::Let::name);
                symbols.extend(name.map(|name| leaf(child, name.range(), SymbolKind::Let, value)));
            }
            Kind::Input => {
                let shape = ast::Input::cast(child).and_then(ast::Input::shape);
                let name = ast::Input::cast(child).and_then(ast::Input::name);
                let detail = shape.map(|shape| shape.syntax().text().to_owned());
                symbols
                    .extend(name.map(|name| leaf(child, name.range(), SymbolKind::Input, detail)));
            }
            Kind::ParamDecl | Kind::BufferDecl => {
                let path = child.children().find(|node| node.kind() == Kind::Path);
                let shape = child.children().find(|node| node.kind() == Kind::Shape);
                let detail = shape.map(|shape| shape.text().to_owned());
                symbols
                    .extend(path.map(|path| leaf(child, path.range(), SymbolKind::Tensor, detail)));
            }
            Kind::Step => symbols.extend(step_symbols(snapshot, child)),
            _ => symbols.extend(body_symbols(snapshot, child)),
        }
    }
    symbols
}

fn leaf(
    node: SyntaxNode<'_>,
    name_range: TextRange,
    kind: SymbolKind,
    detail: Option<String>,
) -> Symbol {
    let name = node.tree().text()[std::ops::Range::<usize>::from(name_range)].to_owned();
    Symbol { name, kind, detail, range: node.range(), name_range, children: Vec::new() }
}

/// A step by its label, with what is in its braces; a step without one is what is in them.
fn step_symbols(snapshot: &Snapshot, step: SyntaxNode<'_>) -> Vec<Symbol> {
    let labels = step.children().find(|node| node.kind() == Kind::Labels);
    let stages = step.children().filter(|node| node.kind() != Kind::Labels);
    let inside: Vec<Symbol> = stages.flat_map(|stage| body_symbols(snapshot, stage)).collect();
    let Some(labels) = labels.filter(|labels| labels.children().next().is_some()) else {
        return inside;
    };
    let mut symbols = vec![Symbol {
        detail: step_figures(snapshot, step),
        children: inside,
        ..leaf(step, labels.range(), SymbolKind::Layer, None)
    }];
    symbols[0].range = step.range();
    symbols
}

/// What the step gives at its first use, and what it costs.
fn step_figures(snapshot: &Snapshot, step: SyntaxNode<'_>) -> Option<String> {
    let nodes = step.children().flat_map(|node| std::iter::once(node).chain(node.children()));
    let stages: Vec<_> = nodes
        .filter_map(|node| {
            let node = snapshot.node(node.id());
            let model = snapshot.model_of(node)?;
            Some((model, model.uses(node)))
        })
        .collect();
    let units = snapshot.display.units;
    let (model, last) = *stages.last()?;
    let mut each = stages.iter().map(|(_, uses)| uses[0].totals());
    let totals = each.try_fold(Totals::default(), |sum, totals| sum.plus(&totals)).ok()?;
    let mut parts: Vec<String> = outputs(model, &last[0].step).into_iter().collect();
    if totals.params > 0 {
        parts.push(format!("{} params", units.count(totals.params)));
    }
    let (work, unit) = (totals.work(model.unit()), model.unit().name());
    if work > 0 {
        parts.push(format!("{} {unit}s", units.count(work)));
    }
    Some(parts.join(", "))
}

/// A model or block of some file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceSymbol {
    /// Its name.
    pub name: String,
    /// A model or a block.
    pub kind: SymbolKind,
    /// The item that holds it.
    pub container: Option<String>,
    /// Its name in the file.
    pub place: Place,
}

/// The models and blocks of a file whose names have the letters of a query in order.
pub fn workspace_symbols(file: FileId, parse: &syntax::Parse, query: &str) -> Vec<WorkspaceSymbol> {
    let items = parse.tree().nodes().filter_map(ast::Item::cast);
    let found = items.filter_map(|item| {
        let name = item.name().filter(|name| matches(name.text(), query))?;
        let around = item.syntax().ancestors().skip(1).find_map(ast::Item::cast);
        Some(WorkspaceSymbol {
            name: name.text().to_owned(),
            kind: if item.is_model() { SymbolKind::Model } else { SymbolKind::Block },
            container: around.and_then(|item| Some(item.name()?.text().to_owned())),
            place: Place { file, range: name.range() },
        })
    });
    found.collect()
}

/// Whether a name has the letters of a query in order, whatever their case.
fn matches(name: &str, query: &str) -> bool {
    let mut letters = name.chars().flat_map(char::to_lowercase);
    query.chars().flat_map(char::to_lowercase).all(|wanted| letters.any(|letter| letter == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::snapshot;

    fn outline(symbols: &[Symbol], depth: usize, out: &mut Vec<String>) {
        for one in symbols {
            let detail = one.detail.as_deref().unwrap_or_default();
            out.push(format!("{}{} {detail}", "  ".repeat(depth), one.name).trim_end().to_owned());
            outline(&one.children, depth + 1, out);
        }
    }

    #[test]
    fn an_outline_has_totals() {
        let snapshot = snapshot(
            "model M {\n input x: f32[N = 1, 8]\n let n = 1 + 2\n param w: [8, 8]\n body: {\n  a: Linear(4)\n  ReLU\n }\n if n > 1 { b, c: Chunk(2, dim=1) }\n}",
        );
        let mut lines = Vec::new();
        outline(&document_symbols(&snapshot), 0, &mut lines);
        assert_eq!(
            lines,
            [
                "M 100 params, 72 FLOPs",
                "  x f32[N = 1, 8]",
                "  n 3",
                "  w [8, 8]",
                "  body [N, 4], 36 params, 72 FLOPs",
                "    a [N, 4], 36 params, 68 FLOPs",
                "  b, c 2 × [N, 2]",
            ]
        );
    }

    #[test]
    fn items_of_a_workspace() {
        let parse =
            syntax::parse("block ConvBlock { ReLU }\nmodel Net { block Inner { ReLU }; Inner }");
        let snapshot = snapshot("block A { ReLU }");
        let names = |query: &str| -> Vec<String> {
            let found = workspace_symbols(snapshot.file(), &parse, query);
            found
                .into_iter()
                .map(|one| {
                    one.container.map_or(one.name.clone(), |at| format!("{at}.{}", one.name))
                })
                .collect()
        };
        assert_eq!(names(""), ["ConvBlock", "Net", "Net.Inner"]);
        assert_eq!(names("cb"), ["ConvBlock"]);
        assert_eq!(names("x"), Vec::<String>::new());
    }
}
