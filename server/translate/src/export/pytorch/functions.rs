//! What each layer is as a function of PyTorch.

use layers::{
    Arg, Called,
    operators::{Arithmetic, Index, IndexItem, Operator},
};

use super::{
    arguments::{SizeOf, Used, literal},
    modules::{self, NAMED_ACTIVATIONS, SIZELESS, is_zero, normalized_sizes},
};
use crate::{
    export::{
        dims::{self, Known},
        naming::Written,
        sizes::AtSizes,
        unit::{LayerStep, layer_of},
    },
    template::Template,
};

/// A function as it is called.
pub(crate) struct Function {
    pub text: Template,
    /// It is an operator, so it needs brackets in another one.
    pub is_compound: bool,
    /// A helper that it needs.
    pub helper: Option<&'static str>,
}

/// The layer as a function of its operands; `given` are the tensors that are its parameters, `device` is a
/// tensor that lies where new ones should.
///
/// # Errors
/// Why it is none.
pub(crate) fn function(
    step: &LayerStep<'_>,
    operands: &[Written],
    given: &[(String, Template)],
    device: Option<&str>,
    size_of: &mut SizeOf<'_>,
) -> Result<Function, String> {
    let nothing = || "PyTorch has nothing of its kind".to_owned();
    let mut used = Used::of(step).ok_or_else(nothing)?;
    used.leave_defaults_out();
    let layer: &dyn std::any::Any = &*used.used.layer;
    let is_of_torch = used.used.called == Called::Torch;
    if let Some(arithmetic) = layer.downcast_ref::<Arithmetic>() {
        if is_of_torch && arithmetic.operator == Operator::MatMul {
            let name = used.used.entry.and_then(|entry| entry.function).unwrap_or("matmul");
            let text = called(&format!("torch.{name}"), operands, Vec::new());
            return plain(text).unwrap_or_else(|| Err(varies()));
        }
        return arithmetic_text(step, arithmetic, operands, size_of).ok_or_else(varies);
    }
    if let Some(index) = layer.downcast_ref::<Index>() {
        return index_text(step, index, operands, size_of).ok_or_else(varies);
    }
    let owns = !used.used.parameters.is_empty();
    if owns && given.is_empty() {
        return Err("it owns parameters, which a function does not".to_owned());
    }
    let call = if given.is_empty() {
        named_call(&used, operands, device, size_of)
    } else {
        call_with_parameters(&used, operands, given, size_of)
    };
    let function = call.unwrap_or_else(|| Err(varies()))?;
    // Those of `torch` want the dimension, and give no places.
    let softmax = used.used.kind.ends_with("Softmax") && used.get("dim").is_none();
    let is_other = softmax || used.get("return_indices").is_some();
    match function.text.after("F.").filter(|_| is_of_torch && !is_other) {
        Some(rest) => {
            let mut text = Template::text("torch.");
            text.append(rest);
            Ok(Function { text, ..function })
        }
        None => Ok(function),
    }
}

fn varies() -> String {
    "an argument follows the sizes of the input in a way that has no expression here; write it with sizes of \
     the step's own input, or set the sizes that are meant"
        .to_owned()
}

type Found = Option<Result<Function, String>>;

fn plain(text: Template) -> Found {
    Some(Ok(Function { text, is_compound: false, helper: None }))
}

/// `name(operands, arguments)`
fn called(name: &str, operands: &[Written], arguments: Vec<Template>) -> Template {
    let mut text = Template::text(format!("{name}("));
    let all = operands.iter().map(|one| one.text.clone()).chain(arguments);
    text.append(Template::joined(all, ", "));
    text.push(")");
    text
}

/// `x.name(arguments)`
fn method(name: &str, operand: &Written, arguments: Vec<Template>) -> Template {
    let mut text = operand.bracketed();
    text.push(&format!(".{name}("));
    text.append(Template::joined(arguments, ", "));
    text.push(")");
    text
}

/// Helpers take what is not given as Taper's layer does.
fn helped(name: &'static str, operands: &[Written], arguments: Vec<Template>) -> Found {
    let text = called(name, operands, arguments);
    Some(Ok(Function { text, is_compound: false, helper: Some(name) }))
}

/// Layers whose parameters are tensors that are given: functions of `torch.nn.functional`.
fn call_with_parameters(
    used: &Used<'_>,
    operands: &[Written],
    given: &[(String, Template)],
    size_of: &mut SizeOf<'_>,
) -> Found {
    let tensor = |name: &str| given.iter().find(|(given, _)| given == name).map(|(_, text)| text);
    let or_none = |name: &str| tensor(name).cloned().unwrap_or_else(|| Template::text("None"));
    let mut arguments: Vec<Template> = Vec::new();
    let by_place = |arguments: &mut Vec<Template>, names: &[&str]| {
        // Those at the end that are not given need not be said.
        let last = names.iter().rposition(|name| tensor(name).is_some()).map_or(0, |last| last + 1);
        arguments.extend(names[..last].iter().map(|name| or_none(name)));
    };
    let size = |arguments: &mut Vec<Template>| {
        let name = "normalized_shape";
        if let Some(sizes) = normalized_sizes(used) {
            let sizes = if sizes.starts_with('(') { sizes } else { format!("({sizes},)") };
            arguments.push(Template::hole(name, sizes));
        }
    };
    let kind = used.used.kind;
    let name = match kind {
        "Linear" => {
            by_place(&mut arguments, &["weight", "bias"]);
            "F.linear"
        }
        "Conv1d" | "Conv2d" | "Conv3d" | "ConvTranspose1d" | "ConvTranspose2d"
        | "ConvTranspose3d" => {
            if used.shown("padding_mode").is_some_and(|mode| *mode != Arg::Text("zeros".into())) {
                return Some(Err("its weight is computed, and it pads with no zeros".to_owned()));
            }
            by_place(&mut arguments, &["weight", "bias"]);
            let without = ["out_channels", "kernel_size", "bias", "padding_mode"];
            arguments.extend(used.arguments(&without, size_of)?);
            match kind {
                "Conv1d" => "F.conv1d",
                "Conv2d" => "F.conv2d",
                "Conv3d" => "F.conv3d",
                "ConvTranspose1d" => "F.conv_transpose1d",
                "ConvTranspose2d" => "F.conv_transpose2d",
                _ => "F.conv_transpose3d",
            }
        }
        "LayerNorm" => {
            size(&mut arguments);
            by_place(&mut arguments, &["weight", "bias"]);
            arguments.extend(used.arguments(&["dims", "elementwise_affine", "bias"], size_of)?);
            "F.layer_norm"
        }
        "RMSNorm" if used.shown("offset").is_none_or(is_zero) => {
            size(&mut arguments);
            by_place(&mut arguments, &["weight"]);
            arguments.extend(used.arguments(&["dims", "elementwise_affine", "offset"], size_of)?);
            "F.rms_norm"
        }
        "GroupNorm" => {
            arguments.push(literal("num_groups", used.get("num_groups")?, size_of)?);
            by_place(&mut arguments, &["weight", "bias"]);
            arguments.extend(used.arguments(&["num_groups", "affine"], size_of)?);
            "F.group_norm"
        }
        "BatchNorm1d" | "BatchNorm2d" | "BatchNorm3d" => {
            by_place(&mut arguments, &["running_mean", "running_var", "weight", "bias"]);
            let without = ["affine", "track_running_stats", "momentum"];
            arguments.extend(used.arguments(&without, size_of)?);
            "F.batch_norm"
        }
        "Embedding" => {
            by_place(&mut arguments, &["weight"]);
            "F.embedding"
        }
        "PReLU" => {
            by_place(&mut arguments, &["weight"]);
            "F.prelu"
        }
        _ => return Some(Err("PyTorch has no function that takes its parameters".to_owned())),
    };
    plain(called(name, operands, arguments))
}

/// Layers without parameters.
fn named_call(
    used: &Used<'_>,
    operands: &[Written],
    device: Option<&str>,
    size_of: &mut SizeOf<'_>,
) -> Found {
    let kind = used.used.kind;
    let first = operands.first();
    let all = |used: &Used<'_>, size_of: &mut SizeOf<'_>| used.arguments(&[], size_of);
    match kind {
        "Identity" | "KvCache" if used.shown("past").is_none_or(is_zero) => {
            plain(first?.text.clone())
        }
        "KvCache" => helped("with_cache", operands, all(used, size_of)?),
        "Reshape" | "Permute" | "Expand" | "Repeat" => {
            let (name, argument) = match kind {
                "Reshape" => ("reshape", "shape"),
                "Permute" => ("permute", "dims"),
                "Expand" => ("expand", "sizes"),
                _ => ("repeat", "sizes"),
            };
            plain(method(name, first?, items(used.get(argument)?, size_of)?))
        }
        "Flatten" => {
            let mut arguments = all(used, size_of)?;
            // `Tensor.flatten` begins at 0, `nn.Flatten` at 1.
            if used.get("start_dim").is_none() {
                arguments.insert(0, Template::text("1"));
            }
            plain(method("flatten", first?, arguments))
        }
        "Unflatten" => plain(method("unflatten", first?, all(used, size_of)?)),
        "Transpose" => plain(method("transpose", first?, all(used, size_of)?)),
        "Squeeze" => plain(method("squeeze", first?, all(used, size_of)?)),
        "Unsqueeze" => plain(method("unsqueeze", first?, all(used, size_of)?)),
        "RepeatInterleave" => plain(method("repeat_interleave", first?, all(used, size_of)?)),
        "Chunk" => plain(method("chunk", first?, all(used, size_of)?)),
        "Split" => plain(method("split", first?, split_arguments(used, size_of)?)),
        "Roll" => plain(method("roll", first?, all(used, size_of)?)),
        "Cat" | "Stack" => {
            let mut list = Template::text("[");
            list.append(Template::joined(operands.iter().map(|one| one.text.clone()), ", "));
            list.push("]");
            let list = Written::simple(list);
            let name = if kind == "Cat" { "torch.cat" } else { "torch.stack" };
            plain(called(name, &[list], all(used, size_of)?))
        }
        "Pad" => {
            let pad = items(used.get("pad")?, size_of)?;
            let mut amounts = Template::text("(");
            amounts.append(Template::joined(pad, ", "));
            amounts.push(")");
            let mut arguments = vec![amounts];
            arguments.extend(used.arguments(&["pad"], size_of)?);
            plain(called("F.pad", operands, arguments))
        }
        "Exp" | "Log" | "Sqrt" | "Rsqrt" | "Abs" | "Sin" | "Cos" => {
            plain(method(&kind.to_ascii_lowercase(), first?, Vec::new()))
        }
        "Pow" => plain(method("pow", first?, all(used, size_of)?)),
        "Clamp" => plain(method("clamp", first?, all(used, size_of)?)),
        "Mean" | "Sum" => plain(method(&kind.to_ascii_lowercase(), first?, all(used, size_of)?)),
        "Max" | "Min" => {
            let name = if kind == "Max" { "amax" } else { "amin" };
            plain(method(name, first?, all(used, size_of)?))
        }
        "ArgMax" => plain(method("argmax", first?, all(used, size_of)?)),
        "CumSum" => plain(method("cumsum", first?, all(used, size_of)?)),
        "TopK" => plain(method("topk", first?, used.arguments(&["sorted"], size_of)?)),
        "Norm" => {
            plain(called("torch.linalg.vector_norm", operands, norm_arguments(used, size_of)?))
        }
        "Arange" => {
            let end = literal("end", used.get("end")?, size_of)?;
            plain(called("torch.arange", &[], with_device(vec![end], device)))
        }
        "Where" => {
            // A condition of numbers holds where they are not 0.
            let is_bool = used.step.shown().inputs[0].ty.dtype == layers::DType::Bool;
            let mut operands = operands.to_vec();
            if !is_bool {
                let mut condition = operands.first()?.bracketed();
                condition.push(" != 0");
                operands[0] = Written { is_compound: true, ..Written::simple(condition) };
            }
            plain(called("torch.where", &operands, Vec::new()))
        }
        "Gather" => {
            let [input, index] = operands else { return None };
            let mut arguments = all(used, size_of)?;
            arguments.push(index.text.clone());
            plain(method("gather", input, arguments))
        }
        "OneHot" => plain(called("F.one_hot", operands, all(used, size_of)?)),
        "Einsum" => {
            let Arg::Text(equation) = used.shown("equation")? else { return None };
            let equation = Written::simple(format!("{:?}", short_equation(equation)?));
            let operands = [&[equation], operands].concat();
            plain(called("torch.einsum", &operands, Vec::new()))
        }
        "Activation" => {
            let Arg::Text(name) = used.shown("name")? else { return None };
            match name.as_str() {
                "relu2" => {
                    let relu = called("F.relu", operands, Vec::new());
                    let relu = Written::simple(relu);
                    plain(method("square", &relu, Vec::new()))
                }
                "quick_gelu" => helped("quick_gelu", operands, Vec::new()),
                name => {
                    let (_, made) = NAMED_ACTIVATIONS.iter().find(|(known, _)| *known == name)?;
                    plain(called(made, operands, Vec::new()))
                }
            }
        }
        "ScaledDotProductAttention" => attention(used, operands, size_of),
        "RotaryEmbedding" => {
            let helper = "rotary_embedding";
            if matches!(used.shown("rope_type"), Some(Arg::Text(kind)) if !matches!(kind.as_str(), "default" | "linear" | "llama3" | "yarn"))
            {
                return Some(Err("these rotary angles depend on the sequence".to_owned()));
            }
            helped(helper, operands, all(used, size_of)?)
        }
        "RelativePositionBuckets" => {
            let arguments = with_device(all(used, size_of)?, device);
            helped("relative_position_buckets", &[], arguments)
        }
        "SelectiveScan" => helped("selective_scan", operands, all(used, size_of)?),
        "WeightedSum" => helped("weighted_sum", operands, Vec::new()),
        "DepthToSpace" => helped("depth_to_space", operands, all(used, size_of)?),
        "SpaceToDepth" => helped("space_to_depth", operands, all(used, size_of)?),
        "ChannelShuffle" => plain(called("F.channel_shuffle", operands, all(used, size_of)?)),
        "RoIAlign" => plain(called("torchvision.ops.roi_align", operands, all(used, size_of)?)),
        "Dropout" | "Dropout1d" | "Dropout2d" | "AlphaDropout" => {
            let mut arguments = all(used, size_of)?;
            arguments.push(Template::text("training=self.training"));
            let function = used.used.entry?.function?;
            plain(called(&format!("F.{function}"), operands, arguments))
        }
        "StochasticDepth" => {
            let mut arguments = all(used, size_of)?;
            if used.get("mode").is_none() {
                arguments.push(Template::text("mode=\"row\""));
            }
            arguments.push(Template::text("training=self.training"));
            plain(called("torchvision.ops.stochastic_depth", operands, arguments))
        }
        _ => {
            let name = match used.used.entry.and_then(|entry| entry.function) {
                Some(function) => format!("F.{function}"),
                // What is a module only is made where it is called.
                None if SIZELESS.contains(&kind) => {
                    let mut text = Template::text(format!("nn.{kind}("));
                    text.append(Template::joined(all(used, size_of)?, ", "));
                    text.push(")");
                    text.push("(");
                    text.append(Template::joined(
                        operands.iter().map(|one| one.text.clone()),
                        ", ",
                    ));
                    text.push(")");
                    return plain(text);
                }
                None => return Some(Err("PyTorch has nothing of its kind".to_owned())),
            };
            plain(called(&name, operands, all(used, size_of)?))
        }
    }
}

/// What no tensor flows into is made where those are that flow elsewhere.
fn with_device(mut arguments: Vec<Template>, device: Option<&str>) -> Vec<Template> {
    arguments.extend(device.map(|tensor| Template::text(format!("device={tensor}.device"))));
    arguments
}

/// The items of a list, or the one number in its place.
fn items(value: &AtSizes<Arg>, size_of: &mut SizeOf<'_>) -> Option<Vec<Template>> {
    let Arg::List(list) = value.shown() else {
        return Some(vec![literal("size", value, size_of)?]);
    };
    let item = |index: usize| {
        value.map(|list| match list {
            Arg::List(items) => items[index].clone(),
            other => other.clone(),
        })
    };
    (0..list.len()).map(|index| literal("size", &item(index), size_of)).collect()
}

/// `Tensor.split` takes a list of sizes as such.
fn split_arguments(used: &Used<'_>, size_of: &mut SizeOf<'_>) -> Option<Vec<Template>> {
    let mut arguments = vec![literal("sizes", used.get("split_size_or_sections")?, size_of)?];
    arguments.extend(used.arguments(&["split_size_or_sections"], size_of)?);
    Some(arguments)
}

fn norm_arguments(used: &Used<'_>, size_of: &mut SizeOf<'_>) -> Option<Vec<Template>> {
    let mut arguments = Vec::new();
    for (name, theirs) in [("p", "ord"), ("dim", "dim"), ("keepdim", "keepdim")] {
        if let Some(value) = used.get(name) {
            let mut argument = Template::text(format!("{theirs}="));
            argument.append(literal(name, value, size_of)?);
            arguments.push(argument);
        }
    }
    Some(arguments)
}

/// `torch.einsum` has one letter for each axis.
fn short_equation(equation: &str) -> Option<String> {
    let mut letters: Vec<String> = Vec::new();
    let mut short = String::new();
    let is_spaced = equation.replace("->", " ").split([',', ' ']).any(|axis| axis.len() > 1)
        && equation.contains(' ');
    for word in equation.replace("->", " -> ").replace(',', " , ").split_whitespace() {
        match word {
            "->" | "," | "..." => short.push_str(word),
            axes if is_spaced && is_one_axis(equation) => {
                let index = letters.iter().position(|known| known == axes).unwrap_or_else(|| {
                    letters.push(axes.to_owned());
                    letters.len() - 1
                });
                short
                    .push(char::from(b'a' + u8::try_from(index).ok().filter(|index| *index < 26)?));
            }
            axes => short.push_str(axes),
        }
    }
    Some(short)
}

/// The axes of the equation stand apart.
fn is_one_axis(equation: &str) -> bool {
    equation.split(',').flat_map(|part| part.split("->")).any(|term| term.trim().contains(' '))
}

/// PyTorch's own attention where it can be, else the same written out.
fn attention(used: &Used<'_>, operands: &[Written], size_of: &mut SizeOf<'_>) -> Found {
    let has = |name: &str| used.shown(name).is_some_and(|value| *value != Arg::None);
    let rank = used.input(0).len();
    let lengths = |input: usize| used.step.map(|step| step.inputs[input].ty.shape[rank - 2]);
    let is_square = lengths(0) == lengths(1);
    let is_own = !has("window")
        && !has("softcap")
        && !used.is_on("sinks")
        && !(used.is_on("is_causal") && (operands.len() > 3 || !is_square));
    if is_own {
        let without = ["dropout_p", "window", "softcap", "sinks"];
        let mut arguments = used.arguments(&without, size_of)?;
        if let Some(share) = used.get("dropout_p") {
            let mut argument = Template::text("dropout_p=");
            argument.append(literal("dropout_p", share, size_of)?);
            argument.push(" if self.training else 0.0");
            arguments.push(argument);
        }
        return plain(called("F.scaled_dot_product_attention", operands, arguments));
    }
    let mut arguments = used.arguments(&["dropout_p", "enable_gqa", "sinks"], size_of)?;
    let mut operands = operands.to_vec();
    if used.is_on("sinks") {
        let mut sinks = Template::text("sinks=");
        sinks.append(operands.pop()?.text);
        arguments.push(sinks);
    }
    helped("attention", &operands, arguments)
}

fn arithmetic_text(
    step: &LayerStep<'_>,
    arithmetic: &Arithmetic,
    operands: &[Written],
    size_of: &mut SizeOf<'_>,
) -> Option<Function> {
    let mut all: Vec<Template> = operands.iter().map(Written::bracketed).collect();
    if let Some(number) = arithmetic.number {
        let values: Option<smallvec::SmallVec<_>> = step
            .0
            .iter()
            .map(|step| {
                let layer: &dyn std::any::Any = &*layer_of(step)?.layer;
                Some(layer.downcast_ref::<Arithmetic>()?.number?.value)
            })
            .collect();
        let values = AtSizes(values?);
        let arg = |value: &f64| match number.is_float {
            true => Arg::Float(*value),
            false => Arg::Int(*value as i64),
        };
        let mut text = literal("factor", &values.map(arg), size_of)?;
        if !values.is_constant() || number.value < 0.0 {
            let mut bracketed = Template::text("(");
            bracketed.append(text);
            bracketed.push(")");
            text = bracketed;
        }
        all.insert(if number.is_first { 0 } else { all.len() }, text);
    }
    let symbol = arithmetic.operator.symbol();
    let text = match (&all[..], arithmetic.operator) {
        ([one], Operator::Neg) => {
            let mut text = Template::text("-");
            text.append(one.clone());
            text
        }
        ([left, right], _) => {
            Template::joined([left.clone(), right.clone()], &format!(" {symbol} "))
        }
        _ => return None,
    };
    Some(Function { text, is_compound: true, helper: None })
}

fn index_text(
    step: &LayerStep<'_>,
    index: &Index,
    operands: &[Written],
    size_of: &mut SizeOf<'_>,
) -> Option<Function> {
    let at = |place: usize| -> Option<AtSizes<IndexItem>> {
        let items: Option<smallvec::SmallVec<_>> = step
            .0
            .iter()
            .map(|step| {
                let layer: &dyn std::any::Any = &*layer_of(step)?.layer;
                layer.downcast_ref::<Index>()?.0.get(place).copied()
            })
            .collect();
        Some(AtSizes(items?))
    };
    let mut items = Vec::new();
    for (place, shown) in index.0.iter().enumerate() {
        let all = at(place)?;
        let mut number = |of: &dyn Fn(&IndexItem) -> Option<i64>| -> Option<Template> {
            let values: Option<smallvec::SmallVec<_>> = all.0.iter().map(of).collect();
            literal("index", &AtSizes(values?).map(|value| Arg::Int(*value)), size_of)
        };
        items.push(match shown {
            IndexItem::NewAxis => Template::text("None"),
            IndexItem::Rest => Template::text("..."),
            IndexItem::Tensor => operands.get(1)?.text.clone(),
            IndexItem::At(_) => number(&|item| match item {
                IndexItem::At(place) => Some(*place),
                _ => None,
            })?,
            IndexItem::Slice(start, stop, step) => {
                let mut text = Template::default();
                if start.is_some() {
                    text.append(number(&|item| match item {
                        IndexItem::Slice(start, ..) => *start,
                        _ => None,
                    })?);
                }
                text.push(":");
                if stop.is_some() {
                    text.append(number(&|item| match item {
                        IndexItem::Slice(_, stop, _) => *stop,
                        _ => None,
                    })?);
                }
                if *step != 1 {
                    text.push(&format!(":{step}"));
                }
                text
            }
        });
    }
    let mut text = operands.first()?.bracketed();
    text.push("[");
    text.append(Template::joined(items, ", "));
    text.push("]");
    Some(Function { text, is_compound: false, helper: None })
}

/// A function of one tensor as a step of `nn.Sequential`, if it needs nothing else.
pub(crate) fn in_sequence(step: &LayerStep<'_>) -> Option<Function> {
    let [input] = &step.shown().inputs[..] else { return None };
    let known: Vec<Known> = (0..input.ty.shape.len())
        .map(|dim| Known {
            text: format!("x.size({dim})"),
            source: 0,
            values: step.map(|step| step.inputs[0].ty.shape[dim]),
        })
        .collect();
    let mut size_of = |values: &AtSizes<i64>| {
        dims::expression(values, &known).map(|found| Template::text(found.text))
    };
    let operand = Written::simple("x");
    function(step, &[operand], &[], None, &mut size_of).ok()
}

/// Whether it takes one tensor, gives one, and can stand in `nn.Sequential`.
pub(crate) fn is_direct(step: &LayerStep<'_>) -> bool {
    match modules::module(step) {
        Some(module) => module.style == modules::Style::Direct,
        None => in_sequence(step).is_some(),
    }
}
