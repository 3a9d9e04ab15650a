//! LSTMClassifier, written by `taper export`.
//!
//! Its parameters have the names of the Taper model's, so the same checkpoints load.
//! It infers: normalisation uses running statistics, dropout does nothing.
//! Sizes that may be any that the model promises: N, T.

use candle_core::{Result, Tensor};
use candle_nn::{Embedding, Linear, Module, VarBuilder};

#[derive(Debug, Clone)]
pub struct LSTMClassifier {
    embedding: Embedding,
    lstm: Lstm,
    fc: Linear,
}

impl LSTMClassifier {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            embedding: candle_nn::embedding(100, 32, vb.pp("embedding"))?,
            lstm: Lstm::new(32, 40, 2, true, true, vb.pp("lstm"))?,
            fc: candle_nn::linear(80, 5, vb.pp("fc"))?,
        })
    }

    pub fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        let x = self.embedding.forward(ids)?;
        let (x, _, _) = self.lstm.forward(&x)?;
        let x = x.get_on_dim(1, x.dim(1)? - 1)?.contiguous()?;
        self.fc.forward(&x)
    }
}

/// `torch.nn.LSTM`; it begins with zeros.
#[derive(Debug, Clone)]
pub struct Lstm {
    /// The directions of each layer.
    layers: Vec<Vec<candle_nn::LSTM>>,
    batch_first: bool,
}

impl Lstm {
    pub fn new(
        input_size: usize,
        hidden_size: usize,
        num_layers: usize,
        batch_first: bool,
        bidirectional: bool,
        vb: VarBuilder,
    ) -> Result<Self> {
        use candle_nn::rnn::Direction;
        let directions: &[_] = match bidirectional {
            true => &[Direction::Forward, Direction::Backward],
            false => &[Direction::Forward],
        };
        let layer = |layer_idx: usize| {
            let width = if layer_idx == 0 { input_size } else { hidden_size * directions.len() };
            let one = |direction: &Direction| {
                let config = candle_nn::LSTMConfig {
                    layer_idx,
                    direction: *direction,
                    ..Default::default()
                };
                candle_nn::lstm(width, hidden_size, config, vb.clone())
            };
            directions.iter().map(one).collect::<Result<Vec<_>>>()
        };
        let layers = (0..num_layers).map(layer).collect::<Result<_>>()?;
        Ok(Self { layers, batch_first })
    }

    /// The output, and the last hidden and cell states.
    pub fn forward(&self, x: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
        use candle_nn::RNN;
        let mut x = if self.batch_first { x.clone() } else { x.transpose(0, 1)?.contiguous()? };
        let (mut hidden, mut cells) = (Vec::new(), Vec::new());
        for directions in &self.layers {
            let mut outputs = Vec::new();
            for (index, lstm) in directions.iter().enumerate() {
                let turned = if index == 0 { x.clone() } else { x.flip(&[1])? };
                let states = lstm.seq(&turned)?;
                let output = lstm.states_to_tensor(&states)?;
                outputs.push(if index == 0 { output } else { output.flip(&[1])? });
                if let Some(last) = states.last() {
                    hidden.push(last.h().clone());
                    cells.push(last.c().clone());
                }
            }
            x = Tensor::cat(&outputs, 2)?;
        }
        let x = if self.batch_first { x } else { x.transpose(0, 1)?.contiguous()? };
        Ok((x, Tensor::stack(&hidden, 0)?, Tensor::stack(&cells, 0)?))
    }
}
