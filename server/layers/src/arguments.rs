//! Arguments bound to a signature.

use std::{fmt, ops::RangeInclusive};

use kernels::PerAxis;
use smallvec::SmallVec;

use crate::{
    DType, Kind, Param, Reason, Refusal, Signature, TensorType,
    refusal::{At, WayOut},
};

/// The value of an argument.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    /// `none`
    None,
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Arg>),
}

impl Arg {
    /// Reads a default as it is written in a signature.
    pub(crate) fn parse(text: &str) -> Option<Arg> {
        match text {
            "none" => Some(Arg::None),
            "true" => Some(Arg::Bool(true)),
            "false" => Some(Arg::Bool(false)),
            _ => {
                let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                let int = || text.parse().ok().map(Arg::Int);
                let float = || text.parse().ok().map(Arg::Float);
                quoted.map(|text| Arg::Text(text.to_owned())).or_else(int).or_else(float)
            }
        }
    }
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arg::None => f.write_str("none"),
            Arg::Bool(value) => write!(f, "{value}"),
            Arg::Int(value) => write!(f, "{value}"),
            Arg::Float(value) => write!(f, "{value:?}"),
            Arg::Text(value) => write!(f, "\"{}\"", value.escape_debug()),
            Arg::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
        }
    }
}

/// The arguments of one call, each with its parameter.
#[derive(Debug, Clone)]
pub struct Arguments {
    signature: Signature,
    values: Vec<Option<Arg>>,
    /// The names of parameters for which a tensor is given, such as a tied `weight`.
    given: Vec<String>,
    /// The dtype that the model's weights have.
    pub dtype: DType,
}

/// What PyTorch's layers and functions take and has no meaning here.
pub(crate) const IGNORED: &[&str] = &["inplace", "device", "dtype", "training"];

impl Arguments {
    /// Binds positional and named arguments to the signature, as Python does.
    ///
    /// # Errors
    /// For an argument that the layer does not have, has twice, or lacks.
    pub(crate) fn bind(
        signature: Signature,
        positional: &[Arg],
        named: &[(&str, Arg)],
    ) -> Result<Arguments, Refusal> {
        let mut values = vec![None; signature.params.len()];
        let variadic = signature.params.first().is_some_and(|param| param.kind == Kind::Variadic);
        if variadic && !positional.is_empty() {
            values[0] = Some(match positional {
                [list @ Arg::List(_)] => list.clone(),
                _ => Arg::List(positional.to_vec()),
            });
        } else {
            for (index, value) in positional.iter().enumerate() {
                let Some(slot) = values.get_mut(index) else {
                    return Err(too_many(signature, index));
                };
                *slot = Some(value.clone());
            }
        }
        for (name, value) in named {
            let Some(index) = signature.params.iter().position(|param| param.name == *name) else {
                if IGNORED.contains(name) {
                    continue;
                }
                return Err(unknown(signature, name));
            };
            if values[index].is_some() {
                let message = format!("`{name}` of `{}` is given twice", signature.name);
                return Err(Refusal::argument(name, message));
            }
            values[index] = Some(value.clone());
        }
        let arguments = Arguments { signature, values, given: Vec::new(), dtype: DType::F32 };
        arguments.check()?;
        Ok(arguments)
    }

    /// Says which of the layer's parameters are given as tensors.
    pub fn with_given(mut self, given: Vec<String>) -> Arguments {
        self.given = given;
        self
    }

    /// Says which dtype the model's weights have.
    pub fn with_dtype(mut self, dtype: DType) -> Arguments {
        self.dtype = dtype;
        self
    }

    /// The name and the arguments of the layer that is called.
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// The arguments that were given, in the order of the signature.
    pub fn shown(&self) -> impl Iterator<Item = (&'static str, &Arg)> {
        let pairs = self.signature.params.iter().zip(&self.values);
        pairs.filter_map(|(param, value)| Some((param.name, value.as_ref()?)))
    }

    fn check(&self) -> Result<(), Refusal> {
        for (param, value) in self.signature.params.iter().zip(&self.values) {
            match value {
                None if param.default.is_none() && param.kind != Kind::Variadic => {
                    let message = format!("`{}` needs `{}`", self.signature, param.name);
                    return Err(Refusal::new(Reason::MissingArgument, At::Layer, message));
                }
                Some(value) if *value != Arg::None || param.default.is_none() => {
                    check_kind(self.signature, param, value)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The value given for an argument, or its default.
    pub fn get(&self, name: &str) -> Arg {
        let index = self.signature.params.iter().position(|param| param.name == name);
        debug_assert!(index.is_some(), "{} has no argument {name}", self.signature.name);
        let Some(index) = index else { return Arg::None };
        let default = || self.signature.params[index].default.and_then(Arg::parse);
        self.values[index].clone().or_else(default).unwrap_or(Arg::None)
    }

    fn refuse<T>(&self, name: &str, wanted: &str, value: &Arg) -> Result<T, Refusal> {
        let message = format!("`{name}` of `{}` is {wanted}, not {value}", self.signature.name);
        Err(Refusal::argument(name, message))
    }

    /// A whole number.
    pub fn int(&self, name: &str) -> Result<i64, Refusal> {
        match self.get(name) {
            Arg::Int(value) => Ok(value),
            value => self.refuse(name, "a whole number", &value),
        }
    }

    /// A whole number of at least `least`.
    pub fn size(&self, name: &str, least: u64) -> Result<u64, Refusal> {
        let value = self.int(name)?;
        match u64::try_from(value) {
            Ok(size) if size >= least => Ok(size),
            _ => self.refuse(name, &format!("at least {least}"), &Arg::Int(value)),
        }
    }

    pub(crate) fn optional_int(&self, name: &str) -> Result<Option<i64>, Refusal> {
        if self.get(name) == Arg::None { Ok(None) } else { self.int(name).map(Some) }
    }

    /// A number.
    pub fn float(&self, name: &str) -> Result<f64, Refusal> {
        match self.get(name) {
            Arg::Float(value) => Ok(value),
            Arg::Int(value) => Ok(value as f64),
            value => self.refuse(name, "a number", &value),
        }
    }

    /// The small number that keeps a division from one by 0.
    pub(crate) fn eps(&self) -> Result<f64, Refusal> {
        self.within("eps", 0.0..=0.1, "a small number, from 0 to 0.1")
    }

    /// The probability with which elements are dropped.
    pub(crate) fn probability(&self, name: &str) -> Result<f64, Refusal> {
        self.within(name, 0.0..=1.0, "a probability, from 0 to 1")
    }

    fn within(&self, name: &str, range: RangeInclusive<f64>, wanted: &str) -> Result<f64, Refusal> {
        let value = self.float(name)?;
        match range.contains(&value) {
            true => Ok(value),
            false => self.refuse(name, wanted, &self.get(name)).map_err(|mut refusal| {
                let param = self.signature.params.iter().find(|param| param.name == name);
                let is_optional = param.is_some_and(|param| param.default.is_some());
                refusal.way_out = is_optional.then_some(WayOut::LeaveOut);
                refusal
            }),
        }
    }

    pub(crate) fn optional_float(&self, name: &str) -> Result<Option<f64>, Refusal> {
        if self.get(name) == Arg::None { Ok(None) } else { self.float(name).map(Some) }
    }

    /// A number for each of `axes` axes.
    pub fn floats(&self, name: &str, axes: usize) -> Result<Vec<f64>, Refusal> {
        let value = self.get(name);
        let items = match &value {
            Arg::List(items) if items.len() == axes => items.clone(),
            Arg::List(_) => {
                return self.refuse(name, &format!("a number or a list of {axes}"), &value);
            }
            one => vec![one.clone(); axes],
        };
        let number = |item: &Arg| match item {
            Arg::Int(value) => Ok(*value as f64),
            Arg::Float(value) => Ok(*value),
            _ => self.refuse(name, "a number", item),
        };
        items.iter().map(number).collect()
    }

    /// Whether the layer has a switch of this name, and it is on.
    pub fn is_on(&self, name: &str) -> bool {
        let has = self.signature.params.iter().any(|param| param.name == name);
        has && self.bool(name).unwrap_or(false)
    }

    /// A switch; true where a tensor is given for the parameter of the same name.
    pub fn bool(&self, name: &str) -> Result<bool, Refusal> {
        if self.given.iter().any(|given| given == name) {
            return Ok(true);
        }
        match self.get(name) {
            Arg::Bool(value) => Ok(value),
            value => self.refuse(name, "`true` or `false`", &value),
        }
    }

    /// A text.
    pub fn text(&self, name: &str) -> Result<String, Refusal> {
        match self.get(name) {
            Arg::Text(value) => Ok(value),
            value => self.refuse(name, "a text", &value),
        }
    }

    /// A whole number of at least `least` for each of `axes` axes.
    pub fn per_axis(&self, name: &str, axes: usize, least: u64) -> Result<PerAxis<u64>, Refusal> {
        let value = self.get(name);
        let one = |item: &Arg| match item {
            Arg::Int(size) if *size >= least as i64 => Ok(*size as u64),
            _ => self.refuse(name, &format!("at least {least}"), item),
        };
        match &value {
            Arg::Int(_) => Ok(SmallVec::from_elem(one(&value)?, axes)),
            Arg::List(items) if items.len() == axes => items.iter().map(one).collect(),
            Arg::List(items) if items.len() == 1 => Ok(SmallVec::from_elem(one(&items[0])?, axes)),
            _ => self.refuse(name, &format!("a whole number or a list of {axes}"), &value),
        }
    }

    /// One whole number or a list of them.
    pub fn ints(&self, name: &str) -> Result<Vec<i64>, Refusal> {
        let value = self.get(name);
        let items = match &value {
            Arg::Int(_) => vec![value.clone()],
            Arg::List(items) => items.clone(),
            Arg::None => Vec::new(),
            _ => return self.refuse(name, "a whole number or a list of them", &value),
        };
        let ints = items.iter().map(|item| match item {
            Arg::Int(value) => Ok(*value),
            _ => self.refuse(name, "a list of whole numbers", &value),
        });
        ints.collect()
    }

    /// A dimension of a tensor with `rank` dimensions; negative ones count from the end.
    pub fn dim(&self, name: &str, rank: usize) -> Result<usize, Refusal> {
        self.resolve_dim(name, self.int(name)?, rank)
    }

    pub(crate) fn resolve_dim(&self, name: &str, dim: i64, rank: usize) -> Result<usize, Refusal> {
        let rank = rank as i64;
        let resolved = if dim < 0 { dim + rank } else { dim };
        if (0..rank).contains(&resolved) {
            return Ok(resolved as usize);
        }
        let message = format!(
            "`{name}={dim}`: the tensor has {rank} dimensions, from {} to {}",
            -rank,
            rank - 1
        );
        Err(Refusal::argument(name, message))
    }
}

fn too_many(signature: Signature, index: usize) -> Refusal {
    let message = match signature.params.len() {
        0 => format!("`{}` takes no argument", signature.name),
        count => format!("`{}` takes at most {count} arguments", signature),
    };
    Refusal::new(Reason::UnknownArgument, At::Position(index), message)
}

fn unknown(signature: Signature, name: &str) -> Refusal {
    let nearest = nearest(name, signature.params.iter().map(|param| param.name));
    let hint = match nearest {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None if signature.params.is_empty() => "; it takes none".to_owned(),
        None => format!("; it takes `{}`", signature),
    };
    let message = format!("`{}` has no argument `{name}`{hint}", signature.name);
    let mut refusal = Refusal::new(Reason::UnknownArgument, At::Argument(name.to_owned()), message);
    refusal.way_out = nearest.map(|nearest| WayOut::Rename(nearest.to_owned()));
    refusal
}

/// The candidate nearest to a misspelt name, if one is near: one or two letters away, or the name with its end
/// left out. Never the name itself.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let most = if wanted.chars().count() < 5 { 1 } else { 2 };
    let is_near = |candidate: &&str| {
        let other = candidate.to_lowercase();
        let continues = wanted.len() >= 3 && candidate.starts_with(name);
        **candidate != *name && (continues || strsim::osa_distance(&wanted, &other) <= most)
    };
    // Two short names with no letter in common are one or two letters away too.
    let is_like = |candidate: &&str| strsim::jaro(&wanted, &candidate.to_lowercase()) > 0.5;
    let near = candidates.filter(is_near).filter(is_like);
    let scored = near.map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
    scored.max_by(|left, right| left.0.total_cmp(&right.0)).map(|(_, candidate)| candidate)
}

/// Whether a name becomes another one by one letter more, less, changed or swapped.
pub fn is_one_edit_away(name: &str, other: &str) -> bool {
    strsim::osa_distance(name, other) == 1
}

fn check_kind(signature: Signature, param: &Param, value: &Arg) -> Result<(), Refusal> {
    let is_int = |value: &Arg| matches!(value, Arg::Int(_));
    let ints = |value: &Arg| matches!(value, Arg::List(items) if items.iter().all(is_int));
    let (fits, wanted) = match param.kind {
        Kind::Int => (is_int(value), "a whole number".to_owned()),
        Kind::PerAxis(1) => (is_int(value) || ints(value), "a whole number".to_owned()),
        Kind::PerAxis(axes) => {
            (is_int(value) || ints(value), format!("a whole number or a list of {axes}"))
        }
        Kind::OutputSize(axes) => {
            let is_size = |value: &Arg| is_int(value) || *value == Arg::None;
            let sizes = matches!(value, Arg::List(items) if items.iter().all(is_size));
            (is_int(value) || sizes, format!("a whole number or a list of {axes}"))
        }
        Kind::Padding(axes) => {
            let fits = is_int(value) || ints(value) || matches!(value, Arg::Text(_));
            (fits, format!("a whole number, a list of {axes} or \"same\""))
        }
        Kind::Ints => (is_int(value) || ints(value), "a whole number or a list of them".to_owned()),
        Kind::Variadic => (ints(value), "whole numbers".to_owned()),
        Kind::Float => (matches!(value, Arg::Int(_) | Arg::Float(_)), "a number".to_owned()),
        Kind::Floats => {
            let is_number = |value: &Arg| matches!(value, Arg::Int(_) | Arg::Float(_));
            let all = matches!(value, Arg::List(items) if items.iter().all(is_number));
            (is_number(value) || all, "a number or a list of them".to_owned())
        }
        Kind::Bool => (matches!(value, Arg::Bool(_)), "`true` or `false`".to_owned()),
        Kind::Text => (matches!(value, Arg::Text(_)), "a text".to_owned()),
        Kind::Choice(choices) => {
            let fits = matches!(value, Arg::Text(text) if choices.contains(&text.as_str()));
            let quoted: Vec<String> =
                choices.iter().map(|choice| format!("\"{choice}\"")).collect();
            (fits, format!("one of {}", quoted.join(", ")))
        }
        Kind::Ignored => (true, String::new()),
    };
    if fits {
        return Ok(());
    }
    let float_for_int = matches!(value, Arg::Float(_)) && wanted.contains("whole number");
    let hint = if float_for_int { "; `//` divides to a whole number" } else { "" };
    let message =
        format!("`{}` of `{}` is {wanted}, not {value}{hint}", param.name, signature.name);
    Err(Refusal::argument(param.name, message))
}

/// The type of the only or first tensor, which [`crate::Entry::check_inputs`] has made sure of.
pub(crate) fn first_input(inputs: &[TensorType]) -> Result<&TensorType, Refusal> {
    inputs.first().ok_or_else(|| {
        Refusal::new(Reason::WrongNumberOfInputs, At::Layer, "this layer needs a tensor")
    })
}

/// The type of the first tensor, which must hold floating-point numbers.
pub(crate) fn float_input<'a>(
    name: &str,
    inputs: &'a [TensorType],
) -> Result<&'a TensorType, Refusal> {
    let input = first_input(inputs)?;
    if input.dtype.is_float() {
        return Ok(input);
    }
    Err(Refusal::dtype(0, format!("`{name}` takes floating-point numbers, not {}", input.dtype)))
}
