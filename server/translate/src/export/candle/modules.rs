//! What each layer that owns parameters is as a module of `candle_nn`.

use layers::Arg;

use super::arguments::{RMS_NORM_EPS, Used, float, whole};
use crate::{export::unit::LayerStep, template::Template};

/// A module as a field.
pub(super) struct Module {
    /// Its type: one of `candle_nn`, or a helper.
    pub ty: &'static str,
    /// The expression that makes it.
    pub made: Template,
    /// How it is run.
    pub run: Run,
}

/// How a module is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// `.forward(&x)?` of `candle_nn::Module`
    Module,
    /// `.forward_t(&x, false)?` of `candle_nn::ModuleT`
    ModuleT,
    /// Its own `.forward(…)?`, which takes any number of tensors.
    Own,
}

/// The layer as a module; `vb` is the text of what has its parameters.
///
/// # Errors
/// Why Candle has none.
pub(super) fn module(step: &LayerStep<'_>, vb: &str) -> Result<Module, String> {
    let used = Used::of(step)?;
    match used.layer.kind {
        "Linear" => linear(&used, vb),
        "Conv1d" => conv1d(&used, vb),
        "Conv2d" => conv2d(&used, vb),
        "ConvTranspose1d" | "ConvTranspose2d" => conv_transpose(&used, vb),
        "BatchNorm1d" | "BatchNorm2d" | "BatchNorm3d" | "SyncBatchNorm" | "FrozenBatchNorm2d" => {
            batch_norm(&used, vb)
        }
        "LayerNorm" => layer_norm(&used, vb),
        "RMSNorm" => rms_norm(&used, vb),
        "GroupNorm" => {
            let sizes = [
                whole("num_groups", used.int("num_groups")?),
                whole("num_channels", used.input(0)?.shape[1]),
                float("eps", used.float("eps")?),
            ];
            if used.rank()? < 3 {
                return Err("Candle's takes at least three dimensions".to_owned());
            }
            Ok(of_candle("GroupNorm", "group_norm", sizes.into(), vb))
        }
        "Embedding" | "EmbeddingBag" if used.has("max_norm") => {
            Err("Candle's does not bound the rows it looks up".to_owned())
        }
        "Embedding" => {
            let sizes = ["num_embeddings", "embedding_dim"];
            let sizes: Result<Vec<Template>, String> =
                sizes.iter().map(|name| Ok(whole(name, used.int(name)?))).collect();
            Ok(of_candle("Embedding", "embedding", sizes?, vb))
        }
        "EmbeddingBag" => embedding_bag(&used, vb),
        "PReLU" => {
            let count = used.int("num_parameters")?;
            let count = if count == 1 { "None".to_owned() } else { format!("Some({count})") };
            Ok(of_candle("PReLU", "prelu", vec![Template::text(count)], vb))
        }
        "MultiheadAttention" => multihead_attention(&used, vb),
        "LSTM" | "GRU" => recurrent(&used, vb),
        _ => Err("Candle has no module of its kind".to_owned()),
    }
}

/// `candle_nn::function(arguments, vb)?`
fn of_candle(ty: &'static str, function: &str, arguments: Vec<Template>, vb: &str) -> Module {
    let run = if ty == "BatchNorm" { Run::ModuleT } else { Run::Module };
    Module { ty, made: called(&format!("candle_nn::{function}"), arguments, vb), run }
}

fn called(function: &str, arguments: Vec<Template>, vb: &str) -> Template {
    let mut text = Template::text(format!("{function}("));
    let vb = Template::text(vb);
    text.append(Template::joined(arguments.into_iter().chain([vb]), ", "));
    text.push(")?");
    text
}

/// `Conv2dConfig { padding: 1, ..Default::default() }`, of the fields that are not as usual.
fn config(name: &str, fields: &[(&'static str, i64, i64)]) -> Template {
    let given = fields.iter().filter(|(_, value, usual)| value != usual);
    let given: Vec<Template> = given
        .map(|(field, value, _)| {
            let mut text = Template::text(format!("{field}: "));
            text.append(whole(field, value));
            text
        })
        .collect();
    if given.is_empty() {
        return Template::text("Default::default()");
    }
    let mut text = Template::text(format!("{name} {{ "));
    text.append(Template::joined(given, ", "));
    text.push(", ..Default::default() }");
    text
}

fn linear(used: &Used<'_>, vb: &str) -> Result<Module, String> {
    let sizes = vec![
        whole("in_features", used.size_from_end(0)?),
        whole("out_features", used.int("out_features")?),
    ];
    let function = if used.is_on("bias") { "linear" } else { "linear_no_bias" };
    Ok(of_candle("Linear", function, sizes, vb))
}

/// The padding of a convolution, the same before and after.
fn padding<const AXES: usize>(used: &Used<'_>) -> Result<[i64; AXES], String> {
    let kernel = used.per_axis::<AXES>("kernel_size")?;
    let dilation = used.per_axis::<AXES>("dilation")?;
    match used.get("padding")? {
        Arg::Text(text) if text == "valid" => Ok([0; AXES]),
        Arg::Text(_) => {
            let reach = std::array::from_fn(|axis| dilation[axis] * (kernel[axis] - 1));
            if reach.iter().any(|reach| reach % 2 != 0) {
                return Err("its padding is not the same before and after".to_owned());
            }
            Ok(reach.map(|reach| reach / 2))
        }
        _ => used.per_axis("padding"),
    }
}

/// Convolutions take batches, and pad with zeros.
fn check_convolution(used: &Used<'_>, axes: usize) -> Result<(), String> {
    if used.rank()? != axes + 2 {
        return Err("Candle's convolutions take batches only".to_owned());
    }
    if used.has("padding_mode") && used.text("padding_mode")? != "zeros" {
        return Err("Candle's convolutions pad with zeros only".to_owned());
    }
    Ok(())
}

/// The configuration of a one-dimensional convolution.
pub(super) fn conv1d_config(used: &Used<'_>) -> Result<Template, String> {
    check_convolution(used, 1)?;
    let one = |name: &str| Ok::<i64, String>(used.per_axis::<1>(name)?[0]);
    let fields = [
        ("padding", padding::<1>(used)?[0], 0),
        ("stride", one("stride")?, 1),
        ("dilation", one("dilation")?, 1),
        ("groups", used.int("groups")?, 1),
    ];
    Ok(config("candle_nn::Conv1dConfig", &fields))
}

fn conv1d(used: &Used<'_>, vb: &str) -> Result<Module, String> {
    let arguments = vec![
        whole("in_channels", used.size_from_end(1)?),
        whole("out_channels", used.int("out_channels")?),
        whole("kernel_size", used.per_axis::<1>("kernel_size")?[0]),
        conv1d_config(used)?,
    ];
    let function = if used.is_on("bias") { "conv1d" } else { "conv1d_no_bias" };
    Ok(of_candle("Conv1d", function, arguments, vb))
}

fn conv2d(used: &Used<'_>, vb: &str) -> Result<Module, String> {
    check_convolution(used, 2)?;
    let (kernel, stride) = (used.per_axis::<2>("kernel_size")?, used.per_axis::<2>("stride")?);
    let (padding, dilation) = (padding::<2>(used)?, used.per_axis::<2>("dilation")?);
    let is_square = |sizes: [i64; 2]| sizes[0] == sizes[1];
    let channels = [
        whole("in_channels", used.size_from_end(2)?),
        whole("out_channels", used.int("out_channels")?),
    ];
    let groups = used.int("groups")?;
    if [kernel, stride, padding, dilation].into_iter().all(is_square) {
        let config = config(
            "candle_nn::Conv2dConfig",
            &[
                ("padding", padding[0], 0),
                ("stride", stride[0], 1),
                ("dilation", dilation[0], 1),
                ("groups", groups, 1),
            ],
        );
        let kernel = whole("kernel_size", kernel[0]);
        let arguments = channels.into_iter().chain([kernel, config]).collect();
        let function = if used.is_on("bias") { "conv2d" } else { "conv2d_no_bias" };
        return Ok(of_candle("Conv2d", function, arguments, vb));
    }
    if !is_square(stride) || !is_square(dilation) {
        return Err("Candle's have one stride and dilation for both axes".to_owned());
    }
    let pair = |name: &str, [height, width]: [i64; 2]| {
        let mut text = Template::text("(");
        let sizes = [height, width].map(|size| whole(name, size));
        text.append(Template::joined(sizes, ", "));
        text.push(")");
        text
    };
    let arguments = channels.into_iter().chain([
        pair("kernel_size", kernel),
        pair("padding", padding),
        whole("stride", stride[0]),
        whole("dilation", dilation[0]),
        whole("groups", groups),
        Template::text(used.is_on("bias").to_string()),
    ]);
    let made = called("OblongConv2d::new", arguments.collect(), vb);
    Ok(Module { ty: "OblongConv2d", made, run: Run::Own })
}

fn conv_transpose(used: &Used<'_>, vb: &str) -> Result<Module, String> {
    let axes = if used.layer.kind == "ConvTranspose1d" { 1 } else { 2 };
    check_convolution(used, axes)?;
    let groups = used.int("groups")?;
    let same = |name: &'static str| {
        let all = used.ints(name)?;
        let is_same = all.iter().all(|size| *size == all[0]);
        if is_same { Ok(all[0]) } else { Err(format!("Candle's have one `{name}` for both axes")) }
    };
    let mut fields = vec![
        ("padding", same("padding")?, 0),
        ("output_padding", same("output_padding")?, 0),
        ("stride", same("stride")?, 1),
        ("dilation", same("dilation")?, 1),
    ];
    match axes {
        1 => fields.push(("groups", groups, 1)),
        _ if groups != 1 => return Err("Candle's have no groups".to_owned()),
        _ => {}
    }
    let (ty, function, name) = match axes {
        1 => ("ConvTranspose1d", "conv_transpose1d", "candle_nn::ConvTranspose1dConfig"),
        _ => ("ConvTranspose2d", "conv_transpose2d", "candle_nn::ConvTranspose2dConfig"),
    };
    let arguments = vec![
        whole("in_channels", used.size_from_end(axes)?),
        whole("out_channels", used.int("out_channels")?),
        whole("kernel_size", same("kernel_size")?),
        config(name, &fields),
    ];
    let bias = if used.is_on("bias") { "" } else { "_no_bias" };
    Ok(of_candle(ty, &format!("{function}{bias}"), arguments, vb))
}

fn batch_norm(used: &Used<'_>, vb: &str) -> Result<Module, String> {
    let is_frozen = used.layer.kind == "FrozenBatchNorm2d";
    if !is_frozen && !used.is_on("track_running_stats") {
        return Err("Candle's always has running statistics".to_owned());
    }
    let eps = float("eps", used.float("eps")?);
    let config = match is_frozen || used.is_on("affine") {
        true => eps,
        false => {
            let mut text = Template::text("candle_nn::BatchNormConfig { eps: ");
            text.append(eps);
            text.push(", affine: false, ..Default::default() }");
            text
        }
    };
    let arguments = vec![whole("num_features", used.input(0)?.shape[1]), config];
    Ok(of_candle("BatchNorm", "batch_norm", arguments, vb))
}

fn layer_norm(used: &Used<'_>, vb: &str) -> Result<Module, String> {
    if used.int("dims")? != 1 {
        return Err("Candle's normalises over the last dimension only".to_owned());
    }
    let arguments =
        vec![whole("normalized_shape", used.size_from_end(0)?), float("eps", used.float("eps")?)];
    let function = if used.is_on("bias") { "layer_norm" } else { "layer_norm_no_bias" };
    Ok(of_candle("LayerNorm", function, arguments, vb))
}

fn rms_norm(used: &Used<'_>, vb: &str) -> Result<Module, String> {
    if used.int("dims")? != 1 {
        return Err("Candle's normalises over the last dimension only".to_owned());
    }
    let eps = if used.has("eps") { used.float("eps")? } else { RMS_NORM_EPS };
    let size = whole("normalized_shape", used.size_from_end(0)?);
    let offset = if used.has("offset") { used.float("offset")? } else { 0.0 };
    if offset == 0.0 {
        return Ok(of_candle("RmsNorm", "rms_norm", vec![size, float("eps", eps)], vb));
    }
    let mut made = Template::text(format!("candle_nn::RmsNorm::new(({vb}.get("));
    made.append(size);
    made.push(", \"weight\")? + ");
    made.append(float("offset", offset));
    made.push(")?, ");
    made.append(float("eps", eps));
    made.push(")");
    Ok(Module { ty: "RmsNorm", made, run: Run::Module })
}

fn multihead_attention(used: &Used<'_>, vb: &str) -> Result<Module, String> {
    let width = used.size_from_end(0)?;
    let inputs = &used.step.shown().inputs;
    let refusals = [
        (
            inputs.iter().any(|input| input.ty.shape.last() != Some(&width)),
            "keys as wide as its queries only",
        ),
        (inputs.len() > 3, "no mask"),
        (used.rank()? != 3, "batches only"),
        (used.is_on("add_bias_kv"), "no `add_bias_kv`"),
        (used.is_on("add_zero_attn"), "no `add_zero_attn`"),
        (used.is_on("need_weights"), "no `need_weights`"),
    ];
    if let Some((_, takes)) = refusals.iter().find(|(is_so, _)| *is_so) {
        return Err(format!(
            "what stands for it in Candle takes {takes}; write it with `Linear` and \
             `F.scaled_dot_product_attention`"
        ));
    }
    let arguments = vec![
        whole("embed_dim", width),
        whole("num_heads", used.int("num_heads")?),
        Template::text(used.is_on("bias").to_string()),
        Template::text(used.is_on("batch_first").to_string()),
    ];
    let made = called("MultiheadAttention::new", arguments, vb);
    Ok(Module { ty: "MultiheadAttention", made, run: Run::Own })
}

fn embedding_bag(used: &Used<'_>, vb: &str) -> Result<Module, String> {
    let mode = used.text("mode")?;
    if used.step.shown().inputs.len() > 1 || mode == "max" {
        return Err("only sums and means of bags of one size are written here".to_owned());
    }
    let arguments = vec![
        whole("num_embeddings", used.int("num_embeddings")?),
        whole("embedding_dim", used.int("embedding_dim")?),
        Template::text((mode == "mean").to_string()),
    ];
    let made = called("EmbeddingBag::new", arguments, vb);
    Ok(Module { ty: "EmbeddingBag", made, run: Run::Own })
}

/// Candle's recurrent layers are one layer in one direction.
fn recurrent(used: &Used<'_>, vb: &str) -> Result<Module, String> {
    let refusals = [
        (used.layer.kind == "LSTM" && used.int("proj_size")? != 0, "no projection"),
        (used.step.shown().inputs.len() > 1, "no states"),
        (used.rank()? != 3, "batches only"),
        (!used.is_on("bias"), "a bias always"),
    ];
    if let Some((_, takes)) = refusals.iter().find(|(is_so, _)| *is_so) {
        return Err(format!("what stands for it in Candle takes {takes}"));
    }
    let sizes = [
        whole("input_size", used.size_from_end(0)?),
        whole("hidden_size", used.int("hidden_size")?),
    ];
    let (num_layers, is_on) = (used.int("num_layers")?, |name| used.is_on(name).to_string().into());
    if used.layer.kind == "LSTM" {
        let more = [whole("num_layers", num_layers), is_on("batch_first"), is_on("bidirectional")];
        let arguments = sizes.into_iter().chain(more).collect();
        return Ok(Module { ty: "Lstm", made: called("Lstm::new", arguments, vb), run: Run::Own });
    }
    if num_layers > 1 || used.is_on("bidirectional") {
        return Err("Candle's is one layer in one direction".to_owned());
    }
    let arguments = sizes.into_iter().chain([is_on("batch_first")]).collect();
    Ok(Module { ty: "Gru", made: called("Gru::new", arguments, vb), run: Run::Own })
}
