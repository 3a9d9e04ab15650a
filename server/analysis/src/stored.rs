//! How a model's weights are stored: its tensors, and those of a quantised one.

use std::ops::ControlFlow;

use layers::ParameterTensor;

use crate::{
    Model, Row,
    quantization::{Method, Quantization, Stored},
};

impl Quantization {
    /// Leaves the module of the last parameters as it is, unless the config says which stay: it is
    /// the head, if there is one. Source: `get_keys_to_not_convert` of transformers 4.57.3.
    pub(crate) fn without_head(mut self, model: &Model) -> Quantization {
        // Those of AWQ come besides.
        if self.says_which && !matches!(self.method, Method::Awq { .. }) {
            return self;
        }
        let mut last = None;
        model.rows(|row| {
            if row.tensors().iter().any(|(_, tensor)| !tensor.is_buffer) {
                last = Some(row.path);
            }
            ControlFlow::Continue(())
        });
        self.skipped.extend(last);
        self
    }
}

impl Model {
    /// The tensors that a checkpoint of the model has.
    pub fn stored(&self) -> Vec<Stored> {
        let mut all = Vec::new();
        self.rows(|row| {
            for (name, tensor) in row.tensors() {
                self.store(&row, name, tensor, &mut all);
            }
            ControlFlow::Continue(())
        });
        all
    }

    fn store(&self, row: &Row<'_>, name: String, tensor: &ParameterTensor, all: &mut Vec<Stored>) {
        let quantization = self.quantization.as_ref();
        let Some((quantization, parts)) = quantization
            .and_then(|quantization| Some((quantization, quantization.parts(row, tensor)?)))
        else {
            let dtype = tensor.dtype.to_string().into();
            let (shape, is_buffer) = (tensor.shape.to_vec(), tensor.is_buffer);
            return all.push(Stored { name, dtype, shape, is_buffer, is_optional: false });
        };
        let base = name.strip_suffix(&tensor.name).unwrap_or(&name);
        let stored = |part: &str, dtype: &'static str, shape, is_optional| Stored {
            name: format!("{base}{part}"),
            dtype: dtype.into(),
            shape,
            is_buffer: false,
            is_optional,
        };
        all.extend(
            parts.into_iter().map(|(part, dtype, shape)| stored(&part, dtype, shape, false)),
        );
        all.extend(quantization.notes().map(|part| stored(&part, "u8", Vec::new(), true)));
    }

    /// Bytes of a parameter that is quantised, with its scales; none if it is left as it is.
    pub(crate) fn quantized_bytes(&self, row: &Row<'_>, tensor: &ParameterTensor) -> Option<u128> {
        let parts = self.quantization.as_ref()?.parts(row, tensor)?;
        let bytes = parts.iter().map(|(_, dtype, shape)| {
            let width = match *dtype {
                "i32" | "f32" => 4,
                "f16" => 2,
                _ => 1,
            };
            shape.iter().fold(width, |bytes: u128, size| bytes.saturating_mul((*size).into()))
        });
        Some(bytes.fold(0, u128::saturating_add))
    }
}
