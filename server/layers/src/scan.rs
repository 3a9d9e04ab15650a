//! State space models.

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::VarBuilder;

use crate::{
    Arguments, Cost, Entry, Inputs, Kind, Layer, Module, Param, Refusal, Shape, TensorType,
    arguments::{first_input, float_input},
    cost::sizes,
    module::many_to_many,
};

pub(crate) static ENTRIES: &[Entry] = &[Entry {
    name: "SelectiveScan",
    function: None,
    params: &[Param::optional("delta_softplus", Kind::Bool, "false")],
    inputs: Inputs::Named(&["u", "delta", "A", "B", "C", "D?"]),
    summary: "Mamba's recurrence over a sequence.",
    doc: "`u, delta: [N, E, L]`, `A: [E, S]`, `B, C: [N, S, L]`, `D: [E]` → `[N, E, L]`, where for each position\n\
          `h = exp(delta * A) * h + delta * B * u` and `y = C @ h + D * u`.\n\n\
          MACs: `N * L * E * S`, the product with `C`. Other FLOPs: 6 per position, channel and state (a product \
          and an exponential for `exp(delta * A)`, two products for `delta * B * u`, a product and a sum for `h`), \
          2 per element for `D`, 1 for `delta_softplus`. From Mamba (Gu and Dao, 2023).",
    source: "https://arxiv.org/abs/2312.00752",
    bind: |arguments: &Arguments, inputs| {
        float_input("SelectiveScan", inputs)?;
        Ok(Box::new(SelectiveScan { delta_softplus: arguments.bool("delta_softplus")? }))
    },
    ..Entry::PLAIN
}];

#[derive(Debug, PartialEq)]
struct SelectiveScan {
    delta_softplus: bool,
}

impl Layer for SelectiveScan {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let u = first_input(inputs)?;
        let (&[n, e, l], Some(&[_, s])) = (&u.shape[..], inputs.get(2).map(|a| &a.shape[..]))
        else {
            let message =
                format!("`SelectiveScan` takes u [N, E, L] and A [E, S]; u is {}", u.shape);
            return Err(Refusal::shape(0, message));
        };
        let expected: [(&str, Shape); 5] = [
            ("delta", [n, e, l].into()),
            ("A", [e, s].into()),
            ("B", [n, s, l].into()),
            ("C", [n, s, l].into()),
            ("D", [e].into()),
        ];
        for (index, (name, shape)) in expected.into_iter().enumerate() {
            if let Some(input) = inputs.get(index + 1).filter(|input| input.shape != shape) {
                let message = format!("`{name}` is {}; it should be {shape}", input.shape);
                return Err(Refusal::shape(index + 1, message));
            }
        }
        Ok(vec![u.clone()])
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        let states = u128::from(inputs[2].shape[1]);
        let mut all = sizes("size", &outputs[0].shape);
        all.push(("S", states));
        let cost = Cost::free()
            .macs_of("products with C", &all)
            .flops_of("recurrence", &[&all[..], &[("operations", 6)]].concat());
        let skip = if inputs.len() > 5 { 2 } else { 0 };
        match skip + u128::from(self.delta_softplus) {
            0 => cost,
            operations => cost.per_element("per element", operations, &outputs[0].shape),
        }
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let softplus = self.delta_softplus;
        many_to_many(move |inputs| {
            let [u, delta, a, b, c, ..] = inputs else {
                candle_core::bail!("`SelectiveScan` takes five tensors")
            };
            let delta = if softplus { crate::activation::softplus(delta)? } else { delta.clone() };
            let (n, e, l) = u.dims3()?;
            let mut state = Tensor::zeros((n, e, a.dim(1)?), u.dtype(), u.device())?;
            let mut outputs = Vec::with_capacity(l);
            for position in 0..l {
                let at = |x: &Tensor| x.narrow(2, position, 1);
                let (step, row) = (at(&delta)?, at(b)?.transpose(1, 2)?);
                let decay = step.broadcast_mul(a)?.exp()?;
                let fed = (step * at(u)?)?.broadcast_mul(&row)?;
                state = ((decay * state)? + fed)?;
                outputs.push(state.matmul(&at(c)?.contiguous()?)?);
            }
            let output = Tensor::cat(&outputs, 2)?;
            let output = match inputs.get(5) {
                Some(skip) => (output + u.broadcast_mul(&skip.unsqueeze(1)?)?)?,
                None => output,
            };
            Ok(vec![output])
        })
    }
}
