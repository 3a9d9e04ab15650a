//! The arguments of a layer as Python has them.

use analysis::LayerUse;
use layers::{Arg, Param, Shape};

use crate::{
    export::{
        sizes::AtSizes,
        unit::{LayerStep, layer_of},
    },
    template::Template,
};

/// Gives the expression of a whole number that follows the input's sizes.
pub(super) type SizeOf<'s> = dyn FnMut(&AtSizes<i64>) -> Option<Template> + 's;

/// A layer with its arguments at all sizes.
pub(super) struct Used<'m> {
    pub(super) step: LayerStep<'m>,
    pub(super) used: &'m LayerUse,
    pub(super) given: Vec<(&'static str, AtSizes<Arg>)>,
}

impl<'m> Used<'m> {
    pub(super) fn of(step: &LayerStep<'m>) -> Option<Used<'m>> {
        let used = layer_of(step.shown())?;
        let arguments = |step: &'m analysis::Step| -> Vec<(&'static str, Arg)> {
            let used = layer_of(step).and_then(|used| used.arguments.as_ref());
            used.map_or_else(Vec::new, |arguments| {
                arguments.shown().map(|(name, value)| (name, value.clone())).collect()
            })
        };
        let all: Vec<Vec<(&'static str, Arg)>> =
            step.0.iter().map(|step| arguments(step)).collect();
        let given = all[0].iter().enumerate().map(|(index, (name, _))| {
            (*name, AtSizes(all.iter().map(|arguments| arguments[index].1.clone()).collect()))
        });
        Some(Used { step: step.clone(), used, given: given.collect() })
    }

    pub(super) fn input(&self, index: usize) -> &'m Shape {
        &self.step.shown().inputs[index].ty.shape
    }

    pub(super) fn get(&self, name: &str) -> Option<&AtSizes<Arg>> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, value)| value)
    }

    pub(super) fn shown(&self, name: &str) -> Option<&Arg> {
        self.get(name).map(AtSizes::shown)
    }

    pub(super) fn is_on(&self, name: &str) -> bool {
        self.shown(name) == Some(&Arg::Bool(true))
    }

    pub(super) fn is_constant(&self) -> bool {
        self.given.iter().all(|(_, value)| value.is_constant())
    }

    /// Drops arguments that need not be given.
    pub(super) fn leave_defaults_out(&mut self) {
        let params = self.params();
        let default = |name: &str| params.iter().find(|param| param.name == name)?.default;
        self.given.retain(|(name, value)| {
            let written = value.shown().to_string();
            !value.is_constant() || default(name) != Some(&written)
        });
    }

    pub(super) fn params(&self) -> &'static [Param] {
        self.used.entry.map_or(&[], |entry| entry.params)
    }

    /// The arguments, but for some, as Python has them: those that must be given by their places.
    pub(super) fn arguments(
        &self,
        without: &[&str],
        size_of: &mut SizeOf<'_>,
    ) -> Option<Vec<Template>> {
        let mut written = Vec::new();
        let mut by_name = false;
        for param in self.params().iter().filter(|param| !without.contains(&param.name)) {
            let Some(value) = self.get(param.name) else {
                by_name = true;
                continue;
            };
            by_name |= param.default.is_some();
            let value = literal(param.name, value, size_of)?;
            let mut argument = Template::default();
            if by_name {
                argument.push(&format!("{}=", param.name));
            }
            argument.append(value);
            written.push(argument);
        }
        Some(written)
    }
}

/// No number may follow the input's sizes.
pub(super) fn constant(_: &AtSizes<i64>) -> Option<Template> {
    None
}

/// A value as Python has it. Numbers that follow the input's sizes are expressions of them.
pub(super) fn literal(
    name: &str,
    value: &AtSizes<Arg>,
    size_of: &mut SizeOf<'_>,
) -> Option<Template> {
    if value.is_constant() {
        return Some(Template::hole(name, python(value.shown())));
    }
    match value.shown() {
        Arg::List(items) => {
            let items = (0..items.len()).map(|index| {
                let item = value.map(|list| match list {
                    Arg::List(items) => items[index].clone(),
                    other => other.clone(),
                });
                literal(name, &item, size_of)
            });
            let items = items.collect::<Option<Vec<_>>>()?;
            let mut text = Template::text("(");
            let ends_with_comma = items.len() == 1;
            text.append(Template::joined(items, ", "));
            text.push(if ends_with_comma { ",)" } else { ")" });
            Some(text)
        }
        Arg::Int(_) => size_of(&whole(value)?),
        // A number such as 224.0 follows a size as 224 does.
        Arg::Float(_) => size_of(&whole(value)?),
        _ => None,
    }
}

fn whole(value: &AtSizes<Arg>) -> Option<AtSizes<i64>> {
    let all: Option<smallvec::SmallVec<_>> = value
        .0
        .iter()
        .map(|value| match value {
            Arg::Int(value) => Some(*value),
            Arg::Float(value) if value.fract() == 0.0 => Some(*value as i64),
            _ => None,
        })
        .collect();
    all.map(AtSizes)
}

/// A value in Python's words.
pub(super) fn python(value: &Arg) -> String {
    match value {
        Arg::None => "None".to_owned(),
        Arg::Bool(true) => "True".to_owned(),
        Arg::Bool(false) => "False".to_owned(),
        Arg::Int(value) => value.to_string(),
        Arg::Float(value) => float(*value),
        Arg::Text(text) => format!("{text:?}"),
        Arg::List(items) => {
            let items: Vec<String> = items.iter().map(python).collect();
            let comma = if items.len() == 1 { "," } else { "" };
            format!("({}{comma})", items.join(", "))
        }
    }
}

pub(super) fn float(value: f64) -> String {
    match value {
        value if value == f64::INFINITY => "math.inf".to_owned(),
        value if value == f64::NEG_INFINITY => "-math.inf".to_owned(),
        value if value.is_nan() => "math.nan".to_owned(),
        value => format!("{value:?}"),
    }
}

/// A shape as Python has it.
pub(super) fn shape(sizes: &[u64]) -> String {
    python(&Arg::List(sizes.iter().map(|size| Arg::Int(*size as i64)).collect()))
}
