//! Why two tools say two numbers of one model: the terms of the difference.

use std::{collections::BTreeMap, ops::ControlFlow};

use analysis::{Model, Row};
use conventions::Sum;
use layers::Unit;

use crate::grouped;

/// Why the work of a model is another one by other rules.
#[derive(Debug)]
pub struct Differences {
    /// What both are told in.
    pub unit: Unit,
    /// The first figure.
    pub left: u128,
    /// The second one.
    pub right: u128,
    /// What they differ in, the largest first. The sum of all is the difference.
    pub parts: Vec<Difference>,
}

/// What is counted otherwise in some layers of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The kind of layer, or how the tool sums.
    pub what: String,
    /// What only the first tool counts: the names of the terms.
    pub left: BTreeMap<&'static str, u128>,
    /// What only the second tool counts.
    pub right: BTreeMap<&'static str, u128>,
    /// Which of the tools does not see such a layer at all.
    pub unseen: Option<Side>,
    /// The paths of the layers.
    pub layers: Vec<String>,
}

/// One of two tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it.
pub enum Side {
    Left,
    Right,
}

impl Difference {
    /// How much more the first tool counts.
    pub fn net(&self) -> i128 {
        signed(self.left.values()) - signed(self.right.values())
    }

    /// `Conv2d ×5: fvcore nothing; thop bias 484,992`, with the tools' names.
    pub fn described(&self, names: (&str, &str)) -> String {
        let times = match self.layers.len() {
            0 | 1 => String::new(),
            times => format!(" ×{times}"),
        };
        let terms = |terms: &BTreeMap<&'static str, u128>| {
            let each = terms.iter().map(|(name, value)| format!("{name} {}", grouped(*value)));
            each.collect::<Vec<_>>().join(", ")
        };
        let side = |name: &str, own, side| match self.unseen == Some(side) {
            true => format!("{name} does not see it"),
            false => match terms(own) {
                none if none.is_empty() => format!("{name} nothing"),
                some => format!("{name} {some}"),
            },
        };
        let left = side(names.0, &self.left, Side::Left);
        let right = side(names.1, &self.right, Side::Right);
        format!("{}{times}: {left}; {right}", self.what)
    }
}

fn signed<'n>(numbers: impl Iterator<Item = &'n u128>) -> i128 {
    let sum = numbers.fold(0, |sum: u128, number| sum.saturating_add(*number));
    i128::try_from(sum).unwrap_or(i128::MAX)
}

impl Differences {
    /// The terms in which two analyses of the same model differ, that count by different rules.
    pub fn of(left: &Model, right: &Model) -> Differences {
        let unit = common_unit(left, right);
        let (lines, others) = (lines(left, unit), lines(right, unit));
        let mut parts: Vec<Difference> = Vec::new();
        for (line, other) in lines.iter().zip(&others) {
            let Some(found) = difference(line, other) else { continue };
            let alike = |part: &&mut Difference| {
                part.what == found.what
                    && part.unseen == found.unseen
                    && part.left.keys().eq(found.left.keys())
                    && part.right.keys().eq(found.right.keys())
            };
            match parts.iter_mut().find(alike) {
                Some(part) => add(part, found),
                None => parts.push(found),
            }
        }
        let sums = [(left, &lines, Side::Left), (right, &others, Side::Right)];
        parts.extend(
            sums.into_iter()
                .filter_map(|(model, lines, side)| sums_otherwise(model, lines, unit, side)),
        );
        parts.sort_by_key(|part| std::cmp::Reverse(part.net().unsigned_abs()));
        Differences {
            unit,
            left: left.totals().work(unit),
            right: right.totals().work(unit),
            parts,
        }
    }
}

/// MACs if both tools give them; else FLOPs, of which a MAC is two.
fn common_unit(left: &Model, right: &Model) -> Unit {
    if left.gives(Unit::Macs) && right.gives(Unit::Macs) { Unit::Macs } else { Unit::Flops }
}

/// What a tool counts for a leaf.
struct Line {
    path: String,
    kind: String,
    is_seen: bool,
    terms: Vec<(&'static str, u128)>,
    work: u128,
}

fn lines(model: &Model, unit: Unit) -> Vec<Line> {
    let mut lines = Vec::new();
    model.rows(|row| {
        lines.push(Line {
            path: match row.call {
                0 => row.path.clone(),
                call => format!("{} (call {})", row.path, call + 1),
            },
            kind: row.step.kind().to_owned(),
            is_seen: row.step.is_seen(),
            terms: if row.idle { Vec::new() } else { terms(&row, unit) },
            work: row.totals.work(unit),
        });
        ControlFlow::Continue(())
    });
    lines
}

fn terms(row: &Row<'_>, unit: Unit) -> Vec<(&'static str, u128)> {
    let in_unit = |of: Unit, value: u128| match (unit, of) {
        (Unit::Macs, Unit::Flops) => None,
        (Unit::Flops, Unit::Macs) => value.checked_mul(2),
        _ => Some(value),
    };
    let terms = row.step.cost().terms;
    let terms = terms.iter().filter_map(|term| {
        Some((term.name, in_unit(term.unit, term.value().ok()?)?)).filter(|(_, value)| *value > 0)
    });
    terms.collect()
}

/// What is left when equal terms are taken away, whatever they are called.
fn difference(left: &Line, right: &Line) -> Option<Difference> {
    let mut others = right.terms.clone();
    let mut own = Vec::new();
    for term in &left.terms {
        match others.iter().position(|other| other.1 == term.1) {
            Some(equal) => {
                others.swap_remove(equal);
            }
            None => own.push(*term),
        }
    }
    let sum = |terms: &[(&str, u128)]| signed(terms.iter().map(|(_, value)| value));
    if sum(&own) == sum(&others) {
        return None;
    }
    let unseen = match (left.is_seen, right.is_seen) {
        (false, true) => Some(Side::Left),
        (true, false) => Some(Side::Right),
        _ => None,
    };
    Some(Difference {
        what: left.kind.clone(),
        left: summed(own),
        right: summed(others),
        unseen,
        layers: vec![left.path.clone()],
    })
}

fn summed(terms: Vec<(&'static str, u128)>) -> BTreeMap<&'static str, u128> {
    let mut sums = BTreeMap::new();
    for (name, value) in terms {
        add_to(&mut sums, name, value);
    }
    sums
}

fn add_to(sums: &mut BTreeMap<&'static str, u128>, name: &'static str, value: u128) {
    let sum = sums.entry(name).or_insert(0u128);
    *sum = sum.saturating_add(value);
}

fn add(part: &mut Difference, more: Difference) {
    for (sums, terms) in [(&mut part.left, more.left), (&mut part.right, more.right)] {
        for (name, value) in terms {
            add_to(sums, name, value);
        }
    }
    part.layers.extend(more.layers);
}

/// How a tool's sum differs from that of all its lines.
fn sums_otherwise(model: &Model, lines: &[Line], unit: Unit, side: Side) -> Option<Difference> {
    let lines = lines.iter().fold(0, |sum: u128, line| sum.saturating_add(line.work));
    let total = model.totals().work(unit);
    let name = match model.counted?.convention.sum {
        Sum::AllCalls => "blocks that are one layer to PyTorch",
        Sum::LastCalls => "calls before the last one of a module",
        Sum::LastCallsInSinglePrecision => "calls before the last one, and float32",
    };
    let what = "the sum".to_owned();
    let mut found = Difference {
        what,
        left: BTreeMap::new(),
        right: BTreeMap::new(),
        unseen: (total < lines).then_some(side),
        layers: Vec::new(),
    };
    // More in the sum of a side is more of that side, less is more of the other one.
    let is_left = (side == Side::Left) == (total > lines);
    let terms = if is_left { &mut found.left } else { &mut found.right };
    add_to(terms, name, total.abs_diff(lines));
    (total != lines).then_some(found)
}
