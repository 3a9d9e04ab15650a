//! What expressions do with tensors: arithmetic with broadcasting, matrix products, indexing.
//!
//! Each is a [`Layer`], so that an expression is counted, shown and built as any other step.

use candle_core::{DType as CandleDType, Result as CandleResult, Tensor};
use candle_nn::VarBuilder;
use kernels::{broadcast, matmul::matmul};

use crate::{
    Cost, DType, Entry, Inputs, Layer, Module, Refusal, Shape, TensorType,
    arguments::first_input,
    cost::sizes,
    module::{first, many_to_many, one_to_one},
};

/// An operator between tensors, or a tensor and a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it.
pub enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Neg,
    MatMul,
}

impl Operator {
    /// Its name in a table of layers.
    pub fn name(self) -> &'static str {
        match self {
            Operator::Add => "Add",
            Operator::Sub => "Sub",
            Operator::Mul => "Mul",
            Operator::Div => "Div",
            Operator::Pow => "Pow",
            Operator::Neg => "Neg",
            Operator::MatMul => "MatMul",
        }
    }

    /// All of them.
    pub const ALL: [Operator; 7] = [
        Operator::Add,
        Operator::Sub,
        Operator::Mul,
        Operator::Div,
        Operator::Pow,
        Operator::Neg,
        Operator::MatMul,
    ];

    /// How it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Sub | Operator::Neg => "-",
            Operator::Mul => "*",
            Operator::Div => "/",
            Operator::Pow => "**",
            Operator::MatMul => "@",
        }
    }
}

/// The shape that two shapes broadcast to.
///
/// ```
/// use layers::operators::broadcast;
/// assert_eq!(broadcast(&[8, 1, 6], &[7, 1]).unwrap().to_string(), "[8, 7, 6]");
/// assert_eq!(broadcast(&[2], &[3]), None);
/// ```
pub fn broadcast(left: &[u64], right: &[u64]) -> Option<Shape> {
    let rank = left.len().max(right.len());
    let at = |shape: &[u64], dim: usize| {
        (dim + shape.len()).checked_sub(rank).map_or(1, |dim| shape[dim])
    };
    let sizes = (0..rank).map(|dim| match (at(left, dim), at(right, dim)) {
        (left, right) if left == right => Some(left),
        (1, size) | (size, 1) => Some(size),
        _ => None,
    });
    sizes.collect::<Option<Vec<_>>>().map(Shape::from)
}

/// An operator with two tensors, or with one and a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Arithmetic {
    /// What it computes.
    pub operator: Operator,
    /// The number in the place of a tensor.
    pub number: Option<Number>,
}

/// The kinds of products of matrices: `x @ y` and `torch.matmul`, `torch.bmm`, `torch.mm`.
pub const MATRIX_PRODUCTS: &[&str] = &["MatMul", "BatchMatMul", "MatrixMul"];

/// Products of matrices called as functions: each counter sees others of these and of `x @ y`.
pub(crate) static PRODUCTS: [Entry; 3] = [
    Entry {
        name: "MatMul",
        function: Some("matmul"),
        inputs: Inputs::Named(&["left", "right"]),
        summary: "The product of two matrices, or of batches of them.",
        doc: "`[*, N, K]`, `[*, K, M]` → `[*, N, M]`; in an expression it is written `left @ right`.\n\n\
              MACs: `K` per output element.",
        source: "https://pytorch.org/docs/stable/generated/torch.matmul.html",
        bind: |_, inputs| product_of_rank(inputs, None),
        ..Entry::PLAIN
    },
    Entry {
        name: "BatchMatMul",
        function: Some("bmm"),
        inputs: Inputs::Named(&["left", "right"]),
        summary: "The products of two batches of matrices.",
        doc: "`[B, N, K]`, `[B, K, M]` → `[B, N, M]`.\n\nMACs: `K` per output element. In tables its kind is `BatchMatMul`.",
        source: "https://pytorch.org/docs/stable/generated/torch.bmm.html",
        bind: |_, inputs| product_of_rank(inputs, Some(3)),
        ..Entry::PLAIN
    },
    Entry {
        name: "MatrixMul",
        function: Some("mm"),
        inputs: Inputs::Named(&["left", "right"]),
        summary: "The product of two matrices.",
        doc: "`[N, K]`, `[K, M]` → `[N, M]`.\n\nMACs: `K` per output element. In tables its kind is `MatrixMul`.",
        source: "https://pytorch.org/docs/stable/generated/torch.mm.html",
        bind: |_, inputs| product_of_rank(inputs, Some(2)),
        ..Entry::PLAIN
    },
];

/// A product of two tensors that have so many dimensions, and no batches that are broadcast.
fn product_of_rank(inputs: &[TensorType], rank: Option<usize>) -> Result<Box<dyn Layer>, Refusal> {
    if let (Some(rank), [left, right]) = (rank, inputs) {
        for (index, input) in inputs.iter().enumerate() {
            if input.shape.len() != rank {
                let message =
                    format!("it takes {rank} dimensions, not {}; `@` takes any", input.shape);
                return Err(Refusal::shape(index, message));
            }
        }
        if rank == 3 && left.shape[0] != right.shape[0] {
            let message = format!("{} and {} are batches of two sizes", left.shape, right.shape);
            return Err(Refusal::shape(1, message));
        }
    }
    Ok(Box::new(Arithmetic { operator: Operator::MatMul, number: None }))
}

/// A number beside a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number {
    /// Its value.
    pub value: f64,
    /// It makes whole numbers floating-point ones, as `1.0` does.
    pub is_float: bool,
    /// It stands before the tensor.
    pub is_first: bool,
}

impl Arithmetic {
    /// The dtype of an operation on one tensor.
    fn dtype_with_number(&self, dtype: DType) -> DType {
        let float = self.operator == Operator::Div || self.number.is_some_and(|one| one.is_float);
        if float && !dtype.is_float() { DType::F32 } else { dtype }
    }
}

impl Layer for Arithmetic {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let left = first_input(inputs)?;
        let Some(right) = inputs.get(1) else {
            let dtype = self.dtype_with_number(left.dtype);
            return Ok(vec![TensorType::new(dtype, left.shape.clone())]);
        };
        if self.operator == Operator::MatMul {
            return product_shape(left, right).map(|shape| vec![left.with_shape(shape)]);
        }
        let Some(shape) = broadcast(&left.shape, &right.shape) else {
            let (symbol, left, right) = (self.operator.symbol(), &left.shape, &right.shape);
            return Err(Refusal::shape(
                1,
                format!("`{symbol}` cannot combine {left} and {right}{}", differing(left, right)),
            ));
        };
        let dtype = left.dtype.promote(right.dtype);
        let dtype =
            if self.operator == Operator::Div && !dtype.is_float() { DType::F32 } else { dtype };
        Ok(vec![TensorType::new(dtype, shape)])
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        if self.operator != Operator::MatMul {
            return Cost::free().per_element("per element", 1, &outputs[0].shape);
        }
        let mut factors = sizes("size", &outputs[0].shape);
        factors.push(("inner", inputs[0].shape.last().copied().unwrap_or(1).into()));
        Cost::free().macs_of("products", &factors)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let Arithmetic { operator, number } = self.clone();
        many_to_many(move |inputs| {
            let left = first(inputs)?;
            if operator == Operator::Neg {
                // Candle negates no whole numbers.
                return Ok(vec![(left.zeros_like()? - left)?]);
            }
            let right = match (inputs.get(1), number) {
                (Some(right), _) => right.clone(),
                (None, Some(number)) => {
                    let makes_float = number.is_float && !left.dtype().is_float();
                    let dtype = if makes_float { CandleDType::F32 } else { left.dtype() };
                    Tensor::full(number.value, (), left.device())?.to_dtype(dtype)?
                }
                (None, None) => candle_core::bail!("`{}` takes two operands", operator.symbol()),
            };
            let common = match common_dtype(left.dtype(), right.dtype()) {
                whole if operator == Operator::Div && !whole.is_float() => CandleDType::F32,
                common => common,
            };
            let (left, right) = (&left.to_dtype(common)?, &right.to_dtype(common)?);
            let number_first = number.is_some_and(|number| number.is_first);
            let (left, right) = if number_first { (right, left) } else { (left, right) };
            let output = match operator {
                Operator::Add => broadcast::add(left, right)?,
                Operator::Sub => left.broadcast_sub(right)?,
                Operator::Mul => broadcast::multiply(left, right)?,
                Operator::Div => left.broadcast_div(right)?,
                // Candle's power goes through a logarithm, which whole numbers have none of.
                Operator::Pow if !common.is_float() => {
                    let double = |x: &Tensor| x.to_dtype(CandleDType::F64);
                    double(left)?.broadcast_pow(&double(right)?)?.round()?.to_dtype(common)?
                }
                Operator::Pow => left.broadcast_pow(right)?,
                Operator::MatMul => matmul(left, right)?,
                Operator::Neg => (left.zeros_like()? - left)?,
            };
            Ok(vec![output])
        })
    }
}

/// The dtype in which an operation on two tensors is done, as [`DType::promote`] has it.
pub(crate) fn common_dtype(left: CandleDType, right: CandleDType) -> CandleDType {
    match (left.is_float(), right.is_float()) {
        (true, false) => left,
        (false, true) => right,
        _ if left == right => left,
        (true, true) if left.size_in_bytes() == right.size_in_bytes() => CandleDType::F32,
        _ if left.size_in_bytes() >= right.size_in_bytes() => left,
        _ => right,
    }
}

/// Where two shapes differ, as a clause.
fn differing(left: &[u64], right: &[u64]) -> String {
    let rank = left.len().min(right.len());
    let at = |shape: &[u64], from_end: usize| shape[shape.len() - 1 - from_end];
    // The outermost dimension that clashes says most.
    let clash =
        (0..rank).rev().map(|from_end| (from_end, (at(left, from_end), at(right, from_end))));
    let mut clash = clash;
    let clash = clash.find(|(_, (left, right))| left != right && *left != 1 && *right != 1);
    match clash {
        Some((from_end, (left, right))) => {
            format!(": {left} against {right} in dimension -{}", from_end + 1)
        }
        None => String::new(),
    }
}

/// The shape of a matrix product, as `torch.matmul` has it.
fn product_shape(left: &TensorType, right: &TensorType) -> Result<Shape, Refusal> {
    let (l, r) = (&left.shape, &right.shape);
    if l.is_empty() || r.is_empty() {
        return Err(Refusal::shape(
            usize::from(!l.is_empty()),
            "`@` takes tensors with at least one dimension",
        ));
    }
    let inner = if r.len() == 1 { r[0] } else { r[r.len() - 2] };
    if l[l.len() - 1] != inner {
        let message = format!(
            "`@` cannot multiply {l} with {r}: {} columns against {inner} rows",
            l[l.len() - 1]
        );
        return Err(Refusal::shape(1, message));
    }
    if left.dtype != right.dtype {
        return Err(Refusal::dtype(
            1,
            format!("`@` takes one dtype, not {} and {}", left.dtype, right.dtype),
        ));
    }
    let batch = |shape: &Shape| shape[..shape.len().saturating_sub(2)].to_vec();
    let Some(batch) = broadcast(&batch(l), &batch(r)) else {
        return Err(Refusal::shape(
            1,
            format!("`@` cannot multiply {l} with {r}: their batches differ"),
        ));
    };
    let mut sizes = batch.into_sizes();
    if l.len() > 1 {
        sizes.push(l[l.len() - 2]);
    }
    if r.len() > 1 {
        sizes.push(r[r.len() - 1]);
    }
    Ok(sizes.into())
}

/// One item of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexItem {
    /// `i`: one element; the dimension goes.
    At(i64),
    /// `start:stop:step`
    Slice(Option<i64>, Option<i64>, i64),
    /// `none`: a new dimension of size 1.
    NewAxis,
    /// `...`
    Rest,
    /// A tensor of whole numbers, the second input.
    Tensor,
}

/// Python's and NumPy's indexing of one tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Index(pub Vec<IndexItem>);

/// What happens to one dimension.
enum Taken {
    One(u64),
    Some { start: u64, step: u64, count: u64 },
    New,
    Rows,
}

impl Index {
    /// What becomes of each dimension of a tensor, in order.
    fn plan(&self, shape: &Shape) -> Result<Vec<Taken>, Refusal> {
        let used = self
            .0
            .iter()
            .filter(|item| !matches!(item, IndexItem::NewAxis | IndexItem::Rest))
            .count();
        let Some(rest) = shape.len().checked_sub(used) else {
            let message =
                format!("{shape} has {} dimensions; this index takes {used}", shape.len());
            return Err(Refusal::shape(0, message));
        };
        let whole = |dim: usize| Taken::Some { start: 0, step: 1, count: shape[dim] };
        let mut plan = Vec::new();
        let mut dim = 0;
        let implicit = [IndexItem::Rest];
        let has_rest = self.0.contains(&IndexItem::Rest);
        for item in self.0.iter().chain(if has_rest { &[][..] } else { &implicit }) {
            match item {
                IndexItem::NewAxis => plan.push(Taken::New),
                IndexItem::Rest => {
                    plan.extend((dim..dim + rest).map(whole));
                    dim += rest;
                }
                IndexItem::Tensor => {
                    plan.push(Taken::Rows);
                    dim += 1;
                }
                IndexItem::At(index) => {
                    plan.push(Taken::One(element(*index, shape[dim])?));
                    dim += 1;
                }
                IndexItem::Slice(start, stop, step) => {
                    plan.push(slice(*start, *stop, *step, shape[dim])?);
                    dim += 1;
                }
            }
        }
        Ok(plan)
    }
}

fn element(index: i64, size: u64) -> Result<u64, Refusal> {
    let place = if index < 0 { i128::from(index) + i128::from(size) } else { i128::from(index) };
    match u64::try_from(place) {
        Ok(place) if place < size => Ok(place),
        _ => Err(Refusal::shape(0, format!("index {index} is outside a dimension of size {size}"))),
    }
}

fn slice(start: Option<i64>, stop: Option<i64>, step: i64, size: u64) -> Result<Taken, Refusal> {
    let Some(step) = u64::try_from(step).ok().filter(|step| *step > 0) else {
        return Err(Refusal::shape(
            0,
            format!("a slice of a tensor has a step of at least 1, not {step}"),
        ));
    };
    let clamp = |place: i64| {
        let place =
            if place < 0 { i128::from(place) + i128::from(size) } else { i128::from(place) };
        place.clamp(0, size.into()) as u64
    };
    let (start, stop) = (start.map_or(0, clamp), stop.map_or(size, clamp));
    let count = stop.saturating_sub(start).div_ceil(step);
    Ok(Taken::Some { start, step, count })
}

impl Layer for Index {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        let mut sizes = Vec::new();
        for taken in self.plan(&input.shape)? {
            match taken {
                Taken::One(_) => {}
                Taken::Some { count, .. } => sizes.push(count),
                Taken::New => sizes.push(1),
                Taken::Rows => match inputs.get(1) {
                    Some(index) if index.dtype.is_integer() => sizes.extend(index.shape.iter()),
                    Some(index) => {
                        let message = format!(
                            "a tensor of whole numbers can index, not one of {}",
                            index.dtype
                        );
                        return Err(Refusal::dtype(1, message));
                    }
                    None => return Err(Refusal::shape(0, "the tensor that indexes is missing")),
                },
            }
        }
        Ok(vec![input.with_shape(sizes)])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let index = self.clone();
        let gathers = self.0.contains(&IndexItem::Tensor);
        if gathers {
            return many_to_many(move |inputs| {
                let [input, rows] = inputs else {
                    candle_core::bail!("an index takes a tensor and its rows")
                };
                Ok(vec![index.take(input, Some(rows))?])
            });
        }
        one_to_one(move |input| index.take(input, None))
    }

    fn is_view(&self) -> bool {
        !self.0.contains(&IndexItem::Tensor)
    }
}

impl Index {
    fn take(&self, input: &Tensor, rows: Option<&Tensor>) -> CandleResult<Tensor> {
        let sizes: Vec<u64> = input.dims().iter().map(|size| *size as u64).collect();
        let plan = match self.plan(&sizes.into()) {
            Ok(plan) => plan,
            Err(refusal) => candle_core::bail!("{refusal}"),
        };
        let (mut output, mut dim) = (input.clone(), 0);
        for taken in plan {
            match taken {
                Taken::One(place) => {
                    output = output.narrow(dim, place as usize, 1)?.squeeze(dim)?
                }
                Taken::Some { start, step: 1, count } => {
                    output = output.narrow(dim, start as usize, count as usize)?;
                    dim += 1;
                }
                Taken::Some { start, step, count } => {
                    let places: Vec<u32> =
                        (0..count).map(|index| (start + index * step) as u32).collect();
                    let places = Tensor::from_vec(places, count as usize, input.device())?;
                    output = output.contiguous()?.index_select(&places, dim)?;
                    dim += 1;
                }
                Taken::New => {
                    output = output.unsqueeze(dim)?;
                    dim += 1;
                }
                Taken::Rows => {
                    let Some(rows) = rows else {
                        candle_core::bail!("the tensor that indexes is missing")
                    };
                    let picked = output.contiguous()?.index_select(&rows.flatten_all()?, dim)?;
                    let mut shape = picked.dims().to_vec();
                    shape.splice(dim..=dim, rows.dims().iter().copied());
                    dim += rows.rank();
                    output = picked.reshape(shape)?;
                }
            }
        }
        Ok(output)
    }
}

/// The sum of what the experts that each token chose give, each with the token's weight for it.
///
/// It takes the weights and the indices `[*, k]`, and then the tensor `[*, C]` of every expert.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedSum {
    /// How many experts a token passes.
    pub chosen: u64,
}

impl Layer for WeightedSum {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        match inputs {
            [_, _, expert, ..] => Ok(vec![expert.clone()]),
            _ => Err(Refusal::shape(0, "experts need weights, indices and a tensor of each")),
        }
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        let mut factors = sizes("size", &outputs[0].shape);
        // k products and k - 1 sums for each element.
        factors.push(("(2 * chosen - 1)", (2 * u128::from(self.chosen)).saturating_sub(1)));
        Cost::free().flops_of("weighted sum", &factors)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        many_to_many(move |inputs| {
            let [weights, indices, experts @ ..] = inputs else {
                candle_core::bail!("experts need weights and indices")
            };
            let last = weights.rank() - 1;
            let mut sum: Option<Tensor> = None;
            for (number, expert) in experts.iter().enumerate() {
                // A token's weight for an expert that it did not choose is 0.
                let number =
                    Tensor::full(number as i64, (), indices.device())?.to_dtype(indices.dtype())?;
                let chosen = indices.broadcast_eq(&number)?.to_dtype(weights.dtype())?;
                let weight = (weights * chosen)?.sum_keepdim(last)?.to_dtype(expert.dtype())?;
                let part = expert.broadcast_mul(&weight)?;
                sum = Some(match sum {
                    Some(sum) => (sum + part)?,
                    None => part,
                });
            }
            match sum {
                Some(sum) => Ok(vec![sum]),
                None => candle_core::bail!("no experts"),
            }
        })
    }
}
