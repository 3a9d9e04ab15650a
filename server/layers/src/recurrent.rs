//! Recurrent layers. Candle has one layer and one direction of each, which does not reverse its
//! input; these are written on its tensor operations.

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::{VarBuilder, ops};
use kernels::matmul::linear;

use crate::{
    Arguments, Cost, Entry, GivenByInput, Inputs, Kind, Layer, Module, Param, Refusal, TensorType,
    arguments::{first_input, float_input},
    cost::sizes,
    given_by_input::features,
    module::{first, many_to_many},
};

const HIDDEN: Param = Param::required("hidden_size", Kind::Int);
const LAYERS: Param = Param::optional("num_layers", Kind::Int, "1");
const BIAS: Param = Param::optional("bias", Kind::Bool, "true");
const BATCH_FIRST: Param = Param::optional("batch_first", Kind::Bool, "false");
const DROPOUT: Param = Param::optional("dropout", Kind::Float, "0.0");
const BIDIRECTIONAL: Param = Param::optional("bidirectional", Kind::Bool, "false");
const NONLINEARITY: Param =
    Param::optional("nonlinearity", Kind::Choice(&["tanh", "relu"]), "\"tanh\"");

/// Nobody stacks more layers than this; the second number is the width of PyTorch's `(input_size, hidden_size)`.
const MOST_LAYERS: i64 = 8;

const INPUT_SIZE: &[GivenByInput] = &[GivenByInput {
    is_doubtful: |arguments| arguments.int("num_layers").is_ok_and(|layers| layers > MOST_LAYERS),
    ..GivenByInput::first("input_size", features)
}];

pub(crate) static ENTRIES: &[Entry] = &[
    Entry {
        name: "RNN",
        params: &[HIDDEN, LAYERS, NONLINEARITY, BIAS, BATCH_FIRST, DROPOUT, BIDIRECTIONAL],
        inputs: Inputs::Named(&["input", "h_0?"]),
        summary: "A recurrent layer with one activation.",
        doc: "`[L, N, in]`, or `[N, L, in]` with `batch_first` → two values: the output \
              `[L, N, directions * hidden_size]` and the final `h`, `[num_layers * directions, N, hidden_size]`.\n\n\
              MACs: `hidden_size * (in + hidden_size)` per position, layer and direction. Other FLOPs per hidden \
              element: 2 for the biases, 1 to add the two products, 1 activation.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.RNN.html",
        bind: |arguments, inputs| Recurrent::bind(arguments, inputs, cell_of_rnn(arguments)?),
        given_by_input: INPUT_SIZE,
        ..Entry::PLAIN
    },
    Entry {
        name: "LSTM",
        params: &[
            HIDDEN,
            LAYERS,
            BIAS,
            BATCH_FIRST,
            DROPOUT,
            BIDIRECTIONAL,
            Param::optional("proj_size", Kind::Int, "0"),
        ],
        inputs: Inputs::Named(&["input", "h_0?", "c_0?"]),
        summary: "Long short-term memory.",
        doc: "`[L, N, in]`, or `[N, L, in]` with `batch_first` → three values: the output `[L, N, directions * out]`, \
              and the final `h` and `c`, `[num_layers * directions, N, out]` and `[…, N, hidden_size]`; \
              `out` is `proj_size` if given, else `hidden_size`.\n\n\
              MACs: the gate products, `4 * hidden_size * (in + out)` per position, layer and direction, and \
              the projection. Other FLOPs per hidden element: 8 for the biases of the gates, 4 to add the two \
              products, 5 activations, 3 products and 1 sum.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html",
        bind: |arguments, inputs| Recurrent::bind(arguments, inputs, Cell::Lstm),
        given_by_input: INPUT_SIZE,
        ..Entry::PLAIN
    },
    Entry {
        name: "GRU",
        params: &[HIDDEN, LAYERS, BIAS, BATCH_FIRST, DROPOUT, BIDIRECTIONAL],
        inputs: Inputs::Named(&["input", "h_0?"]),
        summary: "A gated recurrent unit.",
        doc: "`[L, N, in]`, or `[N, L, in]` with `batch_first` → two values: the output \
              `[L, N, directions * hidden_size]` and the final `h`, `[num_layers * directions, N, hidden_size]`.\n\n\
              MACs: the gate products, `3 * hidden_size * (in + hidden_size)` per position, layer and direction. \
              Other FLOPs per hidden element: 6 for the biases, 3 sums of products, 3 activations, 3 products, \
              1 difference and 1 sum.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.GRU.html",
        bind: |arguments, inputs| Recurrent::bind(arguments, inputs, Cell::Gru),
        given_by_input: INPUT_SIZE,
        ..Entry::PLAIN
    },
    Entry {
        name: "RNNCell",
        params: &[HIDDEN, BIAS, NONLINEARITY],
        inputs: Inputs::Named(&["input", "hx?"]),
        summary: "One step of `RNN`.",
        doc: "`[N, in]` and `[N, hidden_size]` → `[N, hidden_size]`. The cost is that of a position of `RNN`.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.RNNCell.html",
        bind: |arguments, inputs| OneStep::bind(arguments, inputs, cell_of_rnn(arguments)?),
        given_by_input: &[GivenByInput::first("input_size", features)],
        ..Entry::PLAIN
    },
    Entry {
        name: "LSTMCell",
        params: &[HIDDEN, BIAS],
        inputs: Inputs::Named(&["input", "h?", "c?"]),
        summary: "One step of `LSTM`.",
        doc: "`[N, in]`, and two states `[N, hidden_size]` → two states. The cost is that of a position of `LSTM`.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html",
        bind: |arguments, inputs| OneStep::bind(arguments, inputs, Cell::Lstm),
        given_by_input: &[GivenByInput::first("input_size", features)],
        ..Entry::PLAIN
    },
    Entry {
        name: "GRUCell",
        params: &[HIDDEN, BIAS],
        inputs: Inputs::Named(&["input", "hx?"]),
        summary: "One step of `GRU`.",
        doc: "`[N, in]` and `[N, hidden_size]` → `[N, hidden_size]`. The cost is that of a position of `GRU`.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.GRUCell.html",
        bind: |arguments, inputs| OneStep::bind(arguments, inputs, Cell::Gru),
        given_by_input: &[GivenByInput::first("input_size", features)],
        ..Entry::PLAIN
    },
];

/// What happens at a position.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell {
    Tanh,
    Relu,
    Lstm,
    Gru,
}

fn cell_of_rnn(arguments: &Arguments) -> Result<Cell, Refusal> {
    Ok(if arguments.text("nonlinearity")? == "relu" { Cell::Relu } else { Cell::Tanh })
}

impl Cell {
    fn gates(self) -> u64 {
        match self {
            Cell::Tanh | Cell::Relu => 1,
            Cell::Lstm => 4,
            Cell::Gru => 3,
        }
    }

    /// Its states: `h`, and `c` of an LSTM.
    fn states(self) -> usize {
        if self == Cell::Lstm { 2 } else { 1 }
    }

    /// Pointwise operations for each hidden element.
    fn pointwise(self, bias: bool) -> u128 {
        let gates = u128::from(self.gates());
        let sums = gates + if bias { 2 * gates } else { 0 };
        sums + match self {
            Cell::Tanh | Cell::Relu => 1,
            Cell::Lstm => 5 + 3 + 1,
            Cell::Gru => 3 + 3 + 1 + 1,
        }
    }
}

/// The tensors of one layer in one direction.
struct CellWeights {
    cell: Cell,
    input: Tensor,
    hidden: Tensor,
    biases: Option<(Tensor, Tensor)>,
    projection: Option<Tensor>,
}

/// The sizes of the tensors of one layer in one direction.
struct CellSizes {
    input: u64,
    hidden: u64,
    /// The width of `h`.
    out: u64,
    bias: bool,
}

impl CellWeights {
    /// The suffix is `_l0`, `_l0_reverse` and so on.
    fn load(
        cell: Cell,
        sizes: &CellSizes,
        suffix: &str,
        weights: &VarBuilder<'_>,
    ) -> CandleResult<CellWeights> {
        let gates = (cell.gates() * sizes.hidden) as usize;
        let out = sizes.out as usize;
        let input = weights.get((gates, sizes.input as usize), &format!("weight_ih{suffix}"))?;
        let hidden = weights.get((gates, out), &format!("weight_hh{suffix}"))?;
        let biases = match sizes.bias {
            true => Some((
                weights.get(gates, &format!("bias_ih{suffix}"))?,
                weights.get(gates, &format!("bias_hh{suffix}"))?,
            )),
            false => None,
        };
        let projection = match sizes.out == sizes.hidden {
            true => None,
            false => {
                Some(weights.get((out, sizes.hidden as usize), &format!("weight_hr{suffix}"))?)
            }
        };
        Ok(CellWeights { cell, input, hidden, biases, projection })
    }

    /// The products of a layer's whole input `[*, in]` with its gates.
    fn of_input(&self, x: &Tensor) -> CandleResult<Tensor> {
        linear(x, &self.input, self.biases.as_ref().map(|(bias, _)| bias))
    }

    /// One position: its products with the gates `[N, gates]`, and the states before and after it.
    fn step(&self, gates: &Tensor, states: &[Tensor]) -> CandleResult<Vec<Tensor>> {
        let bias = self.biases.as_ref().map(|(_, bias)| bias);
        let recurrent = linear(&states[0], &self.hidden, bias)?;
        let parts = self.cell.gates() as usize;
        let part = |x: &Tensor, index: usize| {
            let width = x.dim(1)? / parts;
            x.narrow(1, index * width, width)
        };
        match self.cell {
            Cell::Tanh => Ok(vec![(gates + recurrent)?.tanh()?]),
            Cell::Relu => Ok(vec![(gates + recurrent)?.relu()?]),
            Cell::Gru => {
                let gate = |index| ops::sigmoid(&(part(gates, index)? + part(&recurrent, index)?)?);
                let (reset, update) = (gate(0)?, gate(1)?);
                let new = (part(gates, 2)? + (reset * part(&recurrent, 2)?)?)?.tanh()?;
                let kept = (&update * &states[0])?;
                Ok(vec![((update.affine(-1.0, 1.0)? * new)? + kept)?])
            }
            Cell::Lstm => {
                let gates = (gates + recurrent)?;
                let gate = |index| ops::sigmoid(&part(&gates, index)?);
                let (input, forget, output) = (gate(0)?, gate(1)?, gate(3)?);
                let c = ((forget * &states[1])? + (input * part(&gates, 2)?.tanh()?)?)?;
                let h = (output * c.tanh()?)?;
                let h = match &self.projection {
                    Some(projection) => h.matmul(&projection.t()?)?,
                    None => h,
                };
                Ok(vec![h, c])
            }
        }
    }

    /// A sequence `[N, L, in]`: the outputs `[N, L, out]` and the final states.
    fn run(
        &self,
        x: &Tensor,
        states: Vec<Tensor>,
        reverse: bool,
    ) -> CandleResult<(Tensor, Vec<Tensor>)> {
        let gates = self.of_input(&x.contiguous()?)?;
        let length = x.dim(1)?;
        let (mut states, mut outputs) = (states, Vec::with_capacity(length));
        for index in 0..length {
            let position = if reverse { length - 1 - index } else { index };
            states =
                self.step(&gates.narrow(1, position, 1)?.squeeze(1)?.contiguous()?, &states)?;
            outputs.push(states[0].clone());
        }
        if reverse {
            outputs.reverse();
        }
        Ok((Tensor::stack(&outputs, 1)?, states))
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Recurrent {
    cell: Cell,
    input_size: u64,
    hidden_size: u64,
    num_layers: u64,
    bias: bool,
    batch_first: bool,
    bidirectional: bool,
    /// 0 for none.
    proj_size: u64,
}

/// More layers than this are a slip, and would fill the memory.
const MAX_LAYERS: u64 = 10_000;

impl Recurrent {
    fn bind(
        arguments: &Arguments,
        inputs: &[TensorType],
        cell: Cell,
    ) -> Result<Box<dyn Layer>, Refusal> {
        let name = arguments.signature().name;
        let input = float_input(name, inputs)?;
        if !matches!(input.shape.len(), 2 | 3) {
            let message = format!(
                "`{name}` takes [L, N, in], or [L, in] without a batch, not {}",
                input.shape
            );
            return Err(Refusal::shape(0, message));
        }
        let hidden_size = arguments.size("hidden_size", 1)?;
        arguments.probability("dropout")?;
        let proj_size = if cell == Cell::Lstm { arguments.size("proj_size", 0)? } else { 0 };
        if proj_size >= hidden_size {
            let message =
                format!("`proj_size={proj_size}` is not less than `hidden_size={hidden_size}`");
            return Err(Refusal::argument("proj_size", message));
        }
        let num_layers = arguments.size("num_layers", 1)?;
        if num_layers > MAX_LAYERS {
            let message = format!("`num_layers` is at most {MAX_LAYERS}, not {num_layers}");
            return Err(Refusal::argument("num_layers", message));
        }
        Ok(Box::new(Recurrent {
            cell,
            input_size: input.shape[input.shape.len() - 1],
            hidden_size,
            num_layers,
            bias: arguments.bool("bias")?,
            batch_first: arguments.bool("batch_first")?,
            bidirectional: arguments.bool("bidirectional")?,
            proj_size,
        }))
    }

    fn directions(&self) -> u64 {
        if self.bidirectional { 2 } else { 1 }
    }

    fn out_size(&self) -> u64 {
        if self.proj_size > 0 { self.proj_size } else { self.hidden_size }
    }

    /// The width of what goes into a layer.
    fn width_of(&self, layer: u64) -> u64 {
        if layer == 0 { self.input_size } else { self.directions() * self.out_size() }
    }

    /// The widths of `h` and `c`.
    fn widths(&self) -> Vec<u64> {
        [self.out_size(), self.hidden_size][..self.cell.states()].to_vec()
    }
}

impl Layer for Recurrent {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        if input.shape.last() != Some(&self.input_size) {
            let message = format!(
                "this layer was made for {} features; its input is {}",
                self.input_size, input.shape
            );
            return Err(Refusal::shape(0, message));
        }
        let width = self
            .directions()
            .checked_mul(self.out_size())
            .ok_or_else(|| Refusal::overflow("the output"))?;
        let batch = (input.shape.len() == 3).then(|| input.shape[usize::from(!self.batch_first)]);
        let states = self.num_layers * self.directions();
        let mut outputs = vec![input.with_shape(input.shape.with_last(width))];
        for (index, width) in self.widths().into_iter().enumerate() {
            let state: Vec<u64> =
                [Some(states), batch, Some(width)].into_iter().flatten().collect();
            let state = input.with_shape(state);
            check_state(inputs, index + 1, &state)?;
            outputs.push(state);
        }
        Ok(outputs)
    }

    fn cost(&self, inputs: &[TensorType], _: &[TensorType]) -> Cost {
        let shape = &inputs[0].shape;
        let positions = sizes("positions", &shape[..shape.len() - 1]);
        let of = |factors: &[(&'static str, u128)]| [&positions[..], factors].concat();
        let (directions, hidden) = (u128::from(self.directions()), u128::from(self.hidden_size));
        let (out, gates) = (u128::from(self.out_size()), u128::from(self.cell.gates()));
        let gates_of = |layer: u64, layers: u64| {
            of(&[
                ("layers", layers.into()),
                ("directions", directions),
                ("gates", gates),
                ("hidden", hidden),
                ("(in + out)", u128::from(self.width_of(layer)) + out),
            ])
        };
        let mut cost = Cost::free().macs_of("gates of the first layer", &gates_of(0, 1));
        if self.num_layers > 1 {
            cost = cost.macs_of("gates of the others", &gates_of(1, self.num_layers - 1));
        }
        let all = [("layers", self.num_layers.into()), ("directions", directions)];
        if self.proj_size > 0 {
            let factors = [&all[..], &[("hidden", hidden), ("out", out)]].concat();
            cost = cost.macs_of("projection", &of(&factors));
        }
        let operations = [("hidden", hidden), ("operations", self.cell.pointwise(self.bias))];
        cost.flops_of("pointwise", &of(&[&all[..], &operations].concat()))
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let mut cells = Vec::new();
        for layer in 0..self.num_layers {
            let sizes = CellSizes {
                input: self.width_of(layer),
                hidden: self.hidden_size,
                out: self.out_size(),
                bias: self.bias,
            };
            for direction in 0..self.directions() {
                let reverse = if direction == 1 { "_reverse" } else { "" };
                let suffix = format!("_l{layer}{reverse}");
                cells.push(CellWeights::load(self.cell, &sizes, &suffix, &weights)?);
            }
        }
        let layer = self.clone();
        many_to_many(move |inputs| layer.run(&cells, inputs))
    }
}

impl Recurrent {
    fn run(&self, cells: &[CellWeights], inputs: &[Tensor]) -> CandleResult<Vec<Tensor>> {
        let input = first(inputs)?;
        let batched = input.rank() == 3;
        let states: Vec<Tensor> = inputs[1..]
            .iter()
            .map(|state| if batched { Ok(state.clone()) } else { state.unsqueeze(1) })
            .collect::<CandleResult<_>>()?;
        let mut x = match (batched, self.batch_first) {
            (false, _) => input.unsqueeze(0)?,
            (true, true) => input.clone(),
            (true, false) => input.transpose(0, 1)?,
        };
        let batch = x.dim(0)?;
        let initial = |index: usize| -> CandleResult<Vec<Tensor>> {
            let of = |(state, width): (usize, u64)| match states.get(state) {
                Some(given) => given.narrow(0, index, 1)?.squeeze(0)?.contiguous(),
                None => Tensor::zeros((batch, width as usize), x.dtype(), x.device()),
            };
            self.widths().into_iter().enumerate().map(of).collect()
        };
        let initial: Vec<Vec<Tensor>> =
            (0..cells.len()).map(initial).collect::<CandleResult<_>>()?;
        let mut finals: Vec<Vec<Tensor>> = vec![Vec::new(); self.cell.states()];
        let directions = self.directions() as usize;
        let mut initial = initial.into_iter();
        for layer in cells.chunks(directions) {
            let mut outputs = Vec::with_capacity(directions);
            for (direction, cell) in layer.iter().enumerate() {
                let states = initial.next().unwrap_or_default();
                let (output, last) = cell.run(&x, states, direction == 1)?;
                outputs.push(output);
                finals.iter_mut().zip(last).for_each(|(all, state)| all.push(state));
            }
            x = Tensor::cat(&outputs, 2)?;
        }
        let output = match (batched, self.batch_first) {
            (false, _) => x.squeeze(0)?,
            (true, true) => x,
            (true, false) => x.transpose(0, 1)?,
        };
        let mut values = vec![output];
        for state in &finals {
            let state = Tensor::stack(state, 0)?;
            values.push(if batched { state } else { state.squeeze(1)? });
        }
        Ok(values)
    }
}

/// `RNNCell` and the like.
#[derive(Debug, Clone, PartialEq)]
struct OneStep {
    cell: Cell,
    input_size: u64,
    hidden_size: u64,
    bias: bool,
}

impl OneStep {
    fn bind(
        arguments: &Arguments,
        inputs: &[TensorType],
        cell: Cell,
    ) -> Result<Box<dyn Layer>, Refusal> {
        let name = arguments.signature().name;
        let input = float_input(name, inputs)?;
        if !matches!(input.shape.len(), 1 | 2) {
            let message = format!("`{name}` takes [N, in] or [in], not {}", input.shape);
            return Err(Refusal::shape(0, message));
        }
        let (hidden_size, bias) = (arguments.size("hidden_size", 1)?, arguments.bool("bias")?);
        let input_size = input.shape[input.shape.len() - 1];
        Ok(Box::new(OneStep { cell, input_size, hidden_size, bias }))
    }
}

impl Layer for OneStep {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        if input.shape.last() != Some(&self.input_size) {
            let message = format!(
                "this layer was made for {} features; its input is {}",
                self.input_size, input.shape
            );
            return Err(Refusal::shape(0, message));
        }
        let state = input.with_shape(input.shape.with_last(self.hidden_size));
        for index in 0..self.cell.states() {
            check_state(inputs, index + 1, &state)?;
        }
        Ok(vec![state; self.cell.states()])
    }

    fn cost(&self, inputs: &[TensorType], _: &[TensorType]) -> Cost {
        let shape = &inputs[0].shape;
        let batch = sizes("N", &shape[..shape.len() - 1]);
        let hidden = ("hidden", u128::from(self.hidden_size));
        let width = u128::from(self.input_size) + u128::from(self.hidden_size);
        let gates = [("gates", self.cell.gates().into()), hidden, ("(in + hidden)", width)];
        let pointwise = [hidden, ("operations", self.cell.pointwise(self.bias))];
        Cost::free()
            .macs_of("gates", &[&batch[..], &gates].concat())
            .flops_of("pointwise", &[&batch[..], &pointwise].concat())
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (input, hidden) = (self.input_size, self.hidden_size);
        let sizes = CellSizes { input, hidden, out: hidden, bias: self.bias };
        let cell = CellWeights::load(self.cell, &sizes, "", &weights)?;
        let hidden = hidden as usize;
        many_to_many(move |inputs| {
            let input = first(inputs)?;
            let batched = input.rank() == 2;
            let with_batch =
                |x: &Tensor| if batched { x.contiguous() } else { x.unsqueeze(0)?.contiguous() };
            let x = with_batch(input)?;
            let mut states: Vec<Tensor> =
                inputs[1..].iter().map(with_batch).collect::<CandleResult<_>>()?;
            while states.len() < cell.cell.states() {
                states.push(Tensor::zeros((x.dim(0)?, hidden), x.dtype(), x.device())?);
            }
            let states = cell.step(&cell.of_input(&x)?, &states)?;
            states
                .into_iter()
                .map(|state| if batched { Ok(state) } else { state.squeeze(0) })
                .collect()
        })
    }
}

/// A state that is given must have the shape of the final one.
fn check_state(inputs: &[TensorType], index: usize, expected: &TensorType) -> Result<(), Refusal> {
    match inputs.get(index) {
        Some(given) if given.shape != expected.shape => {
            let message = format!("this state is {}; it should be {}", given.shape, expected.shape);
            Err(Refusal::shape(index, message))
        }
        _ => Ok(()),
    }
}
