//! Recurrent layers.

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::{RNN, VarBuilder};

use crate::{
    Arguments, Cost, Entry, Inputs, Kind, Layer, Module, Param, Refusal, TensorType,
    arguments::{first_input, float_input},
    module::{first, many_to_many},
};

pub(crate) static ENTRIES: &[Entry] = &[Entry {
    name: "LSTM",
    function: None,
    params: &[
        Param::required("hidden_size", Kind::Int),
        Param::optional("num_layers", Kind::Int, "1"),
        Param::optional("bias", Kind::Bool, "true"),
        Param::optional("batch_first", Kind::Bool, "false"),
        Param::optional("dropout", Kind::Float, "0.0"),
        Param::optional("bidirectional", Kind::Bool, "false"),
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
    bind: Lstm::bind,
}];

#[derive(Debug, PartialEq)]
struct Lstm {
    input_size: u64,
    hidden_size: u64,
    num_layers: u64,
    bias: bool,
    batch_first: bool,
    bidirectional: bool,
    proj_size: u64,
}

impl Lstm {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        let input = float_input("LSTM", inputs)?;
        if !matches!(input.shape.len(), 2 | 3) {
            let message =
                format!("`LSTM` takes [L, N, in], or [L, in] without a batch, not {}", input.shape);
            return Err(Refusal::shape(0, message));
        }
        let hidden_size = arguments.size("hidden_size", 1)?;
        let proj_size = arguments.size("proj_size", 0)?;
        if proj_size >= hidden_size {
            let message =
                format!("`proj_size={proj_size}` is not less than `hidden_size={hidden_size}`");
            return Err(Refusal::argument("proj_size", message));
        }
        let num_layers = arguments.size("num_layers", 1)?;
        if num_layers > 10_000 {
            return Err(Refusal::argument(
                "num_layers",
                format!("`num_layers` is at most 10000, not {num_layers}"),
            ));
        }
        Ok(Box::new(Lstm {
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
}

impl Layer for Lstm {
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
        let output = input.shape.with_last(width);
        let batch = (input.shape.len() == 3).then(|| input.shape[usize::from(!self.batch_first)]);
        let states = self.num_layers * self.directions();
        let state = |width: u64| -> Vec<u64> {
            [Some(states), batch, Some(width)].into_iter().flatten().collect()
        };
        let (h, c) = (state(self.out_size()), state(self.hidden_size));
        for (index, expected) in [(1, &h), (2, &c)] {
            if let Some(given) = inputs.get(index).filter(|given| given.shape[..] != expected[..]) {
                let expected = crate::Shape::from(expected.clone());
                let message = format!("this state is {}; `LSTM` expects {expected}", given.shape);
                return Err(Refusal::shape(index, message));
            }
        }
        Ok(vec![input.with_shape(output), input.with_shape(h), input.with_shape(c)])
    }

    fn cost(&self, inputs: &[TensorType], _: &[TensorType]) -> Cost {
        let shape = &inputs[0].shape;
        let positions: Vec<_> =
            shape[..shape.len() - 1].iter().map(|size| ("positions", u128::from(*size))).collect();
        let of = |factors: &[(&'static str, u128)]| [&positions[..], factors].concat();
        let (directions, hidden) = (u128::from(self.directions()), u128::from(self.hidden_size));
        let out = u128::from(self.out_size());
        let mut cost = Cost::free();
        for layer in 0..self.num_layers {
            let width = u128::from(self.width_of(layer)) + out;
            cost = cost.macs_of(
                "gates",
                &of(&[
                    ("directions", directions),
                    ("4 gates", 4),
                    ("hidden", hidden),
                    ("(in + out)", width),
                ]),
            );
            if self.proj_size > 0 {
                cost = cost.macs_of(
                    "projection",
                    &of(&[("directions", directions), ("hidden", hidden), ("out", out)]),
                );
            }
        }
        let pointwise = 4 + 5 + 3 + 1 + if self.bias { 8 } else { 0 };
        cost.flops_of(
            "pointwise",
            &of(&[
                ("layers", self.num_layers.into()),
                ("directions", directions),
                ("hidden", hidden),
                ("operations", pointwise),
            ]),
        )
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let places = (0..self.num_layers)
            .flat_map(|layer| (0..self.directions()).map(move |direction| (layer, direction == 1)));
        if self.proj_size > 0 {
            let mut places = places;
            places.try_for_each(|(layer, reverse)| {
                self.ask_for_projected(layer, reverse, &weights)
            })?;
            return many_to_many(|_| {
                candle_core::bail!("an LSTM with proj_size is counted, not built")
            });
        }
        let layers: Vec<_> = places
            .map(|(layer, reverse)| self.build_direction(layer, reverse, &weights))
            .collect::<CandleResult<_>>()?;
        let (directions, batch_first) = (self.directions() as usize, self.batch_first);
        many_to_many(move |inputs| {
            let input = first(inputs)?;
            if inputs.len() > 1 || input.rank() != 3 {
                candle_core::bail!(
                    "an LSTM with given states or without a batch is counted, not built"
                );
            }
            let mut x = if batch_first { input.clone() } else { input.transpose(0, 1)? };
            let (mut hs, mut cs) = (Vec::new(), Vec::new());
            for layer in layers.chunks(directions) {
                let mut outputs = Vec::new();
                for (direction, lstm) in layer.iter().enumerate() {
                    // Candle's backward direction does not reverse its input by itself.
                    let reversed = direction == 1;
                    let sequence = if reversed { x.flip(&[1])? } else { x.clone() };
                    let states = lstm.seq(&sequence.contiguous()?)?;
                    let hidden: Vec<Tensor> =
                        states.iter().map(|state| state.h().clone()).collect();
                    let output = Tensor::stack(&hidden, 1)?;
                    outputs.push(if reversed { output.flip(&[1])? } else { output });
                    if let Some(last) = states.last() {
                        hs.push(last.h().clone());
                        cs.push(last.c().clone());
                    }
                }
                x = Tensor::cat(&outputs, 2)?;
            }
            let output = if batch_first { x } else { x.transpose(0, 1)? };
            Ok(vec![output, Tensor::stack(&hs, 0)?, Tensor::stack(&cs, 0)?])
        })
    }
}

impl Lstm {
    fn build_direction(
        &self,
        layer: u64,
        reverse: bool,
        weights: &VarBuilder<'_>,
    ) -> CandleResult<candle_nn::LSTM> {
        let width = self.width_of(layer) as usize;
        let hidden = self.hidden_size as usize;
        let direction = if reverse {
            candle_nn::rnn::Direction::Backward
        } else {
            candle_nn::rnn::Direction::Forward
        };
        let mut config =
            candle_nn::LSTMConfig { layer_idx: layer as usize, direction, ..Default::default() };
        if !self.bias {
            config.b_ih_init = None;
            config.b_hh_init = None;
        }
        candle_nn::lstm(width, hidden, config, weights.clone())
    }

    /// Candle has no projection; its tensors are asked for as PyTorch names them.
    fn ask_for_projected(
        &self,
        layer: u64,
        reverse: bool,
        weights: &VarBuilder<'_>,
    ) -> CandleResult<()> {
        let suffix = if reverse { "_reverse" } else { "" };
        let (width, hidden, out) =
            (self.width_of(layer) as usize, self.hidden_size as usize, self.out_size() as usize);
        weights.get((4 * hidden, width), &format!("weight_ih_l{layer}{suffix}"))?;
        weights.get((4 * hidden, out), &format!("weight_hh_l{layer}{suffix}"))?;
        if self.bias {
            weights.get(4 * hidden, &format!("bias_ih_l{layer}{suffix}"))?;
            weights.get(4 * hidden, &format!("bias_hh_l{layer}{suffix}"))?;
        }
        weights.get((out, hidden), &format!("weight_hr_l{layer}{suffix}"))?;
        Ok(())
    }
}
