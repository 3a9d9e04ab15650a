//! Layers that change a tensor's shape, and no number in it.

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::VarBuilder;

use crate::{
    Arg, Arguments, Cost, Entry, Inputs, Kind, Layer, MAX_DIMS, MAX_SIZE, Module, Param, Reason,
    Refusal, Shape, TensorType,
    arguments::first_input,
    module::{first, many_to_many, one_to_one},
    refusal::At,
};

const DIM: Param = Param::optional("dim", Kind::Int, "0");

macro_rules! rearrangement {
    ($name:literal, $page:literal, $params:expr, $inputs:expr, $summary:literal, $doc:literal, $bind:expr) => {
        Entry {
            name: $name,
            function: None,
            params: $params,
            inputs: $inputs,
            summary: $summary,
            doc: concat!($doc, " It costs no FLOP."),
            source: concat!("https://pytorch.org/docs/stable/generated/", $page, ".html"),
            bind: $bind,
            ..Entry::PLAIN
        }
    };
}

const ONE: Inputs = Inputs::Named(&["input"]);

pub(crate) static ENTRIES: &[Entry] = &[
    rearrangement!(
        "Reshape",
        "torch.reshape",
        &[Param::required("shape", Kind::Variadic)],
        ONE,
        "The same elements in another shape.",
        "`[*]` → `shape`, of which one size may be -1: what is left.",
        |arguments, inputs| view(reshape(
            first_input(inputs)?,
            &arguments.ints("shape")?,
            "shape"
        )?)
    ),
    rearrangement!(
        "Flatten",
        "torch.nn.Flatten",
        &[
            Param::optional("start_dim", Kind::Int, "1"),
            Param::optional("end_dim", Kind::Int, "-1")
        ],
        ONE,
        "Joins dimensions into one.",
        "`[N, *]` → `[N, product]`, from `start_dim` to `end_dim`.",
        bind_flatten
    ),
    rearrangement!(
        "Unflatten",
        "torch.nn.Unflatten",
        &[Param::required("dim", Kind::Int), Param::required("unflattened_size", Kind::Ints)],
        ONE,
        "Splits a dimension into several.",
        "`[*, D, *]` → `[*, unflattened_size, *]`, of which one size may be -1.",
        bind_unflatten
    ),
    rearrangement!(
        "Permute",
        "torch.permute",
        &[Param::required("dims", Kind::Variadic)],
        ONE,
        "Puts the dimensions into another order.",
        "`Permute(0, 2, 3, 1)`: `[N, C, H, W]` → `[N, H, W, C]`.",
        bind_permute
    ),
    rearrangement!(
        "Transpose",
        "torch.transpose",
        &[Param::required("dim0", Kind::Int), Param::required("dim1", Kind::Int)],
        ONE,
        "Swaps two dimensions.",
        "`Transpose(1, 2)`: `[N, L, C]` → `[N, C, L]`.",
        bind_transpose
    ),
    rearrangement!(
        "Squeeze",
        "torch.squeeze",
        &[Param::optional("dim", Kind::Ints, "none")],
        ONE,
        "Drops dimensions of size 1.",
        "`[N, 1, C]` → `[N, C]`; with `dim` only there.",
        bind_squeeze
    ),
    rearrangement!(
        "Unsqueeze",
        "torch.unsqueeze",
        &[Param::required("dim", Kind::Int)],
        ONE,
        "Adds a dimension of size 1.",
        "`Unsqueeze(1)`: `[N, C]` → `[N, 1, C]`.",
        bind_unsqueeze
    ),
    rearrangement!(
        "Expand",
        "torch.Tensor.expand",
        &[Param::required("sizes", Kind::Variadic)],
        ONE,
        "Shows dimensions of size 1 at a larger size, without copying.",
        "`[1, 1, C]` → `Expand(N, -1, -1)` → `[N, 1, C]`.",
        bind_expand
    ),
    rearrangement!(
        "Repeat",
        "torch.Tensor.repeat",
        &[Param::required("sizes", Kind::Variadic)],
        ONE,
        "Copies the tensor along its dimensions.",
        "`[A, B]` → `Repeat(2, 3)` → `[2 * A, 3 * B]`.",
        bind_repeat
    ),
    rearrangement!(
        "RepeatInterleave",
        "torch.repeat_interleave",
        &[Param::required("repeats", Kind::Int), Param::optional("dim", Kind::Int, "none")],
        ONE,
        "Copies each element along a dimension.",
        "`RepeatInterleave(2, dim=1)`: `[N, C]` → `[N, 2 * C]`; without `dim` of the flattened tensor.",
        bind_repeat_interleave
    ),
    rearrangement!(
        "Cat",
        "torch.cat",
        &[DIM],
        Inputs::Many,
        "Joins tensors along a dimension.",
        "All sizes but that of `dim` are equal.",
        bind_cat
    ),
    rearrangement!(
        "Stack",
        "torch.stack",
        &[DIM],
        Inputs::Many,
        "Joins tensors along a new dimension.",
        "k tensors `[*]` → `[k, *]`; all have one shape.",
        bind_stack
    ),
    rearrangement!(
        "Chunk",
        "torch.chunk",
        &[Param::required("chunks", Kind::Int), DIM],
        ONE,
        "Cuts a tensor into so many parts along a dimension.",
        "The last part may be smaller, and there may be fewer, as in PyTorch.",
        bind_chunk
    ),
    rearrangement!(
        "Split",
        "torch.split",
        &[Param::required("split_size_or_sections", Kind::Ints), DIM],
        ONE,
        "Cuts a tensor into parts of a size, or of these sizes.",
        "`Split([2, 3])`: `[5, *]` → `[2, *]` and `[3, *]`.",
        bind_split
    ),
    rearrangement!(
        "Roll",
        "torch.roll",
        &[Param::required("shifts", Kind::Ints), Param::optional("dims", Kind::Ints, "none")],
        ONE,
        "Shifts a tensor around along dimensions.",
        "`[*]` → `[*]`.",
        bind_roll
    ),
];

/// A layer whose output shape is known once its input is.
fn view(shape: Shape) -> Result<Box<dyn Layer>, Refusal> {
    Ok(Box::new(View(shape)))
}

/// The same elements in the same order under another shape.
#[derive(Debug, Clone, PartialEq)]
struct View(Shape);

impl Layer for View {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        if input.numel()? != self.0.numel()? {
            return Err(Refusal::shape(
                0,
                format!("{} does not have as many elements as {}", input.shape, self.0),
            ));
        }
        Ok(vec![input.with_shape(self.0.clone())])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let shape = dims(&self.0);
        one_to_one(move |input| input.reshape(shape.clone()))
    }

    fn is_view(&self) -> bool {
        true
    }
}

fn dims(sizes: &[u64]) -> Vec<usize> {
    sizes.iter().map(|size| *size as usize).collect()
}

/// Fills in a -1 and compares the numbers of elements.
fn reshape(input: &TensorType, sizes: &[i64], argument: &str) -> Result<Shape, Refusal> {
    if sizes.len() > MAX_DIMS {
        return Err(Refusal::argument(
            argument,
            format!("a tensor has at most {MAX_DIMS} dimensions"),
        ));
    }
    let numel = input.numel()?;
    let mut known = 1u128;
    for size in sizes {
        match u128::try_from(*size) {
            Ok(size) => known = known.checked_mul(size).ok_or(crate::Overflow)?,
            Err(_) if *size == -1 => {}
            Err(_) => {
                return Err(Refusal::argument(
                    argument,
                    format!("a size is at least 0, not {size}"),
                ));
            }
        }
    }
    let unknown = sizes.iter().filter(|size| **size == -1).count();
    let written = || Arg::List(sizes.iter().map(|size| Arg::Int(*size)).collect());
    if unknown > 1 {
        return Err(Refusal::argument(argument, "only one size may be -1"));
    }
    let fits =
        if unknown == 1 { known != 0 && numel.is_multiple_of(known) } else { known == numel };
    if !fits {
        let message =
            format!("{} has {numel} elements, which {} cannot hold", input.shape, written());
        return Err(Refusal::shape(0, message));
    }
    let rest = if unknown == 1 { numel / known } else { 0 };
    let rest = u64::try_from(rest).ok().filter(|size| *size <= MAX_SIZE).ok_or(crate::Overflow)?;
    let sizes: Vec<u64> = sizes.iter().map(|size| u64::try_from(*size).unwrap_or(rest)).collect();
    Ok(sizes.into())
}

fn bind_flatten(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
    let input = first_input(inputs)?;
    let rank = input.shape.len().max(1);
    let (start, end) = (arguments.dim("start_dim", rank)?, arguments.dim("end_dim", rank)?);
    if start > end {
        return Err(Refusal::argument("start_dim", "`start_dim` comes after `end_dim`"));
    }
    if input.shape.is_empty() {
        return view([1].into());
    }
    let joined = crate::product(input.shape[start..=end].iter().copied())?;
    let joined =
        u64::try_from(joined).ok().filter(|size| *size <= MAX_SIZE).ok_or(crate::Overflow)?;
    let mut sizes = input.shape[..start].to_vec();
    sizes.push(joined);
    sizes.extend(&input.shape[end + 1..]);
    view(sizes.into())
}

fn bind_unflatten(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
    let input = first_input(inputs)?;
    let dim = arguments.dim("dim", input.shape.len())?;
    let part = input.with_shape([input.shape[dim]]);
    let parts = reshape(&part, &arguments.ints("unflattened_size")?, "unflattened_size")?;
    let mut sizes = input.shape[..dim].to_vec();
    sizes.extend(parts.iter());
    sizes.extend(&input.shape[dim + 1..]);
    view(sizes.into())
}

fn bind_squeeze(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
    let input = first_input(inputs)?;
    let rank = input.shape.len();
    let named = arguments.ints("dim")?;
    let named: Vec<usize> = named
        .into_iter()
        .map(|dim| arguments.resolve_dim("dim", dim, rank))
        .collect::<Result<_, _>>()?;
    let drops = |dim: usize| input.shape[dim] == 1 && (named.is_empty() || named.contains(&dim));
    let sizes: Vec<u64> =
        (0..rank).filter(|dim| !drops(*dim)).map(|dim| input.shape[dim]).collect();
    view(sizes.into())
}

fn bind_unsqueeze(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
    let input = first_input(inputs)?;
    let dim = arguments.dim("dim", input.shape.len() + 1)?;
    let mut sizes = input.shape.to_vec();
    sizes.insert(dim, 1);
    view(sizes.into())
}

#[derive(Debug, Clone, PartialEq)]
struct Permute(Vec<usize>);

fn bind_permute(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
    let rank = first_input(inputs)?.shape.len();
    let named = arguments.ints("dims")?;
    let order: Vec<usize> = named
        .into_iter()
        .map(|dim| arguments.resolve_dim("dims", dim, rank))
        .collect::<Result<_, _>>()?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..rank) {
        let message = format!("`dims` names each of the {rank} dimensions once");
        return Err(Refusal::argument("dims", message));
    }
    Ok(Box::new(Permute(order)))
}

fn bind_transpose(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
    let rank = first_input(inputs)?.shape.len();
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(arguments.dim("dim0", rank)?, arguments.dim("dim1", rank)?);
    Ok(Box::new(Permute(order)))
}

impl Layer for Permute {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        let sizes: Vec<u64> = self.0.iter().map(|dim| input.shape[*dim]).collect();
        Ok(vec![input.with_shape(sizes)])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let order = self.0.clone();
        one_to_one(move |input| input.permute(order.clone()))
    }

    fn is_view(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Expand(Vec<u64>);

fn bind_expand(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
    let input = first_input(inputs)?;
    let sizes = arguments.ints("sizes")?;
    let Some(new) = sizes.len().checked_sub(input.shape.len()) else {
        let message =
            format!("{} has more dimensions than the {} sizes given", input.shape, sizes.len());
        return Err(Refusal::argument("sizes", message));
    };
    let mut expanded = Vec::with_capacity(sizes.len());
    for (dim, size) in sizes.iter().enumerate() {
        let old = dim.checked_sub(new).map(|dim| input.shape[dim]);
        expanded.push(match (old, u64::try_from(*size)) {
            (Some(old), Err(_)) if *size == -1 => old,
            (Some(1) | None, Ok(size)) => size,
            (Some(old), Ok(size)) if old == size => size,
            (Some(old), Ok(size)) => {
                let message =
                    format!("dimension {dim} has size {old}; only 1 can be expanded to {size}");
                return Err(Refusal::shape(0, message));
            }
            _ => return Err(Refusal::argument("sizes", format!("{size} is not a size here"))),
        });
    }
    Ok(Box::new(Expand(expanded)))
}

impl Layer for Expand {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        Ok(vec![first_input(inputs)?.with_shape(self.0.clone())])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let shape = dims(&self.0);
        one_to_one(move |input| input.broadcast_as(shape.clone()))
    }

    fn is_view(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Repeat(Vec<u64>);

fn bind_repeat(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
    let input = first_input(inputs)?;
    let sizes = arguments.ints("sizes")?;
    if sizes.len() < input.shape.len() || sizes.len() > MAX_DIMS {
        let message = format!(
            "{} has {} dimensions; {} numbers are given",
            input.shape,
            input.shape.len(),
            sizes.len()
        );
        return Err(Refusal::argument("sizes", message));
    }
    let negative =
        || Refusal::argument("sizes", "a tensor cannot be repeated a negative number of times");
    let sizes = sizes.into_iter().map(|size| u64::try_from(size).map_err(|_| negative()));
    Ok(Box::new(Repeat(sizes.collect::<Result<_, _>>()?)))
}

impl Layer for Repeat {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        let new = self.0.len() - input.shape.len();
        let sizes = self.0.iter().enumerate().map(|(dim, times)| {
            let size = dim.checked_sub(new).map_or(1, |dim| input.shape[dim]);
            size.checked_mul(*times)
                .filter(|size| *size <= MAX_SIZE)
                .ok_or_else(|| Refusal::overflow("the output"))
        });
        Ok(vec![input.with_shape(sizes.collect::<Result<Vec<_>, _>>()?)])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let sizes = dims(&self.0);
        one_to_one(move |input| input.repeat(sizes.clone()))
    }
}

#[derive(Debug, Clone, PartialEq)]
struct RepeatInterleave {
    repeats: u64,
    /// None for the flattened tensor.
    dim: Option<usize>,
}

fn bind_repeat_interleave(
    arguments: &Arguments,
    inputs: &[TensorType],
) -> Result<Box<dyn Layer>, Refusal> {
    let rank = first_input(inputs)?.shape.len();
    let dim = match arguments.optional_int("dim")? {
        Some(dim) => Some(arguments.resolve_dim("dim", dim, rank)?),
        None => None,
    };
    Ok(Box::new(RepeatInterleave { repeats: arguments.size("repeats", 0)?, dim }))
}

impl Layer for RepeatInterleave {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        let size = match self.dim {
            Some(dim) => u128::from(input.shape[dim]),
            None => input.numel()?,
        };
        let size = size
            .checked_mul(self.repeats.into())
            .and_then(|size| u64::try_from(size).ok())
            .filter(|size| *size <= MAX_SIZE)
            .ok_or_else(|| Refusal::overflow("the output"))?;
        Ok(vec![match self.dim {
            Some(dim) => input.with_shape(input.shape.with(dim, size)),
            None => input.with_shape([size]),
        }])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (repeats, dim) = (self.repeats as usize, self.dim);
        one_to_one(move |input| {
            let (input, dim) = match dim {
                Some(dim) => (input.clone(), dim),
                None => (input.flatten_all()?, 0),
            };
            let mut shape = input.dims().to_vec();
            shape.insert(dim + 1, repeats);
            let copies = input.unsqueeze(dim + 1)?.broadcast_as(shape)?;
            let mut joined = input.dims().to_vec();
            joined[dim] *= repeats;
            copies.reshape(joined)
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Cat {
    dim: usize,
}

fn bind_cat(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
    Ok(Box::new(Cat { dim: arguments.dim("dim", first_input(inputs)?.shape.len())? }))
}

impl Layer for Cat {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let one = first_input(inputs)?;
        let (mut total, mut dtype) = (0u64, one.dtype);
        for (index, input) in inputs.iter().enumerate() {
            let differs = (0..one.shape.len())
                .find(|dim| *dim != self.dim && input.shape.get(*dim) != Some(&one.shape[*dim]));
            if input.shape.len() != one.shape.len() || differs.is_some() {
                let message = format!(
                    "`Cat(dim={})` joins tensors that are equal in every other dimension; {} is not as {}",
                    self.dim, input.shape, one.shape
                );
                return Err(Refusal::shape(index, message));
            }
            dtype = dtype.promote(input.dtype);
            total = total
                .checked_add(input.shape[self.dim])
                .filter(|size| *size <= MAX_SIZE)
                .ok_or_else(|| Refusal::overflow("the output"))?;
        }
        Ok(vec![TensorType::new(dtype, one.shape.with(self.dim, total))])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let dim = self.dim;
        many_to_many(move |inputs| Ok(vec![Tensor::cat(inputs, dim)?]))
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Stack {
    dim: usize,
}

fn bind_stack(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
    Ok(Box::new(Stack { dim: arguments.dim("dim", first_input(inputs)?.shape.len() + 1)? }))
}

impl Layer for Stack {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let one = first_input(inputs)?;
        if let Some((index, other)) =
            inputs.iter().enumerate().find(|(_, input)| input.shape != one.shape)
        {
            let message =
                format!("`Stack` joins tensors of one shape; {} is not {}", other.shape, one.shape);
            return Err(Refusal::shape(index, message));
        }
        let mut sizes = one.shape.to_vec();
        sizes.insert(self.dim, inputs.len() as u64);
        Ok(vec![one.with_shape(sizes)])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let dim = self.dim;
        many_to_many(move |inputs| Ok(vec![Tensor::stack(inputs, dim)?]))
    }
}

/// Consecutive parts of a dimension.
#[derive(Debug, Clone, PartialEq)]
struct Parts {
    dim: usize,
    sizes: Vec<u64>,
}

/// The most parts that a tensor is cut into: more is a slip, and would fill the memory.
const MAX_PARTS: u64 = 1 << 16;

fn equal_parts(dim: usize, total: u64, size: u64) -> Result<Box<dyn Layer>, Refusal> {
    let count = total.div_ceil(size).max(1);
    if count > MAX_PARTS {
        let message =
            format!("this would cut the tensor into {count} parts; at most {MAX_PARTS} are made");
        return Err(Refusal::new(Reason::Overflow, At::Layer, message));
    }
    let sizes = (0..count).map(|index| size.min(total - index * size)).collect();
    Ok(Box::new(Parts { dim, sizes }))
}

fn bind_chunk(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
    let input = first_input(inputs)?;
    let dim = arguments.dim("dim", input.shape.len())?;
    let total = input.shape[dim];
    let size = total.div_ceil(arguments.size("chunks", 1)?).max(1);
    equal_parts(dim, total, size)
}

fn bind_split(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
    let input = first_input(inputs)?;
    let dim = arguments.dim("dim", input.shape.len())?;
    let total = input.shape[dim];
    let name = "split_size_or_sections";
    if let Arg::Int(_) = arguments.get(name) {
        return equal_parts(dim, total, arguments.size(name, 1)?);
    }
    let negative = || Refusal::argument(name, "a part has at least 0 elements");
    let sizes =
        arguments.ints(name)?.into_iter().map(|size| u64::try_from(size).map_err(|_| negative()));
    let sizes: Vec<u64> = sizes.collect::<Result<_, _>>()?;
    let sum: u128 = sizes.iter().map(|size| u128::from(*size)).sum();
    if sum != u128::from(total) {
        let message =
            format!("these parts have {sum} elements together; the dimension has {total}");
        return Err(Refusal::argument(name, message));
    }
    Ok(Box::new(Parts { dim, sizes }))
}

impl Layer for Parts {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        Ok(self
            .sizes
            .iter()
            .map(|size| input.with_shape(input.shape.with(self.dim, *size)))
            .collect())
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (dim, sizes) = (self.dim, dims(&self.sizes));
        many_to_many(move |inputs| {
            let input = first(inputs)?;
            let mut start = 0;
            let mut parts = Vec::with_capacity(sizes.len());
            for size in &sizes {
                parts.push(input.narrow(dim, start, *size)?);
                start += size;
            }
            Ok(parts)
        })
    }

    fn is_view(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Roll {
    shifts: Vec<i64>,
    /// Empty for the flattened tensor.
    dims: Vec<usize>,
}

fn bind_roll(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
    let rank = first_input(inputs)?.shape.len();
    let shifts = arguments.ints("shifts")?;
    let dims: Vec<usize> = arguments
        .ints("dims")?
        .into_iter()
        .map(|dim| arguments.resolve_dim("dims", dim, rank))
        .collect::<Result<_, _>>()?;
    let expected = dims.len().max(1);
    if shifts.len() != expected {
        let message = format!("{} shifts are given for {expected} dimensions", shifts.len());
        return Err(Refusal::argument("shifts", message));
    }
    Ok(Box::new(Roll { shifts, dims }))
}

impl Layer for Roll {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        Ok(vec![first_input(inputs)?.clone()])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let roll = self.clone();
        one_to_one(move |input| {
            if roll.dims.is_empty() {
                return input.flatten_all()?.roll(roll.shifts[0] as i32, 0)?.reshape(input.shape());
            }
            let mut output = input.clone();
            for (shift, dim) in roll.shifts.iter().zip(&roll.dims) {
                output = output.roll(*shift as i32, *dim)?;
            }
            Ok(output)
        })
    }
}
