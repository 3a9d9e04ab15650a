//! What the tools count for recurrent layers and their cells.

use layers::{Cost, Overflow, TensorType, sizes};

use crate::{
    call::Call,
    kinds::{CELLS, RECURRENT},
};

/// How a tool counts a recurrent layer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Recurrent {
    /// For each gate the products, their sum and two biases, and 4 sums and products of gated cells.
    Thop,
    /// The same with the projection of an LSTM, and without a batch.
    ThopProjected,
    /// The elements of the weights and biases, and the pointwise sums and products.
    Weights,
    /// The same with two operations for an element of a weight, less one for each of its rows.
    WeightsTwice,
}

impl Call<'_> {
    /// The number of gates of a cell: matrices that are multiplied with the input.
    fn gates(&self) -> u128 {
        match self.kind {
            "GRU" | "GRUCell" => 3,
            "LSTM" | "LSTMCell" => 4,
            _ => 1,
        }
    }

    pub(crate) fn recurrent(&self, rule: Recurrent, input: &TensorType) -> Result<Cost, Overflow> {
        let is_cell = CELLS.contains(&self.kind);
        let hidden = u128::from(self.size("hidden_size").unwrap_or(0));
        let projected = u128::from(self.size("proj_size").unwrap_or(0));
        let projects = projected > 0 && !matches!(rule, Recurrent::Thop);
        let out = if projects { projected } else { hidden };
        let features = u128::from(input.shape.last().copied().unwrap_or(0));
        // Without a batch the second dimension is the features', and most count it all the same.
        let dimensions = match rule {
            Recurrent::ThopProjected => input.shape.len().saturating_sub(1),
            _ if is_cell => 1,
            _ => 2,
        };
        let items = input.shape.iter().take(dimensions);
        let items = items.map(|size| u128::from(*size)).product::<u128>();
        let layers = if is_cell { 1 } else { self.size("num_layers").unwrap_or(1) };
        let directions = if !is_cell && self.is_on("bidirectional") { 2 } else { 1 };
        let (gates, biased) = (self.gates(), self.is_on("bias"));
        let factor = |more: &[(&'static str, u128)]| {
            [&[("items", items), ("directions", directions)][..], more].concat()
        };
        let mut cost = Cost::free();
        for layer in 0..layers {
            let taken = if layer == 0 { features } else { directions * out };
            let rows = [("gates", gates), ("hidden", hidden)];
            let of_rows = |each: (&'static str, u128)| factor(&[&rows[..], &[each]].concat());
            let width = taken.checked_add(out).ok_or(Overflow)?;
            let cells = match (rule, self.kind) {
                (Recurrent::Thop | Recurrent::ThopProjected, _) if gates == 1 => 0,
                (Recurrent::Thop | Recurrent::ThopProjected, _) => 4,
                (_, "GRU" | "GRUCell") => 7,
                (_, "LSTM" | "LSTMCell") => 10,
                _ => 1,
            };
            cost = match rule {
                Recurrent::Thop | Recurrent::ThopProjected => {
                    let sums = if biased { 3 } else { 1 };
                    let cost = cost
                        .macs_of("products", &of_rows(("in + hidden", width)))
                        .macs_of("sums and biases", &of_rows(("each", sums)));
                    match projects {
                        true => {
                            let projection = [("hidden", hidden), ("proj", projected)];
                            cost.macs_of("projection", &factor(&projection))
                        }
                        false => cost,
                    }
                }
                Recurrent::Weights | Recurrent::WeightsTwice => {
                    let each = match rule {
                        Recurrent::WeightsTwice => (2 * width).saturating_sub(2),
                        _ => width,
                    };
                    let biases = if biased { 2 } else { 0 };
                    cost.macs_of("weights", &of_rows(("in + out", each)))
                        .macs_of("biases", &of_rows(("each", biases)))
                }
            };
            if cells > 0 {
                let of_cells = factor(&[("hidden", hidden), ("each", cells)]);
                cost = cost.macs_of("gated sums", &of_cells);
            }
        }
        Ok(cost)
    }

    /// Our own products; a whole `LSTM` is one kernel unless it projects. The bias of the first layer's
    /// input is not added within the product if `batch_first` makes the input another one in memory.
    pub(crate) fn recurrent_products(
        &self,
        bias: bool,
        input: &TensorType,
    ) -> Result<Cost, Overflow> {
        let is_layer = RECURRENT.contains(&self.kind);
        if self.kind == "LSTM" && self.size("proj_size").unwrap_or(0) == 0 {
            return Ok(Cost::free());
        }
        let cost = self.products(false);
        if !bias || !self.is_on("bias") {
            return Ok(cost);
        }
        let rank = input.shape.len();
        let positions = sizes("positions", &input.shape[..rank.saturating_sub(1)]);
        let layers = if is_layer { self.size("num_layers").unwrap_or(1).into() } else { 1 };
        let directions = if is_layer && self.is_on("bidirectional") { 2 } else { 1 };
        let is_moved = is_layer && rank == 3 && self.is_on("batch_first") && input.shape[0] > 1;
        let pairs = 2 * layers - u128::from(is_moved);
        let hidden = u128::from(self.size("hidden_size").unwrap_or(0));
        let rows = [("biases", pairs), ("directions", directions), ("gates", self.gates())];
        Ok(cost.macs_of("bias", &[&positions[..], &rows, &[("hidden", hidden)]].concat()))
    }
}
