//! Attention and positions as operations on Candle's tensors.

use super::{
    arguments::{float, whole},
    functions::{Found, Function, Writer, lent},
};
use crate::template::Template;

impl Writer<'_, '_> {
    pub(super) fn attention(&mut self) -> Found {
        let mut fields = Vec::new();
        let mut field = |name: &str, value: Template| {
            let mut text = Template::text(format!("{name}: "));
            text.append(value);
            fields.push(text);
        };
        let some = |value: Template| {
            let mut text = Template::text("Some(");
            text.append(value);
            text.push(")");
            text
        };
        let mut operands = self.operands.to_vec();
        let sinks = if self.used.is_on("sinks") { operands.pop() } else { None };
        if let [_, _, _, bias] = &operands[..] {
            if !self.used.input(3)?.dtype.is_float() {
                return Err("its mask is no number to be added".to_owned());
            }
            field("bias", some(lent(bias)));
        }
        if self.used.is_on("is_causal") {
            field("is_causal", Template::text("true"));
        }
        if self.used.has("scale") {
            field("scale", some(float("scale", self.used.float("scale")?)));
        }
        if self.used.has("window") {
            field("window", some(whole("window", self.used.int("window")?)));
        }
        if self.used.has("softcap") {
            field("softcap", some(float("softcap", self.used.float("softcap")?)));
        }
        if let Some(sinks) = &sinks {
            field("sinks", some(lent(sinks)));
        }
        let options = match fields.is_empty() {
            true => Template::text("AttentionOptions::default()"),
            false => {
                fields.push(Template::text("..Default::default()"));
                let mut text = Template::text("AttentionOptions { ");
                text.append(Template::joined(fields, ", "));
                text.push(" }");
                text
            }
        };
        let mut text = Template::text("attention(");
        let operands = operands[..3].iter().map(lent);
        text.append(Template::joined(operands.chain([options]), ", "));
        text.push(")?");
        Ok(Function { text, is_lent: false, helper: Some("attention") })
    }

    pub(super) fn rotary_embedding(&mut self) -> Found {
        let kind = self.used.text("rope_type")?;
        let scaling = match kind.as_str() {
            "default" => Template::text("RopeScaling::None"),
            "linear" => {
                let mut text = Template::text("RopeScaling::Linear { factor: ");
                text.append(float("factor", self.used.float("factor")?));
                text.push(" }");
                text
            }
            "llama3" => {
                self.scaling("Llama3", &["factor", "low_freq_factor", "high_freq_factor"])?
            }
            "yarn" => {
                let mut text = self.scaling("Yarn", &["factor", "beta_fast", "beta_slow"])?;
                let end =
                    format!(", truncate: {}, attention_factor: ", self.used.is_on("truncate"));
                text = Template::text(text.plain().trim_end_matches(" }").to_owned() + &end);
                match self.used.has("attention_factor") {
                    true => {
                        text.push("Some(");
                        text.append(float(
                            "attention_factor",
                            self.used.float("attention_factor")?,
                        ));
                        text.push(")");
                    }
                    false => text.push("None"),
                }
                text.push(" }");
                text
            }
            _ => return Err("these rotary angles depend on the sequence".to_owned()),
        };
        let arguments = vec![
            float("theta", self.used.float("theta")?),
            Template::text(self.used.is_on("interleaved").to_string()),
            whole("offset", self.used.int("offset")?),
            scaling,
        ];
        self.helped("rotary_embedding", arguments)
    }

    /// `RopeScaling::Llama3 { factor: 8.0, … }`
    fn scaling(&self, name: &str, fields: &[&str]) -> Result<Template, String> {
        let mut text = Template::text(format!("RopeScaling::{name} {{ "));
        for field in fields {
            text.push(&format!("{field}: "));
            text.append(float(field, self.used.float(field)?));
            text.push(", ");
        }
        text.push("original_length: ");
        text.append(float("original_length", self.used.float("original_max_position_embeddings")?));
        text.push(" }");
        Ok(text)
    }

    pub(super) fn relative_position_buckets(&mut self) -> Found {
        let shapes = self.used.output(0);
        let (rows, columns) = (shapes.map(|shape| shape[0]), shapes.map(|shape| shape[1]));
        let device = self.device.ok_or("no tensor is at hand, whose device it could use")?;
        let arguments = vec![
            self.size("query_length", &rows)?,
            self.size("key_length", &columns)?,
            Template::text(self.used.is_on("bidirectional").to_string()),
            whole("num_buckets", self.used.int("num_buckets")?),
            whole("max_distance", self.used.int("max_distance")?),
            Template::text(format!("{device}.device()")),
        ];
        self.helped("relative_position_buckets", arguments)
    }
}
