//! The arguments of a layer as Rust has them.

use analysis::LayerUse;
use layers::{Arg, DType, Shape, TensorType};

use crate::{
    export::{
        sizes::AtSizes,
        unit::{LayerStep, layer_of},
    },
    template::Template,
};

/// What `torch.nn.RMSNorm` adds if it is given nothing: the smallest step of a 32-bit number.
pub(super) const RMS_NORM_EPS: f64 = f32::EPSILON as f64;

/// Gives the expression of a size that follows the input's.
pub(super) type SizeOf<'s> = dyn FnMut(&AtSizes<i64>) -> Option<Template> + 's;

/// A layer at all sizes, with what it says of its arguments.
pub(super) struct Used<'m> {
    pub step: LayerStep<'m>,
    pub layer: &'m LayerUse,
}

impl<'m> Used<'m> {
    pub fn of(step: &LayerStep<'m>) -> Result<Used<'m>, String> {
        let layer = layer_of(step.shown()).ok_or_else(|| "it is no layer".to_owned())?;
        Ok(Used { step: step.clone(), layer })
    }

    pub fn input(&self, index: usize) -> Result<&'m TensorType, String> {
        let input = self.step.shown().inputs.get(index);
        input.map(|input| &*input.ty).ok_or_else(|| "it lacks an input".to_owned())
    }

    /// The size of the first input's dimension, counted from the end.
    pub fn size_from_end(&self, index: usize) -> Result<u64, String> {
        let shape = &self.input(0)?.shape;
        let dim = shape.len().checked_sub(index + 1);
        dim.map(|dim| shape[dim]).ok_or_else(|| "its input has too few dimensions".to_owned())
    }

    pub fn rank(&self) -> Result<usize, String> {
        Ok(self.input(0)?.shape.len())
    }

    pub fn output(&self, index: usize) -> AtSizes<Shape> {
        self.step.map(|step| step.outputs[index].ty.shape.clone())
    }

    pub fn output_dtype(&self) -> DType {
        self.step.shown().outputs[0].ty.dtype
    }

    /// The value of an argument, which may not follow the input's sizes.
    pub fn get(&self, name: &str) -> Result<Arg, String> {
        let value = self.step.map(|step| {
            let arguments = layer_of(step).and_then(|used| used.arguments.as_ref());
            arguments.map_or(Arg::None, |arguments| arguments.get(name))
        });
        if value.is_constant() { Ok(value.shown().clone()) } else { Err(varies()) }
    }

    pub fn int(&self, name: &str) -> Result<i64, String> {
        match self.get(name)? {
            Arg::Int(value) => Ok(value),
            other => Err(format!("its argument `{name}` is {other}, no whole number")),
        }
    }

    pub fn float(&self, name: &str) -> Result<f64, String> {
        match self.get(name)? {
            Arg::Int(value) => Ok(value as f64),
            Arg::Float(value) => Ok(value),
            other => Err(format!("its argument `{name}` is {other}, no number")),
        }
    }

    pub fn is_on(&self, name: &str) -> bool {
        self.get(name) == Ok(Arg::Bool(true))
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_ok_and(|value| value != Arg::None)
    }

    pub fn text(&self, name: &str) -> Result<String, String> {
        match self.get(name)? {
            Arg::Text(value) => Ok(value.to_string()),
            other => Err(format!("its argument `{name}` is {other}, no text")),
        }
    }

    /// A list of whole numbers, or one of them.
    pub fn ints(&self, name: &str) -> Result<Vec<i64>, String> {
        let items = match self.get(name)? {
            Arg::Int(value) => return Ok(vec![value]),
            Arg::List(items) => items,
            other => return Err(format!("its argument `{name}` is {other}, no whole numbers")),
        };
        let whole = items.iter().map(|item| match item {
            Arg::Int(value) => Ok(*value),
            other => Err(format!("its argument `{name}` has {other}, no whole number")),
        });
        whole.collect()
    }

    /// A list of sizes, which may follow the input's.
    pub fn sizes(&self, name: &str) -> Result<Vec<AtSizes<u64>>, String> {
        let lists: Option<Vec<Vec<u64>>> = self
            .step
            .0
            .iter()
            .map(|step| {
                let arguments = layer_of(step).and_then(|used| used.arguments.as_ref())?;
                let Arg::List(items) = arguments.get(name) else { return None };
                let sizes = items.iter().map(|item| match item {
                    Arg::Int(size) => u64::try_from(*size).ok(),
                    _ => None,
                });
                sizes.collect()
            })
            .collect();
        let lists = lists.ok_or_else(|| format!("its argument `{name}` has a number below 0"))?;
        let each = (0..lists[0].len())
            .map(|index| AtSizes(lists.iter().map(|list| list[index]).collect()));
        Ok(each.collect())
    }

    /// A size for each axis.
    pub fn per_axis<const AXES: usize>(&self, name: &str) -> Result<[i64; AXES], String> {
        let all = self.ints(name)?;
        let wrong = || format!("its argument `{name}` has another number of sizes");
        if let [one] = all[..] { Ok([one; AXES]) } else { all.try_into().map_err(|_| wrong()) }
    }

    /// For how many axes the layer is: 2 for `ZeroPad2d`.
    pub fn axes(&self) -> usize {
        let digit = self.layer.kind.chars().find_map(|letter| letter.to_digit(10));
        digit.map_or(0, |digit| digit as usize)
    }

    /// A dimension, counted from the front.
    pub fn dim(&self, name: &str) -> Result<usize, String> {
        from_front(self.int(name)?, self.rank()?)
    }

    /// Dimensions, counted from the front; all of them if none are given.
    pub fn dims(&self, name: &str) -> Result<Vec<usize>, String> {
        let rank = self.rank()?;
        if !self.has(name) {
            return Ok((0..rank).collect());
        }
        self.ints(name)?.into_iter().map(|dim| from_front(dim, rank)).collect()
    }
}

pub(super) fn from_front(dim: i64, rank: usize) -> Result<usize, String> {
    let resolved = if dim < 0 { dim.checked_add(rank as i64) } else { Some(dim) };
    let resolved = resolved.and_then(|dim| usize::try_from(dim).ok());
    resolved.ok_or_else(|| format!("there is no dimension {dim}"))
}

/// A number that may differ between the uses of a struct.
pub(super) fn whole(name: &str, value: impl ToString) -> Template {
    Template::hole(name, value.to_string())
}

pub(super) fn float(name: &str, value: f64) -> Template {
    Template::hole(name, rust_float(value))
}

pub(super) fn rust_float(value: f64) -> String {
    match value {
        value if value == f64::INFINITY => "f64::INFINITY".to_owned(),
        value if value == f64::NEG_INFINITY => "f64::NEG_INFINITY".to_owned(),
        value if value.is_nan() => "f64::NAN".to_owned(),
        value => format!("{value:?}"),
    }
}

pub(super) fn dtype(dtype: DType) -> Result<&'static str, String> {
    Ok(match dtype {
        DType::F64 => "DType::F64",
        DType::F32 => "DType::F32",
        DType::F16 => "DType::F16",
        DType::BF16 => "DType::BF16",
        DType::F8E4M3 => "DType::F8E4M3",
        DType::I64 => "DType::I64",
        DType::I32 => "DType::I32",
        DType::I16 => "DType::I16",
        DType::U32 => "DType::U32",
        DType::U8 | DType::Bool => "DType::U8",
        DType::I8 => return Err("Candle has no 8-bit whole numbers with a sign".to_owned()),
    })
}

/// Sizes in brackets; `(` one `)` is itself.
pub(super) fn tuple(sizes: Vec<Template>) -> Template {
    let is_one = sizes.len() == 1;
    // Candle's tuples of sizes end at six.
    let (open, close) = match sizes.len() {
        1 => ("", ""),
        0..=6 => ("(", ")"),
        _ => ("&[", "]"),
    };
    let mut text = Template::text(open);
    text.append(Template::joined(sizes, ", "));
    text.push(if is_one { "" } else { close });
    text
}

/// Why no number can stand for an argument.
pub(super) fn varies() -> String {
    "an argument follows the sizes of the input in a way that has no expression here; write it with sizes of \
     the step's own input, or set the sizes that are meant"
        .to_owned()
}
