//! Units that differ in numbers only are one class; the numbers are what its constructor takes.

use std::collections::{HashMap, HashSet};

use crate::{
    names,
    template::{Hole, Template},
};

/// What a class is made for, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct UnitId(pub usize);

/// A unit as it is written, with holes for its numbers.
#[derive(Debug)]
pub(crate) struct Written {
    pub unit: UnitId,
    /// The name that its class should have.
    pub name: String,
    /// What makes it.
    pub init: Template,
    /// What runs it.
    pub forward: Template,
    /// Names that mean something in it.
    pub taken: Vec<String>,
    /// What else two uses of one class have in common.
    pub also: String,
}

/// A class.
#[derive(Debug)]
pub(crate) struct Class {
    pub name: String,
    /// What its constructor takes.
    pub params: Vec<String>,
    /// Those of them that are needed when it runs.
    pub kept: Vec<String>,
    /// The units that it is made for, the first one first.
    pub units: Vec<UnitId>,
    /// What makes it, with the names of what its constructor takes.
    pub init: String,
    /// What runs it.
    pub forward: String,
}

/// How a unit is made: its class, and what its constructor is given.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Made {
    pub class: String,
    pub arguments: Vec<Hole>,
}

impl Made {
    /// `Residual(64, 128)`.
    pub fn template(&self) -> Template {
        let mut text = Template::text(format!("{}(", self.class));
        let arguments =
            self.arguments.iter().map(|hole| Template::hole(&hole.name, hole.value.clone()));
        text.append(Template::joined(arguments, ", "));
        text.push(")");
        text
    }
}

/// All classes, those that others use before them.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    pub all: Vec<Class>,
    pub made: HashMap<UnitId, Made>,
    /// Names that are taken.
    names: HashSet<String>,
}

impl Classes {
    /// A name that no class has may not be given to one: that of a helper.
    pub fn reserve(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }

    /// Makes the classes of units none of which uses another one.
    pub fn add(&mut self, written: Vec<Written>) {
        let mut groups: Vec<(String, Vec<Written>)> = Vec::new();
        for one in written {
            let (init, forward) = (one.init.skeleton(), one.forward.skeleton());
            let key = [one.name.as_str(), &one.also, &init, &forward].join("\n");
            match groups.iter_mut().find(|(known, _)| *known == key) {
                Some((_, group)) => group.push(one),
                None => groups.push((key, vec![one])),
            }
        }
        for (_, group) in groups {
            self.class(group);
        }
    }

    fn class(&mut self, group: Vec<Written>) {
        let first = &group[0];
        let holes = |one: &Written| -> Vec<Hole> {
            one.init.holes().chain(one.forward.holes()).cloned().collect()
        };
        let all: Vec<Vec<Hole>> = group.iter().map(holes).collect();
        let in_init = first.init.holes().count();
        // What differs, each with its values in all uses.
        let mut params: Vec<(String, Vec<&str>)> = Vec::new();
        let mut param_of: Vec<Option<usize>> = Vec::new();
        let mut kept: Vec<usize> = Vec::new();
        for (index, hole) in all[0].iter().enumerate() {
            let values: Vec<&str> = all.iter().map(|holes| holes[index].value.as_str()).collect();
            if values.iter().all(|value| *value == values[0]) {
                param_of.push(None);
                continue;
            }
            let known = params
                .iter()
                .position(|(name, known)| *known == values && may_be_one(name, &hole.name));
            let param = known.unwrap_or_else(|| {
                let name = free_name(&hole.name, &params, &first.taken);
                params.push((name, values));
                params.len() - 1
            });
            if index >= in_init && !kept.contains(&param) {
                kept.push(param);
            }
            param_of.push(Some(param));
        }
        let mut place = 0;
        let mut fill = |hole: &Hole, prefix: &str| {
            let param = param_of[place];
            place += 1;
            match param {
                Some(param) => format!("{prefix}{}", params[param].0),
                None => hole.value.clone(),
            }
        };
        let init = first.init.filled(|hole| fill(hole, ""));
        let forward = first.forward.filled(|hole| fill(hole, "self."));
        let name = self.name(&first.name);
        for (number, one) in group.iter().enumerate() {
            let argument = |(name, values): &(String, Vec<&str>)| Hole {
                name: name.clone(),
                value: values[number].to_owned(),
            };
            let arguments = params.iter().map(argument).collect();
            self.made.insert(one.unit, Made { class: name.clone(), arguments });
        }
        self.all.push(Class {
            name,
            kept: kept.into_iter().map(|param| params[param].0.clone()).collect(),
            params: params.into_iter().map(|(name, _)| name).collect(),
            units: group.iter().map(|one| one.unit).collect(),
            init,
            forward,
        });
    }

    fn name(&mut self, wanted: &str) -> String {
        let name = names::free(wanted, |name| !self.names.contains(name));
        self.names.insert(name.clone());
        name
    }
}

/// Settings that mean something else than any other number, even where they are equal.
const SETTINGS: &[&str] =
    &["stride", "padding", "dilation", "groups", "kernel_size", "depth", "start"];

/// Whether two numbers that are equal in all uses may be one parameter: `out_channels` of a convolution and
/// `num_features` of what follows, but no `stride` and `padding`.
fn may_be_one(param: &str, hole: &str) -> bool {
    let own = |name: &str| -> String {
        let own = name.rsplit('.').next().unwrap_or(name);
        own.trim_end_matches(|letter: char| letter.is_ascii_digit()).to_owned()
    };
    let (param, hole) = (own(param), own(hole));
    let is_setting = |name: &str| {
        SETTINGS.iter().any(|setting| name == *setting || name.ends_with(&format!("_{setting}")))
    };
    let are_settings = is_setting(&param) || is_setting(&hole);
    !are_settings || param.ends_with(&hole) || hole.ends_with(&param)
}

/// A name that no parameter has yet. The part before the last dot tells two of one name apart.
fn free_name(wanted: &str, known: &[(String, Vec<&str>)], taken: &[String]) -> String {
    let is_free = |name: &str| {
        known.iter().all(|(known, _)| known != name) && !taken.iter().any(|taken| taken == name)
    };
    let (owner, own) = wanted.rsplit_once('.').unwrap_or(("", wanted));
    let long = format!("{owner}_{own}");
    let needs_owner = !is_free(own) && !owner.is_empty() && is_free(&long);
    if needs_owner { long } else { names::free(own, is_free) }
}
