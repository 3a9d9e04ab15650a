//! What each layer that owns nothing is as operations on Candle's tensors.

use std::any::Any;

use layers::{
    Shape,
    operators::{Arithmetic, Index, IndexItem, Operator},
};

use super::{
    arguments::{SizeOf, Used, dtype, float, from_front, rust_float, tuple, whole},
    varies,
};
use crate::{
    export::{
        naming::Written,
        sizes::AtSizes,
        unit::{LayerStep, layer_of},
    },
    template::Template,
};

/// Operations as they are written.
#[derive(Debug)]
pub(super) struct Function {
    pub text: Template,
    /// It is a name or field that is lent, as the operand that it gives unchanged.
    pub is_lent: bool,
    /// The helper that it needs.
    pub helper: Option<&'static str>,
}

/// The layer as a function of its operands; `given` are the tensors that are its parameters, `device` is a
/// tensor that lies where new ones should.
///
/// # Errors
/// Why Candle has none.
pub(super) fn function(
    step: &LayerStep<'_>,
    operands: &[Written],
    given: &[(String, Written)],
    device: Option<&str>,
    size_of: &mut SizeOf<'_>,
) -> Result<Function, String> {
    let used = Used::of(step)?;
    let mut writer = Writer { used, operands, device, size_of };
    let layer: &dyn Any = &*writer.used.layer.layer;
    if let Some(arithmetic) = layer.downcast_ref::<Arithmetic>() {
        return writer.arithmetic(arithmetic);
    }
    if let Some(index) = layer.downcast_ref::<Index>() {
        return writer.index(index);
    }
    if !writer.used.layer.parameters.is_empty() || !given.is_empty() {
        return writer.with_parameters(given);
    }
    writer.named()
}

/// An operand where a reference is wanted.
pub(super) fn lent(operand: &Written) -> Template {
    if operand.is_lent {
        return operand.text.clone();
    }
    let mut text = Template::text("&");
    text.append(operand.text.clone());
    text
}

struct Writer<'w, 'm> {
    used: Used<'m>,
    operands: &'w [Written],
    device: Option<&'w str>,
    size_of: &'w mut SizeOf<'w>,
}

type Found = Result<Function, String>;

fn plain(text: Template) -> Found {
    Ok(Function { text, is_lent: false, helper: None })
}

impl Writer<'_, '_> {
    fn first(&self) -> Result<&Written, String> {
        self.operands.first().ok_or_else(|| "it takes no tensor".to_owned())
    }

    /// `x.name(arguments)?`
    fn method(&self, name: &str, arguments: Vec<Template>) -> Found {
        plain(method(self.first()?.text.clone(), name, arguments))
    }

    /// A method that gives another view, made whole: what comes after may want that.
    fn view(&self, name: &str, arguments: Vec<Template>) -> Found {
        let view = method(self.first()?.text.clone(), name, arguments);
        plain(method(view, "contiguous", Vec::new()))
    }

    /// `name(&x, &y, arguments)?`
    fn called(&self, name: &str, arguments: Vec<Template>) -> Template {
        let mut text = Template::text(format!("{name}("));
        let operands = self.operands.iter().map(lent);
        text.append(Template::joined(operands.chain(arguments), ", "));
        text.push(")?");
        text
    }

    fn helped(&self, name: &'static str, arguments: Vec<Template>) -> Found {
        Ok(Function { text: self.called(name, arguments), is_lent: false, helper: Some(name) })
    }

    /// A size: a number, or an expression of sizes that are at hand.
    fn size(&mut self, name: &str, values: &AtSizes<u64>) -> Result<Template, String> {
        if values.is_constant() {
            return Ok(whole(name, values.shown()));
        }
        let all: Option<_> = values.0.iter().map(|value| i64::try_from(*value).ok()).collect();
        all.and_then(|all| (self.size_of)(&AtSizes(all))).ok_or_else(varies)
    }

    /// The sizes of a shape; Candle finds one itself.
    fn sizes(
        &mut self,
        shapes: &AtSizes<Shape>,
        may_leave_out: bool,
    ) -> Result<Vec<Template>, String> {
        let rank = shapes.shown().len();
        let mut is_left_out = !may_leave_out || !(2..=5).contains(&rank);
        let mut sizes = Vec::new();
        for dim in 0..rank {
            match self.size("shape", &shapes.map(|shape| shape[dim])) {
                Ok(size) => sizes.push(size),
                Err(_) if !is_left_out => {
                    is_left_out = true;
                    sizes.push(Template::text("()"));
                }
                Err(reason) => return Err(reason),
            }
        }
        Ok(sizes)
    }

    /// `x.reshape((n, c))?`, to the shape of the output.
    fn reshaped(&mut self) -> Found {
        let shapes = self.used.output(0);
        let sizes = self.sizes(&shapes, true)?;
        self.method("reshape", vec![tuple(sizes)])
    }

    fn numbers(dims: &[usize]) -> Template {
        let is_one = dims.len() == 1;
        let texts = dims.iter().map(|dim| Template::text(dim.to_string()));
        if is_one { Template::joined(texts, "") } else { tuple(texts.collect()) }
    }

    /// Layers without parameters.
    fn named(&mut self) -> Found {
        let kind = self.used.layer.kind;
        match kind {
            "Identity" | "Dropout" | "Dropout1d" | "Dropout2d" | "AlphaDropout"
            | "StochasticDepth" => self.unchanged(),
            "KvCache" if self.used.int("past")? == 0 => self.unchanged(),
            "KvCache" => {
                let dim = self.used.rank()?.saturating_sub(2).to_string();
                let past = whole("past", self.used.int("past")?);
                self.method("pad_with_zeros", vec![Template::text(dim), past, "0".into()])
            }
            "Reshape" | "Unflatten" | "Squeeze" => self.reshaped(),
            "Flatten" => {
                let (start, end) = (self.used.dim("start_dim")?, self.used.dim("end_dim")?);
                let dims = [start, end].map(|dim| Template::text(dim.to_string()));
                match end + 1 == self.used.rank()? {
                    true => self.method("flatten_from", dims[..1].to_vec()),
                    false => self.method("flatten", dims.to_vec()),
                }
            }
            "Unsqueeze" => {
                let dim = from_front(self.used.int("dim")?, self.used.rank()? + 1)?;
                self.method("unsqueeze", vec![dim.to_string().into()])
            }
            "Transpose" => {
                let dims = [self.used.dim("dim0")?, self.used.dim("dim1")?];
                self.view("transpose", dims.map(|dim| dim.to_string().into()).to_vec())
            }
            "Permute" => {
                let dims = Self::numbers(&self.used.dims("dims")?);
                // Dimensions are taken as an array too.
                let dims = Template::text(dims.plain().replace("&[", "["));
                self.view("permute", vec![dims])
            }
            "Expand" => {
                let shapes = self.used.output(0);
                let sizes = self.sizes(&shapes, false)?;
                self.view("broadcast_as", vec![tuple(sizes)])
            }
            "Repeat" => {
                let times = self.used.sizes("sizes")?;
                if times.len() != self.used.rank()? {
                    return Err("it repeats along dimensions that are not there".to_owned());
                }
                let times: Result<Vec<Template>, String> =
                    times.iter().map(|times| self.size("sizes", times)).collect();
                self.method("repeat", vec![tuple(times?)])
            }
            "RepeatInterleave" => {
                let (repeats, dim) = (self.used.int("repeats")?, self.used.dim("dim")?);
                self.helped(
                    "repeat_interleave",
                    vec![whole("repeats", repeats), dim.to_string().into()],
                )
            }
            "Chunk" | "Split" => self.split(),
            "Roll" => self.roll(),
            "Cat" | "Stack" => {
                let list = Template::joined(self.operands.iter().map(lent), ", ");
                let mut text = Template::text(format!("Tensor::{}(&[", kind.to_ascii_lowercase()));
                text.append(list);
                let rank = self.used.rank()? + usize::from(kind == "Stack");
                text.push(&format!("], {})?", from_front(self.used.int("dim")?, rank)?));
                plain(text)
            }
            "Pad" => self.pad(),
            "Exp" | "Log" | "Sqrt" | "Abs" | "Sin" | "Cos" | "Tanh" => {
                self.method(&kind.to_ascii_lowercase(), Vec::new())
            }
            "Rsqrt" => plain(method(
                method(self.first()?.text.clone(), "sqrt", Vec::new()),
                "recip",
                Vec::new(),
            )),
            "Pow" => self.method("powf", vec![float("exponent", self.used.float("exponent")?)]),
            "Clamp" => self.clamp(),
            "Mean" | "Sum" | "Max" | "Min" => self.reduction(),
            "ArgMax" => {
                let name = if self.used.is_on("keepdim") { "argmax_keepdim" } else { "argmax" };
                let dim = self.used.dim("dim")?;
                let found = self.method(name, vec![dim.to_string().into()])?;
                plain(method(found.text, "to_dtype", vec!["DType::I64".into()]))
            }
            "CumSum" => self.helped("cumsum", vec![self.used.dim("dim")?.to_string().into()]),
            "TopK" => {
                if self.used.dim("dim")? + 1 != self.used.rank()? || !self.used.is_on("largest") {
                    return Err("only the largest of the last dimension are found here".to_owned());
                }
                self.helped("topk", vec![whole("k", self.used.int("k")?)])
            }
            "Norm" => self.norm(),
            "Arange" => {
                let ends = self.used.output(0).map(|shape| shape[0]);
                let end = match ends.is_constant() {
                    true => Template::text(ends.shown().to_string()),
                    false => {
                        let mut end = Template::text("(");
                        end.append(self.size("end", &ends)?);
                        end.push(") as i64");
                        end
                    }
                };
                let device =
                    self.device.ok_or("no tensor is at hand, whose device it could use")?;
                let mut text = Template::text("Tensor::arange(0i64, ");
                text.append(end);
                text.push(&format!(", {device}.device())?"));
                plain(text)
            }
            "Where" => self.helped("select", Vec::new()),
            "Gather" => {
                let [input, index] = self.operands else { return Err(varies()) };
                let index = method(index.text.clone(), "contiguous", Vec::new());
                let mut lent = Template::text("&");
                lent.append(index);
                let dim = self.used.dim("dim")?.to_string();
                plain(method(input.text.clone(), "gather", vec![lent, dim.into()]))
            }
            "OneHot" => {
                let classes = self.used.output(0).map(|shape| shape[shape.len() - 1]);
                let classes = self.size("num_classes", &classes)?;
                let mut text = Template::text("candle_nn::encoding::one_hot(");
                text.append(owned(self.first()?));
                text.push(", ");
                text.append(classes);
                text.push(", 1i64, 0i64)?");
                plain(text)
            }
            "Activation" => {
                let name = self.used.text("name")?;
                self.activation(&name)
            }
            "ScaledDotProductAttention" => self.attention(),
            "RotaryEmbedding" => self.rotary_embedding(),
            "RelativePositionBuckets" => self.relative_position_buckets(),
            "SelectiveScan" => {
                let d = match self.operands.len() {
                    5 => Template::text("None"),
                    _ => {
                        let mut text = Template::text("Some(");
                        text.append(lent(&self.operands[5]));
                        text.push(")");
                        text
                    }
                };
                let operands = self.operands[..5].iter().map(lent);
                let softplus = Template::text(self.used.is_on("delta_softplus").to_string());
                let mut text = Template::text("selective_scan(");
                text.append(Template::joined(operands.chain([d, softplus]), ", "));
                text.push(")?");
                Ok(Function { text, is_lent: false, helper: Some("selective_scan") })
            }
            "WeightedSum" => {
                let [weights, indices, outputs @ ..] = self.operands else { return Err(varies()) };
                let list = match outputs {
                    [one] if one.is_lent => one.text.clone(),
                    all => {
                        let mut text = Template::text("&[");
                        text.append(Template::joined(all.iter().map(owned), ", "));
                        text.push("]");
                        text
                    }
                };
                let mut text = Template::text("weighted_sum(");
                text.append(Template::joined([lent(weights), lent(indices), list], ", "));
                text.push(")?");
                Ok(Function { text, is_lent: false, helper: Some("weighted_sum") })
            }
            "ChannelShuffle" => {
                let groups = whole("groups", self.used.int("groups")?);
                self.helped("channel_shuffle", vec![groups])
            }
            "PixelShuffle" | "PixelUnshuffle" => {
                let (name, argument) = match kind {
                    "PixelShuffle" => ("candle_nn::ops::pixel_shuffle", "upscale_factor"),
                    _ => ("candle_nn::ops::pixel_unshuffle", "downscale_factor"),
                };
                let factor = whole(argument, self.used.int(argument)?);
                plain(self.called(name, vec![factor]))
            }
            "Interpolate" | "Upsample" | "UpsamplingNearest2d" | "UpsamplingBilinear2d" => {
                self.interpolate()
            }
            "MaxPool2d" | "AvgPool2d" => self.pool(),
            "AdaptiveAvgPool2d" | "AdaptiveMaxPool2d" => self.adaptive_pool(),
            _ => self.activation(kind),
        }
    }

    fn unchanged(&self) -> Found {
        let operand = self.first()?;
        Ok(Function { text: operand.text.clone(), is_lent: operand.is_lent, helper: None })
    }

    /// Activations by the names of layers and of configs.
    fn activation(&self, name: &str) -> Found {
        let ops = |name: &str| plain(self.called(&format!("candle_nn::ops::{name}"), Vec::new()));
        let twice = |first: &str, second: &str| {
            let inner = method(self.first()?.text.clone(), first, Vec::new());
            plain(method(inner, second, Vec::new()))
        };
        match name {
            "ReLU" | "relu" => self.method("relu", Vec::new()),
            "relu2" => twice("relu", "sqr"),
            "ReLU6" | "relu6" => self.method("clamp", vec!["0f64".into(), "6f64".into()]),
            "GELU" if self.used.text("approximate")? == "none" => {
                self.method("gelu_erf", Vec::new())
            }
            "gelu" | "gelu_python" => self.method("gelu_erf", Vec::new()),
            "GELU" | "gelu_new" | "gelu_fast" | "gelu_accurate" | "gelu_python_tanh"
            | "gelu_pytorch_tanh" => self.method("gelu", Vec::new()),
            "quick_gelu" => self.helped("quick_gelu", Vec::new()),
            "SiLU" | "silu" | "swish" => self.method("silu", Vec::new()),
            "Sigmoid" | "sigmoid" => ops("sigmoid"),
            "tanh" => self.method("tanh", Vec::new()),
            "Mish" | "mish" => ops("mish"),
            "Hardsigmoid" => ops("hard_sigmoid"),
            "Hardswish" => self.helped("hardswish", Vec::new()),
            "Softplus" if self.used.float("beta")? == 1.0 => self.helped("softplus", Vec::new()),
            "linear" => self.unchanged(),
            "LeakyReLU" => {
                let slope = float("negative_slope", self.used.float("negative_slope")?);
                plain(self.called("candle_nn::ops::leaky_relu", vec![slope]))
            }
            "ELU" => self.method("elu", vec![float("alpha", self.used.float("alpha")?)]),
            "Softmax" | "LogSoftmax" => {
                let dim = self.used.dim("dim")?;
                let name = if name == "Softmax" { "softmax" } else { "log_softmax" };
                let text = format!("candle_nn::ops::{name}");
                plain(self.called(&text, vec![dim.to_string().into()]))
            }
            _ => Err("Candle has nothing of its kind, nor does the exporter".to_owned()),
        }
    }

    /// Both give views, whose places are known.
    fn split(&mut self) -> Found {
        let dim = self.used.dim("dim")?;
        let count = self.used.step.shown().outputs.len();
        let mut parts = Vec::new();
        let mut starts = self.used.step.map(|_| 0u64);
        for index in 0..count {
            let lengths = self.used.output(index).map(|shape| shape[dim]);
            let (start, length) = (self.size("start", &starts)?, self.size("length", &lengths)?);
            let ends = starts.0.iter().zip(&lengths.0).map(|(start, length)| start + length);
            starts = AtSizes(ends.collect());
            parts.push(self.view("narrow", vec![dim.to_string().into(), start, length])?.text);
        }
        if let [one] = &parts[..] {
            return plain(one.clone());
        }
        let mut text = Template::text("(\n    ");
        text.append(Template::joined(parts, ",\n    "));
        text.push(",\n)");
        plain(text)
    }

    fn roll(&mut self) -> Found {
        let (shifts, dims) = (self.used.ints("shifts")?, self.used.dims("dims")?);
        if shifts.len() != dims.len() {
            return Err("it rolls a tensor as if it had one dimension".to_owned());
        }
        let mut text = self.first()?.text.clone();
        for (shift, dim) in shifts.iter().zip(&dims) {
            text = method(text, "roll", vec![whole("shift", shift), dim.to_string().into()]);
        }
        plain(text)
    }

    fn pad(&mut self) -> Found {
        let mode = self.used.text("mode")?;
        if mode != "constant" || (self.used.has("value") && self.used.float("value")? != 0.0) {
            return Err("Candle pads with zeros only".to_owned());
        }
        let pad = self.used.sizes("pad")?;
        let rank = self.used.rank()?;
        let mut text = self.first()?.text.clone();
        for (axis, amounts) in pad.chunks_exact(2).enumerate() {
            let amounts = [self.size("pad", &amounts[0])?, self.size("pad", &amounts[1])?];
            if amounts.iter().all(|amount| amount.plain() == "0") {
                continue;
            }
            let dim = Template::text((rank - 1 - axis).to_string());
            text = method(text, "pad_with_zeros", [dim].into_iter().chain(amounts).collect());
        }
        plain(text)
    }

    fn clamp(&mut self) -> Found {
        let bound = |name: &str| -> Result<Option<Template>, String> {
            if !self.used.has(name) {
                return Ok(None);
            }
            Ok(Some(float(name, self.used.float(name)?)))
        };
        match (bound("min")?, bound("max")?) {
            (Some(min), Some(max)) => self.method("clamp", vec![min, max]),
            (Some(min), None) => self.method("maximum", vec![min]),
            (None, Some(max)) => self.method("minimum", vec![max]),
            (None, None) => self.unchanged(),
        }
    }

    fn reduction(&mut self) -> Found {
        let name = self.used.layer.kind.to_ascii_lowercase();
        let keeps = self.used.is_on("keepdim");
        let dims = self.used.dims("dim")?;
        let name = if keeps { format!("{name}_keepdim") } else { name };
        if self.used.layer.kind == "Max" || self.used.layer.kind == "Min" {
            let mut text = self.first()?.text.clone();
            let mut dims = dims;
            dims.sort_unstable_by(|left, right| right.cmp(left));
            for dim in dims {
                text = method(text, &name, vec![dim.to_string().into()]);
            }
            return plain(text);
        }
        self.method(&name, vec![Self::numbers(&dims)])
    }

    fn norm(&mut self) -> Found {
        if self.used.float("p")? != 2.0 {
            return Err("only the Euclidean norm is written here".to_owned());
        }
        let name = if self.used.is_on("keepdim") { "sum_keepdim" } else { "sum" };
        let dims = Self::numbers(&self.used.dims("dim")?);
        let squares = method(self.first()?.text.clone(), "sqr", Vec::new());
        plain(method(method(squares, name, vec![dims]), "sqrt", Vec::new()))
    }

    fn attention(&mut self) -> Found {
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

    fn rotary_embedding(&mut self) -> Found {
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

    fn relative_position_buckets(&mut self) -> Found {
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

    fn interpolate(&mut self) -> Found {
        let kind = self.used.layer.kind;
        let mode = match kind {
            "UpsamplingNearest2d" => "nearest".to_owned(),
            "UpsamplingBilinear2d" => "bilinear".to_owned(),
            _ => self.used.text("mode")?,
        };
        if self.used.rank()? != 4 || self.used.is_on("antialias") {
            return Err("Candle resizes pictures only, without antialiasing".to_owned());
        }
        let aligns = kind == "UpsamplingBilinear2d" || self.used.is_on("align_corners");
        let shapes = self.used.output(0);
        let mut sizes = vec![
            self.size("height", &shapes.map(|shape| shape[2]))?,
            self.size("width", &shapes.map(|shape| shape[3]))?,
        ];
        match mode.as_str() {
            "nearest" => self.method("upsample_nearest2d", sizes),
            "bilinear" => {
                sizes.push(Template::text(aligns.to_string()));
                self.method("upsample_bilinear2d", sizes)
            }
            other => Err(format!("Candle has no `{other}`")),
        }
    }

    fn pool(&mut self) -> Found {
        let is_max = self.used.layer.kind == "MaxPool2d";
        if self.used.rank()? != 4 {
            return Err("Candle's pools take batches only".to_owned());
        }
        let kernel = self.used.per_axis::<2>("kernel_size")?;
        let stride = if self.used.has("stride") { self.used.per_axis("stride")? } else { kernel };
        let padding = self.used.per_axis::<2>("padding")?;
        if is_max && self.used.per_axis::<2>("dilation")? != [1, 1] {
            return Err("Candle's pools have no dilation".to_owned());
        }
        if !is_max && self.used.has("divisor_override") {
            return Err("Candle's pools divide by the number of elements".to_owned());
        }
        let pair = |name: &'static str, [height, width]: [i64; 2]| match height == width {
            true => whole(name, height),
            false => tuple([height, width].map(|size| whole(name, size)).to_vec()),
        };
        let is_plain = padding == [0, 0] && !self.used.is_on("ceil_mode");
        let name = if is_max { "max_pool2d" } else { "avg_pool2d" };
        if is_plain && kernel == stride {
            return self.method(name, vec![pair("kernel_size", kernel)]);
        }
        if is_plain {
            let sizes = vec![pair("kernel_size", kernel), pair("stride", stride)];
            return self.method(&format!("{name}_with_stride"), sizes);
        }
        let both = |name: &'static str, sizes: [i64; 2]| {
            tuple(sizes.map(|size| whole(name, size)).to_vec())
        };
        let mut arguments = vec![
            both("kernel_size", kernel),
            both("stride", stride),
            both("padding", padding),
            Template::text(self.used.is_on("ceil_mode").to_string()),
        ];
        if is_max {
            return self.helped("max_pool2d", arguments);
        }
        arguments.push(Template::text(self.used.is_on("count_include_pad").to_string()));
        self.helped("avg_pool2d", arguments)
    }

    fn adaptive_pool(&mut self) -> Found {
        let is_max = self.used.layer.kind == "AdaptiveMaxPool2d";
        let rank = self.used.rank()?;
        let shapes = self.used.output(0);
        let sizes = [rank - 2, rank - 1].map(|dim| shapes.map(|shape| shape[dim]));
        let is_one = sizes.iter().all(|size| size.is_constant() && *size.shown() == 1);
        if is_one && is_max {
            let rows = self.method("max_keepdim", vec![(rank - 1).to_string().into()])?;
            return plain(method(rows.text, "max_keepdim", vec![(rank - 2).to_string().into()]));
        }
        if is_one {
            return self.method("mean_keepdim", vec![Self::numbers(&[rank - 2, rank - 1])]);
        }
        if is_max {
            return Err("Candle has no adaptive pool of more than one".to_owned());
        }
        let [height, width] = sizes;
        let arguments = vec![self.size("height", &height)?, self.size("width", &width)?];
        self.helped("adaptive_avg_pool2d", arguments)
    }

    /// An operand as a number of the output's kind.
    fn converted(&self, place: usize) -> Result<Written, String> {
        let operand = &self.operands[place];
        let (own, wanted) = (self.used.input(place)?.dtype, self.used.output_dtype());
        if own == wanted {
            return Ok(operand.clone());
        }
        // The dtype of the other operand, which may be another one where the module is used.
        let inputs = self.used.step.shown().inputs.iter().enumerate();
        let other =
            inputs.filter(|(_, input)| input.ty.dtype == wanted).map(|(other, _)| other).next();
        let to = match other {
            Some(other) => {
                let mut text = self.operands[other].text.clone();
                text.push(".dtype()");
                text
            }
            None => Template::text(dtype(wanted)?),
        };
        let text = method(operand.text.clone(), "to_dtype", vec![to]);
        Ok(Written::simple(text))
    }

    fn arithmetic(&mut self, arithmetic: &Arithmetic) -> Found {
        if let Some(number) = arithmetic.number {
            return self.with_number(arithmetic.operator, number.is_first);
        }
        if arithmetic.operator == Operator::Neg {
            return self.method("neg", Vec::new());
        }
        if arithmetic.operator == Operator::MatMul {
            return self.matmul();
        }
        let (left, right) = (self.converted(0)?, self.converted(1)?);
        let shapes = |place: usize| self.used.step.map(|step| step.inputs[place].ty.shape.clone());
        let is_same = shapes(0) == shapes(1);
        let symbol = arithmetic.operator.symbol();
        if arithmetic.operator == Operator::Pow {
            return plain(method(left.text.clone(), "broadcast_pow", vec![lent(&right)]));
        }
        if is_same {
            let mut text = Template::text("(");
            text.append(Template::joined([lent(&left), lent(&right)], &format!(" {symbol} ")));
            text.push(")?");
            return plain(text);
        }
        let name = match arithmetic.operator {
            Operator::Add => "broadcast_add",
            Operator::Sub => "broadcast_sub",
            Operator::Mul => "broadcast_mul",
            _ => "broadcast_div",
        };
        plain(method(left.text.clone(), name, vec![lent(&right)]))
    }

    fn matmul(&mut self) -> Found {
        let ranks = [self.used.input(0)?.shape.len(), self.used.input(1)?.shape.len()];
        if ranks.contains(&1) {
            return Err(
                "Candle multiplies matrices only; give the vector a dimension of one".to_owned()
            );
        }
        let right = &self.operands[1];
        let leading = |place: usize| {
            self.used.step.map(|step| {
                let shape = &step.inputs[place].ty.shape;
                shape[..shape.len() - 2].to_vec()
            })
        };
        let name = if leading(0) == leading(1) { "matmul" } else { "broadcast_matmul" };
        plain(method(self.operands[0].text.clone(), name, vec![lent(right)]))
    }

    fn with_number(&mut self, operator: Operator, is_first: bool) -> Found {
        let values: Option<_> = self
            .used
            .step
            .0
            .iter()
            .map(|step| {
                let layer: &dyn Any = &*layer_of(step)?.layer;
                Some(layer.downcast_ref::<Arithmetic>()?.number?.value)
            })
            .collect();
        let values = AtSizes(values.ok_or_else(varies)?);
        let number = match values.is_constant() {
            true => float("factor", *values.shown()),
            false => {
                let whole =
                    values.0.iter().map(|value| (value.fract() == 0.0).then_some(*value as i64));
                let whole: Option<_> = whole.collect();
                let size = whole.and_then(|whole| (self.size_of)(&AtSizes(whole)));
                let mut text = Template::text("(");
                text.append(size.ok_or_else(varies)?);
                text.push(") as f64");
                text
            }
        };
        let mut operand = self.first()?.clone();
        let (own, wanted) = (self.used.input(0)?.dtype, self.used.output_dtype());
        if own != wanted {
            let text = method(operand.text, "to_dtype", vec![dtype(wanted)?.into()]);
            operand = Written::simple(text);
        }
        if operator == Operator::Pow && !is_first {
            return plain(match *values.shown() {
                2.0 if values.is_constant() => method(operand.text, "sqr", Vec::new()),
                _ => method(operand.text, "powf", vec![number]),
            });
        }
        if operator == Operator::Pow {
            // b ** x is e ** (x * ln b).
            let base = rust_float(values.shown().ln());
            let mut text = Template::text("(");
            text.append(lent(&operand));
            text.push(&format!(" * {base})?"));
            return plain(method(text, "exp", Vec::new()));
        }
        let symbol = operator.symbol();
        let sides = if is_first { [number, lent(&operand)] } else { [lent(&operand), number] };
        let mut text = Template::text("(");
        text.append(Template::joined(sides, &format!(" {symbol} ")));
        text.push(")?");
        plain(text)
    }

    fn index(&mut self, index: &Index) -> Found {
        let steps = self.used.step.clone();
        let item = |place: usize| -> Result<AtSizes<IndexItem>, String> {
            let items: Option<_> = steps
                .0
                .iter()
                .map(|step| {
                    let layer: &dyn Any = &*layer_of(step)?.layer;
                    layer.downcast_ref::<Index>()?.0.get(place).copied()
                })
                .collect();
            Ok(AtSizes(items.ok_or_else(varies)?))
        };
        let shapes = steps.map(|step| step.inputs[0].ty.shape.clone());
        let rank = shapes.shown().len();
        let taken =
            index.0.iter().filter(|item| !matches!(item, IndexItem::NewAxis | IndexItem::Rest));
        let (taken, index_count) = (taken.count(), index.0.len());
        let mut text = self.first()?.text.clone();
        let mut is_view = false;
        // The dimension of the input that comes next, and that of what has been made of it.
        let (mut from, mut to) = (0, 0);
        for (place, shown) in index.0.iter().enumerate() {
            match shown {
                IndexItem::NewAxis => {
                    text = method(text, "unsqueeze", vec![to.to_string().into()]);
                    to += 1;
                }
                IndexItem::Rest => {
                    from += rank - taken;
                    to += rank - taken;
                }
                IndexItem::Tensor => {
                    let index = self.operands.get(1).ok_or_else(varies)?;
                    let ranks = self.used.input(1)?.shape.len();
                    let list = match ranks {
                        1 => lent(index),
                        _ => {
                            let mut list = Template::text("&");
                            list.append(method(index.text.clone(), "flatten_all", Vec::new()));
                            list
                        }
                    };
                    text = method(text, "index_select", vec![list, to.to_string().into()]);
                    if ranks != 1 {
                        if place + 1 != index_count {
                            return Err("a table of places comes last here".to_owned());
                        }
                        let shapes = self.used.output(0);
                        let sizes = self.sizes(&shapes, true)?;
                        text = method(text, "reshape", vec![tuple(sizes)]);
                    }
                    (from, to) = (from + 1, to + 1);
                }
                IndexItem::At(_) => {
                    let all = item(place)?;
                    let places = all.0.iter().zip(&shapes.0).map(|(item, shape)| match item {
                        IndexItem::At(at) => from_end(*at, shape[from]),
                        _ => None,
                    });
                    let places: Option<_> = places.collect();
                    let at = self.size("index", &AtSizes(places.ok_or_else(varies)?))?;
                    text = method(text, "get_on_dim", vec![to.to_string().into(), at]);
                    is_view |= to > 0;
                    from += 1;
                }
                IndexItem::Slice(_, _, step) => {
                    let all = item(place)?;
                    let bounds = all.0.iter().zip(&shapes.0).map(|(item, shape)| match item {
                        IndexItem::Slice(start, stop, step) => {
                            slice_bounds(*start, *stop, *step, shape[from])
                        }
                        _ => None,
                    });
                    let bounds: Option<Vec<(u64, u64)>> = bounds.collect();
                    let bounds = bounds.ok_or_else(varies)?;
                    let starts = AtSizes(bounds.iter().map(|(start, _)| *start).collect());
                    let lengths = AtSizes(bounds.iter().map(|(_, length)| *length).collect());
                    let is_all = bounds
                        .iter()
                        .zip(&shapes.0)
                        .all(|(bounds, shape)| *bounds == (0, shape[from]));
                    if !is_all {
                        let (start, length) =
                            (self.size("start", &starts)?, self.size("length", &lengths)?);
                        text = if *step == 1 {
                            is_view |= to > 0;
                            method(text, "narrow", vec![to.to_string().into(), start, length])
                        } else {
                            let mut every = Template::text("every(&");
                            every.append(text);
                            every.push(&format!(", {to}, "));
                            every.append(Template::joined([start, length], ", "));
                            every.push(&format!(", {step})?"));
                            every
                        };
                    }
                    (from, to) = (from + 1, to + 1);
                }
            }
        }
        let helper = text.plain().contains("every(&").then_some("every");
        if is_view {
            text = method(text, "contiguous", Vec::new());
        }
        let operand = self.first()?;
        let is_lent = text == operand.text && operand.is_lent;
        Ok(Function { text, is_lent, helper })
    }

    /// Layers whose parameters are tensors that are given.
    fn with_parameters(&mut self, given: &[(String, Written)]) -> Found {
        let tensor = |name: &str| given.iter().find(|(known, _)| known == name).map(|(_, one)| one);
        let weight =
            || tensor("weight").map(owned).ok_or_else(|| "its weight is not given".to_owned());
        let option = |name: &str| match tensor(name) {
            Some(one) => {
                let mut text = Template::text("Some(");
                text.append(owned(one));
                text.push(")");
                text
            }
            None => Template::text("None"),
        };
        let made = |name: &str, arguments: Vec<Template>| {
            let mut text = Template::text(format!("candle_nn::{name}::new("));
            text.append(Template::joined(arguments, ", "));
            text.push(")");
            text
        };
        let module = match self.used.layer.kind {
            "Linear" => made("Linear", vec![weight()?, option("bias")]),
            "Embedding" => {
                let width = whole("embedding_dim", self.used.int("embedding_dim")?);
                made("Embedding", vec![weight()?, width])
            }
            "RMSNorm" if !self.used.has("offset") || self.used.float("offset")? == 0.0 => {
                let eps = if self.used.has("eps") {
                    self.used.float("eps")?
                } else {
                    f64::from(f32::EPSILON)
                };
                made("RmsNorm", vec![weight()?, float("eps", eps)])
            }
            "Conv1d" => {
                let config = super::modules::conv1d_config(&self.used)?;
                made("Conv1d", vec![weight()?, option("bias"), config])
            }
            "LayerNorm" if tensor("bias").is_some() && self.used.int("dims")? == 1 => {
                let bias = tensor("bias").map(owned).unwrap_or_default();
                made("LayerNorm", vec![weight()?, bias, float("eps", self.used.float("eps")?)])
            }
            _ => return Err("its parameters cannot be given to Candle's module".to_owned()),
        };
        plain(method(module, "forward", self.operands.iter().map(lent).collect()))
    }
}

/// A tensor of which another owner is made; that copies no numbers.
pub(super) fn owned(one: &Written) -> Template {
    if one.text.plain().ends_with('?') {
        return one.text.clone();
    }
    let mut text = one.text.clone();
    text.push(".clone()");
    text
}

/// `x.name(arguments)?`
pub(super) fn method(mut operand: Template, name: &str, arguments: Vec<Template>) -> Template {
    operand.push(&format!(".{name}("));
    operand.append(Template::joined(arguments, ", "));
    operand.push(")?");
    operand
}

/// A place counted from the front.
fn from_end(at: i64, size: u64) -> Option<u64> {
    if at < 0 { size.checked_sub(at.unsigned_abs()) } else { u64::try_from(at).ok() }
}

/// The start of a slice, and how many elements it has.
fn slice_bounds(start: Option<i64>, stop: Option<i64>, step: i64, size: u64) -> Option<(u64, u64)> {
    let bound = |at: i64| from_end(at, size).unwrap_or(0).min(size);
    let start = start.map_or(0, bound);
    let stop = stop.map_or(size, bound).max(start);
    let step = u64::try_from(step).ok().filter(|step| *step > 0)?;
    Some((start, (stop - start).div_ceil(step)))
}
