//! Weights that are stored in fewer bits, as a config's `quantization_config` says: which tensors a
//! checkpoint has in place of each weight, and so how many bytes.

use std::borrow::Cow;

use layers::ParameterTensor;

use crate::{
    Code, Configured, ConfiguredArgument, Diagnostic, Row,
    evaluate::{Value, parse_value},
};

/// How weights are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantization {
    pub(crate) method: Method,
    /// Modules that are left as they are.
    pub(crate) skipped: Vec<String>,
    /// The config says which.
    pub(crate) says_which: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Method {
    /// Source: `QuantLinear` of auto_gptq 0.7.1.
    Gptq { bits: u64, group: Option<u64> },
    /// Source: `WQLinear_GEMM` of autoawq 0.2.9.
    Awq { bits: u64, group: Option<u64> },
    /// Source: `Linear8bitLt` of bitsandbytes 0.50.2.
    Int8,
    /// Source: `Linear4bit` of bitsandbytes 0.50.2.
    FourBit { kind: String, double: bool },
    /// Source: `FP8Linear` of transformers 4.57.3.
    Fp8 { block: (u64, u64) },
    /// Source: `Mxfp4GptOssExperts` of transformers 4.57.3.
    Mxfp4,
}

/// A tensor as a checkpoint has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its whole name.
    pub name: String,
    /// The type of its elements, as `f16` or `i32`.
    pub dtype: Cow<'static, str>,
    /// Its sizes.
    pub shape: Vec<u64>,
    /// It is a buffer, which checkpoints may lack.
    pub is_buffer: bool,
    /// It says how others are to be read, and may be there or not.
    pub is_optional: bool,
}

/// A stored tensor's name after that of the weight, its type and its sizes.
type Part = (Cow<'static, str>, &'static str, Vec<u64>);

/// The sizes of blocks and groups that bitsandbytes has one scale for.
const FOUR_BIT_BLOCK: u64 = 64;
const NESTED_BLOCK: u64 = 256;

/// The size of the blocks that MXFP4 has one scale for (OCP Microscaling Formats 1.0).
const MXFP4_BLOCK: u64 = 32;

impl Quantization {
    /// What a config says, if it says anything of it; or why that is not known.
    pub(crate) fn of(config: &Configured) -> Option<Result<Quantization, Diagnostic>> {
        let keys = Keys(&config.arguments);
        // Older configs of bitsandbytes do not name it.
        let is_bitsandbytes = keys.is_true("load_in_4bit") || keys.is_true("load_in_8bit");
        let name = match is_bitsandbytes {
            true => "bitsandbytes".to_owned(),
            false => keys.text("quant_method")?,
        };
        let unknown = |key: &str, message: String| {
            let place = keys.place(key).unwrap_or(config.place);
            Some(Err(Diagnostic::new(Code::UnknownQuantization, place, message)))
        };
        let group = || keys.int("group_size").and_then(|size| u64::try_from(size).ok());
        let bits = || keys.int("bits").and_then(|bits| u64::try_from(bits).ok()).unwrap_or(4);
        let method = match name.as_str() {
            "gptq" => Method::Gptq { bits: bits(), group: group() },
            "awq" => Method::Awq { bits: bits(), group: group() },
            "bitsandbytes" if keys.is_true("load_in_4bit") => Method::FourBit {
                kind: keys.text("bnb_4bit_quant_type").unwrap_or_else(|| "fp4".to_owned()),
                double: keys.is_true("bnb_4bit_use_double_quant"),
            },
            "bitsandbytes" => Method::Int8,
            "fp8" => Method::Fp8 { block: keys.pair("weight_block_size").unwrap_or((128, 128)) },
            "mxfp4" => Method::Mxfp4,
            _ => {
                let message = format!(
                    "`{name}` is not known, so the weights are counted as they are before it; known are gptq, awq, bitsandbytes, fp8 and mxfp4"
                );
                return unknown("quant_method", message);
            }
        };
        if let Method::Gptq { bits, .. } | Method::Awq { bits, .. } = method
            && !matches!(bits, 2 | 3 | 4 | 8)
        {
            let message = format!(
                "{name} stores weights in 2, 3, 4 or 8 bits, not {bits}, so they are counted as they are before it"
            );
            return unknown("bits", message);
        }
        let mut skipped = keys.list("modules_to_not_convert");
        skipped.extend(keys.list("llm_int8_skip_modules"));
        let lists = ["modules_to_not_convert", "llm_int8_skip_modules"];
        let says_which = lists.iter().any(|name| matches!(keys.value(name), Some(Value::List(_))));
        Some(Ok(Quantization { method, skipped, says_which }))
    }

    /// The name of the method with its bits, as `4-bit gptq`.
    pub fn name(&self) -> String {
        match &self.method {
            Method::Gptq { bits, .. } => format!("{bits}-bit gptq"),
            Method::Awq { bits, .. } => format!("{bits}-bit awq"),
            Method::Int8 => "8-bit bitsandbytes".to_owned(),
            Method::FourBit { kind, .. } => format!("4-bit {kind}"),
            Method::Fp8 { .. } => "fp8".to_owned(),
            Method::Mxfp4 => "mxfp4".to_owned(),
        }
    }

    /// The tensors in whose form a parameter is stored; none if it is left as it is.
    pub(crate) fn parts(&self, row: &Row<'_>, tensor: &ParameterTensor) -> Option<Vec<Part>> {
        if self.is_skipped(&row.path) {
            return None;
        }
        if self.method == Method::Mxfp4 {
            return experts(&tensor.shape).filter(|_| row.step.kind() == "Parameter");
        }
        let is_weight = is_linear(row) && tensor.name == "weight";
        let [leading @ .., rows, columns] = &tensor.shape[..] else { return None };
        let parts = self.linear(*rows, *columns).filter(|_| is_weight)?;
        let stacked = parts
            .into_iter()
            .map(|(name, dtype, shape)| (name, dtype, [leading, &shape[..]].concat()));
        Some(stacked.collect())
    }

    /// The tensors of a linear layer's weight `[rows, columns]`.
    fn linear(&self, rows: u64, columns: u64) -> Option<Vec<Part>> {
        let part = |name: &'static str, dtype, shape: &[u64]| (name.into(), dtype, shape.to_vec());
        // What does not fit in 64 bits is left as it is; its size was reported.
        let words = |size: u64, bits: u64| Some(size.checked_mul(bits)?.div_ceil(32));
        let groups = |group: Option<u64>| columns.div_ceil(group.unwrap_or(columns).max(1));
        let numel = rows.checked_mul(columns)?;
        Some(match &self.method {
            Method::Gptq { bits, group } => vec![
                part("qweight", "i32", &[words(columns, *bits)?, rows]),
                part("qzeros", "i32", &[groups(*group), words(rows, *bits)?]),
                part("scales", "f16", &[groups(*group), rows]),
                part("g_idx", "i32", &[columns]),
            ],
            Method::Awq { bits, group } => vec![
                part("qweight", "i32", &[columns, words(rows, *bits)?]),
                part("qzeros", "i32", &[groups(*group), words(rows, *bits)?]),
                part("scales", "f16", &[groups(*group), rows]),
            ],
            Method::Int8 => {
                vec![part("weight", "i8", &[rows, columns]), part("SCB", "f32", &[rows])]
            }
            Method::FourBit { double, .. } => {
                let blocks = numel.div_ceil(FOUR_BIT_BLOCK);
                let mut parts = vec![
                    part("weight", "u8", &[numel.div_ceil(2), 1]),
                    part("weight.absmax", if *double { "u8" } else { "f32" }, &[blocks]),
                    part("weight.quant_map", "f32", &[16]),
                ];
                if *double {
                    let nested = blocks.div_ceil(NESTED_BLOCK);
                    parts.push(part("weight.nested_absmax", "f32", &[nested]));
                    parts.push(part("weight.nested_quant_map", "f32", &[256]));
                }
                parts
            }
            Method::Fp8 { block: (high, wide) } => vec![
                part("weight", "f8e4m3", &[rows, columns]),
                part(
                    "weight_scale_inv",
                    "f32",
                    &[rows.div_ceil(*high.max(&1)), columns.div_ceil(*wide.max(&1))],
                ),
            ],
            Method::Mxfp4 => return None,
        })
    }

    /// What says how the others are to be read: it is short, and not always there.
    pub(crate) fn notes(&self) -> Option<String> {
        match &self.method {
            Method::Int8 => Some("weight_format".to_owned()),
            Method::FourBit { kind, .. } => {
                Some(format!("weight.quant_state.bitsandbytes__{kind}"))
            }
            _ => None,
        }
    }

    fn is_skipped(&self, path: &str) -> bool {
        // Only what is repeated is a block that GPTQ goes through.
        let is_block = || path.split('.').any(|segment| segment.parse::<u64>().is_ok());
        let named = self.skipped.iter().any(|module| names(module, path));
        named || (matches!(self.method, Method::Gptq { .. }) && !is_block())
    }
}

/// The tensors of experts `[n, inputs, outputs]` in MXFP4, which are stored the other way round.
fn experts(shape: &[u64]) -> Option<Vec<Part>> {
    let [experts, inputs, outputs] = shape else { return None };
    let blocks = inputs.div_ceil(MXFP4_BLOCK);
    let scales = vec![*experts, *outputs, blocks];
    let packed = [&scales[..], &[MXFP4_BLOCK / 2]].concat();
    Some(vec![("_blocks".into(), "u8", packed), ("_scales".into(), "u8", scales)])
}

fn is_linear(row: &Row<'_>) -> bool {
    row.step.kind() == "Linear"
}

/// Whether a name of a module, in which `*` is any segment, stands in a path.
fn names(module: &str, path: &str) -> bool {
    let module: Vec<&str> = module.split('.').collect();
    let path: Vec<&str> = path.split('.').collect();
    path.windows(module.len()).any(|window| {
        window.iter().zip(&module).all(|(one, wanted)| *wanted == "*" || one == wanted)
    })
}

/// The keys of `quantization_config`.
struct Keys<'k>(&'k [ConfiguredArgument]);

impl Keys<'_> {
    fn find(&self, name: &str) -> Option<&ConfiguredArgument> {
        let is_it = |found: &&ConfiguredArgument| {
            found.name.strip_prefix("quantization_config.").is_some_and(|found| found == name)
        };
        self.0.iter().rev().find(is_it)
    }

    fn value(&self, name: &str) -> Option<Value> {
        self.find(name).map(|found| parse_value(&found.value))
    }

    fn place(&self, name: &str) -> Option<crate::Place> {
        self.find(name)?.at.map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::Text(text) => Some(text.to_string()),
            _ => None,
        }
    }

    fn int(&self, name: &str) -> Option<i64> {
        match self.value(name)? {
            Value::Int(value) => Some(value),
            _ => None,
        }
    }

    fn is_true(&self, name: &str) -> bool {
        self.value(name) == Some(Value::Bool(true))
    }

    fn list(&self, name: &str) -> Vec<String> {
        let Some(Value::List(items)) = self.value(name) else { return Vec::new() };
        let texts = items.iter().filter_map(|item| match item {
            Value::Text(text) => Some(text.to_string()),
            _ => None,
        });
        texts.collect()
    }

    fn pair(&self, name: &str) -> Option<(u64, u64)> {
        let Value::List(items) = self.value(name)? else { return None };
        match &items[..] {
            [Value::Int(high), Value::Int(wide)] => {
                Some((u64::try_from(*high).ok()?, u64::try_from(*wide).ok()?))
            }
            _ => None,
        }
    }
}
