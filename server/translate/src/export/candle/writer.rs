//! What is known of the file while it is written: which struct and field each unit is.

use std::collections::{BTreeSet, HashMap};

use analysis::Workspace;

use super::modules::{self, Module};
use crate::{
    classes::{Classes, UnitId},
    export::{
        Error,
        naming::Written as Text,
        unit::{Child, ChildKind, LayerStep, Unit, layer_of},
    },
    names::counted,
};

/// What a unit is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A struct.
    Struct,
    /// `Vec<…>` in the struct that owns it: equal structs, each of which takes what the one before it gave.
    List,
}

/// A field of a struct.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub name: String,
    pub ty: String,
}

pub(super) struct Writer<'u, 'm> {
    pub workspace: &'m Workspace,
    pub units: &'u [Unit<'m>],
    pub forms: Vec<Form>,
    pub fields: HashMap<UnitId, Vec<Field>>,
    pub classes: Classes,
    /// The helpers, types and traits that are used.
    pub needed: BTreeSet<&'static str>,
}

impl<'m> Writer<'_, 'm> {
    pub(super) fn unit(&self, id: UnitId) -> &Unit<'m> {
        &self.units[id.0]
    }

    pub(super) fn form(&self, id: UnitId) -> Form {
        self.forms[id.0]
    }

    /// The struct that all of the children are.
    pub(super) fn struct_of_all(&self, children: &[Child<'m>]) -> Option<&str> {
        let mut classes = children.iter().map(|child| match child.what {
            ChildKind::Unit(id) => self.classes.made.get(&id).map(|made| made.class.as_str()),
            _ => None,
        });
        let first = classes.next()??;
        classes.all(|class| class == Some(first)).then_some(first)
    }

    /// The struct that all children of a unit are, if their names count: they are one field.
    pub(super) fn listed(&self, id: UnitId) -> Option<&str> {
        let children = &self.unit(id).children;
        counting(children)?;
        self.struct_of_all(children)
    }

    pub(super) fn module(&self, step: &LayerStep<'m>, vb: &str) -> Result<Module, Error> {
        modules::module(step, vb).map_err(|reason| {
            let shown = step.shown();
            Error::refused(shown.kind(), reason).at(shown.node)
        })
    }

    pub(super) fn is_field(&self, what: &ChildKind<'m>) -> bool {
        match what {
            ChildKind::Tensor(_) | ChildKind::Unit(_) => true,
            ChildKind::Layer(step) => owns(step),
        }
    }

    /// The expression of what has a path in a unit.
    pub(super) fn access(&self, id: UnitId, path: &str) -> Result<Text, Error> {
        self.access_from("self", id, path)
    }

    pub(super) fn access_from(&self, owner: &str, id: UnitId, path: &str) -> Result<Text, Error> {
        let unit = self.unit(id);
        let is_below = |child: &str| {
            path.strip_prefix(child).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        // The longest path that is the beginning of this one owns what it means.
        let found = unit
            .children
            .iter()
            .filter(|child| self.is_field(&child.what))
            .enumerate()
            .filter(|(_, child)| is_below(&child.path))
            .max_by_key(|(_, child)| child.path.len());
        let Some((index, child)) = found else {
            return Err(Error::refused(path, "nothing of that name is at hand"));
        };
        let text = match self.form(id) {
            Form::Struct if self.listed(id).is_some() => {
                format!("{owner}.{}[{index}]", self.fields[&id][0].name)
            }
            Form::Struct => format!("{owner}.{}", self.fields[&id][index].name),
            Form::List => format!("{owner}[{index}]"),
        };
        let rest = path[child.path.len()..].trim_start_matches('.');
        match &child.what {
            _ if rest.is_empty() => Ok(Text::simple(text)),
            ChildKind::Unit(id) => self.access_from(&text, *id, rest),
            ChildKind::Layer(step) => {
                let accessor = match (step.shown().kind(), rest) {
                    ("Embedding", "weight") => "embeddings",
                    ("Linear" | "Conv1d" | "Conv2d" | "RMSNorm" | "LayerNorm", "weight") => {
                        "weight"
                    }
                    (kind, _) => {
                        let reason = format!("Candle's module does not show its `{rest}`");
                        return Err(Error::refused(kind, reason));
                    }
                };
                Ok(Text::lent(format!("{text}.{accessor}()")))
            }
            ChildKind::Tensor(_) => Ok(Text::simple(text)),
        }
    }
}

/// Whether a layer is a module: it has parameters of its own.
pub(super) fn owns(step: &LayerStep<'_>) -> bool {
    layer_of(step.shown()).is_some_and(|used| !used.parameters.is_empty() || !used.given.is_empty())
}

/// What the children's names have before the numbers that they count up, and the first number.
pub(super) fn counting<'c>(children: &'c [Child<'_>]) -> Option<(&'c str, usize)> {
    let number = |path: &'c str| match path.parse::<usize>() {
        Ok(number) => Some(("", number)),
        Err(_) => counted(path).filter(|(prefix, _)| !prefix.contains('.')),
    };
    let (prefix, start) = number(&children.first()?.path)?;
    let is_next = |(index, child): (usize, &'c Child<'_>)| {
        number(&child.path) == Some((prefix, start + index))
    };
    (children.len() > 1 && children.iter().enumerate().all(is_next)).then_some((prefix, start))
}
