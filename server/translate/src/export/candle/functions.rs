//! What each layer that owns nothing is as operations on Candle's tensors.

use std::any::Any;

use layers::{
    Shape,
    operators::{Arithmetic, Index},
};

use super::arguments::{RMS_NORM_EPS, SizeOf, Used, float, from_front, tuple, varies, whole};
use crate::{
    export::{naming::Written, sizes::AtSizes, unit::LayerStep},
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

pub(super) struct Writer<'w, 'm> {
    pub used: Used<'m>,
    pub operands: &'w [Written],
    pub device: Option<&'w str>,
    pub size_of: &'w mut SizeOf<'w>,
}

pub(super) type Found = Result<Function, String>;

pub(super) fn plain(text: Template) -> Found {
    Ok(Function { text, is_lent: false, helper: None })
}

impl Writer<'_, '_> {
    pub(super) fn first(&self) -> Result<&Written, String> {
        self.operands.first().ok_or_else(|| "it takes no tensor".to_owned())
    }

    /// `x.name(arguments)?`
    pub(super) fn method(&self, name: &str, arguments: Vec<Template>) -> Found {
        plain(method(self.first()?.text.clone(), name, arguments))
    }

    /// A method that gives another view, made whole: what comes after may want that.
    fn view(&self, name: &str, arguments: Vec<Template>) -> Found {
        let view = method(self.first()?.text.clone(), name, arguments);
        plain(method(view, "contiguous", Vec::new()))
    }

    /// `name(&x, &y, arguments)?`
    pub(super) fn called(&self, name: &str, arguments: Vec<Template>) -> Template {
        let mut text = Template::text(format!("{name}("));
        let operands = self.operands.iter().map(lent);
        text.append(Template::joined(operands.chain(arguments), ", "));
        text.push(")?");
        text
    }

    pub(super) fn helped(&self, name: &'static str, arguments: Vec<Template>) -> Found {
        Ok(Function { text: self.called(name, arguments), is_lent: false, helper: Some(name) })
    }

    /// A size: a number, or an expression of sizes that are at hand.
    pub(super) fn size(&mut self, name: &str, values: &AtSizes<u64>) -> Result<Template, String> {
        if values.is_constant() {
            return Ok(whole(name, values.shown()));
        }
        let all: Option<_> = values.0.iter().map(|value| i64::try_from(*value).ok()).collect();
        all.and_then(|all| (self.size_of)(&AtSizes(all))).ok_or_else(varies)
    }

    /// The sizes of a shape; Candle finds one itself.
    pub(super) fn sizes(
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
    pub(super) fn reshaped(&mut self) -> Found {
        let shapes = self.used.output(0);
        let sizes = self.sizes(&shapes, true)?;
        self.method("reshape", vec![tuple(sizes)])
    }

    pub(super) fn numbers(dims: &[usize]) -> Template {
        let texts: Vec<String> = dims.iter().map(usize::to_string).collect();
        let (open, close) = match dims.len() {
            1 => ("", ""),
            // Candle's tuples of dimensions end at six.
            2..=6 => ("(", ")"),
            _ => ("[", "]"),
        };
        Template::text(format!("{open}{}{close}", texts.join(", ")))
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
            "Pad" => self.pad("pad"),
            "ZeroPad1d" | "ZeroPad2d" | "ZeroPad3d" | "ConstantPad1d" | "ConstantPad2d"
            | "ConstantPad3d" => self.pad("padding"),
            "GroupNorm" => Err("Candle's always has a weight and a bias".to_owned()),
            "RMSNorm" => {
                let eps = if self.used.has("eps") { self.used.float("eps")? } else { RMS_NORM_EPS };
                let dims = whole("dims", self.used.int("dims")?);
                self.helped("rms_normalized", vec![dims, float("eps", eps)])
            }
            "LayerNorm" => {
                let eps = float("eps", self.used.float("eps")?);
                let dims = whole("dims", self.used.int("dims")?);
                self.helped("normalized", vec![dims, eps])
            }
            "InstanceNorm1d" | "InstanceNorm2d" | "InstanceNorm3d" => {
                let eps = float("eps", self.used.float("eps")?);
                self.helped("normalized", vec![self.used.axes().to_string().into(), eps])
            }
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
            "CumSum" if self.used.rank()? > 4 => {
                Err("Candle sums tensors of up to four dimensions so".to_owned())
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
            "MaxPool1d" | "AvgPool1d" | "MaxPool2d" | "AvgPool2d" => self.pool(),
            "AdaptiveAvgPool1d" | "AdaptiveAvgPool2d" | "AdaptiveMaxPool2d" => self.adaptive_pool(),
            _ => self.activation(kind),
        }
    }

    pub(super) fn unchanged(&self) -> Found {
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
            "GLU" => self.helped("glu", vec![self.used.dim("dim")?.to_string().into()]),
            "Hardtanh" => {
                let bound = |name| Ok::<Template, String>(float(name, self.used.float(name)?));
                self.method("clamp", vec![bound("min_val")?, bound("max_val")?])
            }
            "Softplus" => Err("only that with a beta of 1 is written here".to_owned()),
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
            _ => Err("Candle has nothing of its kind".to_owned()),
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

    /// Zeros around; `name` is the argument that says how many.
    fn pad(&mut self, name: &str) -> Found {
        let is_other_mode = name == "pad" && self.used.text("mode")? != "constant";
        let has_value = name == "pad" || self.used.layer.kind.starts_with("Constant");
        let is_zero = !has_value || !self.used.has("value") || self.used.float("value")? == 0.0;
        if is_other_mode || !is_zero {
            return Err("Candle pads with zeros only".to_owned());
        }
        let pad = match self.used.sizes(name) {
            Ok(pad) => pad,
            // One size is that of all sides.
            Err(_) if name == "padding" => {
                let size = u64::try_from(self.used.int(name)?).map_err(|_| varies())?;
                vec![self.used.step.map(|_| size); 2 * self.used.axes()]
            }
            Err(reason) => return Err(reason),
        };
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
                let eps = if self.used.has("eps") { self.used.float("eps")? } else { RMS_NORM_EPS };
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
