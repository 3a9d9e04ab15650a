//! PyTorch's expressions, as the golden tables have them, in Taper's words.

/// Classes whose first argument is a size that the input tells.
const TOLD: &[&str] = &[
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "SyncBatchNorm",
    "FrozenBatchNorm2d",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "RMSNorm",
    "Linear",
    "RNN",
    "LSTM",
    "GRU",
    "RNNCell",
    "LSTMCell",
    "GRUCell",
    "MultiheadAttention",
    "Bilinear",
    "TransformerEncoderLayer",
    "TransformerDecoderLayer",
    "Transformer",
    "SqueezeExcitation",
    "Conv2dNormActivation",
    "MLP",
    "BasicBlock",
    "Bottleneck",
    "InvertedResidual",
    "CNBlock",
];

/// A call: the class without its module, its positional and its named arguments as text.
pub struct Call {
    pub class: String,
    pub positional: Vec<String>,
    pub named: Vec<(String, String)>,
}

/// `nn.Conv2d(3,16,3,padding=1)`; `None` for what is no call.
pub fn parse(expr: &str) -> Option<Call> {
    let (name, rest) = expr.split_once('(')?;
    let class = name.rsplit('.').next()?.to_owned();
    let (mut positional, mut named) = (Vec::new(), Vec::new());
    for part in split(rest.strip_suffix(')')?) {
        match part.split_once('=').filter(|(name, _)| !name.contains('(')) {
            Some((name, value)) => named.push((name.to_owned(), value.to_owned())),
            None => positional.push(part),
        }
    }
    Some(Call { class, positional, named })
}

/// The stage that does the same in Taper.
pub fn stage(expr: &str) -> String {
    let call = parse(expr).unwrap_or_else(|| panic!("{expr} is no call"));
    let Call { class, mut positional, mut named } = call;
    match class.as_str() {
        "Sequential" => {
            let stages: Vec<String> = positional.iter().map(|inner| stage(inner)).collect();
            return format!("{{ {} }}", stages.join("; "));
        }
        "TransformerEncoder" => {
            return format!("TransformerEncoder({})", inner_arguments(&positional));
        }
        "TransformerDecoder" => {
            return format!("TransformerDecoder({})", inner_arguments(&positional));
        }
        "LayerNorm" | "RMSNorm" => {
            let dims = split(positional[0].trim_matches(['[', ']', '(', ')'])).len();
            if dims > 1 {
                named.push(("dims".to_owned(), dims.to_string()));
            }
        }
        "GroupNorm" => {
            positional.remove(1);
        }
        "Bilinear" => {
            positional.remove(1);
        }
        _ => {}
    }
    if TOLD.contains(&class.as_str()) {
        positional.remove(0);
    }
    let positional = positional.iter().map(|value| python(value));
    let named = named.iter().map(|(name, value)| format!("{name}={}", python(value)));
    let arguments: Vec<String> = positional.chain(named).collect();
    match arguments.is_empty() {
        true => class,
        false => format!("{class}({})", arguments.join(", ")),
    }
}

/// `TransformerEncoder(nn.TransformerEncoderLayer(64,8,128),2)`: the number of layers, then what the
/// layer is given.
fn inner_arguments(positional: &[String]) -> String {
    let layer = stage(&positional[0]);
    let inner = layer.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
    format!("{}, {inner}", positional[1])
}

/// A value as Taper writes it.
fn python(value: &str) -> String {
    let value = value.trim();
    match value {
        "True" => "true".to_owned(),
        "False" => "false".to_owned(),
        "None" => "none".to_owned(),
        _ if value.starts_with('\'') => format!("\"{}\"", value.trim_matches('\'')),
        _ if value.starts_with(['(', '[']) => {
            let items: Vec<String> =
                split(&value[1..value.len() - 1]).iter().map(|item| python(item)).collect();
            format!("[{}]", items.join(", "))
        }
        _ if value.ends_with('.') => format!("{value}0"),
        _ => value.to_owned(),
    }
}

/// The parts between the commas that stand in no bracket.
pub fn split(text: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for char in text.chars() {
        depth += i32::from(matches!(char, '(' | '[')) - i32::from(matches!(char, ')' | ']'));
        if char == ',' && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(char);
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}
