//! What stands beside the keys of a `config.json`: each number's share of the model, found by trying
//! another one.

use analysis::{ConfiguredArgument, Model, Place};
use reports::{Influence, grouped, influence};
use syntax::{TextRange, TextSize};

use crate::{
    Click, Hint, HintId, Hover, Lens, Snapshot, Units, device_lenses::benchmarks, display::work,
    percent,
};

/// The most modules that a hint names.
const MAX_NAMED: usize = 2;

/// The hints beside a config's numbers, in a range.
pub(crate) fn hints(snapshot: &Snapshot, range: Option<TextRange>) -> Vec<Hint> {
    let Some((model, arguments)) = configured(snapshot) else { return Vec::new() };
    let in_range =
        |place: &Place| range.is_none_or(|range| range.contains_inclusive(place.range.end()));
    let shown = arguments.filter_map(|argument| Some((argument, argument.at?.1)));
    let mut hints: Vec<Hint> = shown
        .filter(|(_, place)| in_range(place))
        .filter_map(|(argument, place)| {
            let label = label(snapshot, model, argument)?;
            let offset = after_comma(snapshot, place);
            let id = HintId { start: place.range.start(), offset };
            Some(Hint { offset, label, id })
        })
        .collect();
    hints.sort_by_key(|hint| hint.offset);
    hints.dedup_by_key(|hint| hint.offset);
    hints
}

/// The lines above a config: what the model is and needs, and the way to its layers.
pub(crate) fn lenses(snapshot: &Snapshot) -> Vec<Lens> {
    let Some((model, _)) = configured(snapshot) else { return Vec::new() };
    let range = TextRange::empty(TextSize::new(0));
    let lens = |title: String, click| Lens { range, title, click };
    let show = lens("Show layers".to_owned(), Some(Click::Layers(model.name.clone())));
    let mut lenses = vec![lens(title(snapshot, model), None), show];
    lenses.extend(benchmarks(snapshot, model, range));
    lenses
}

fn title(snapshot: &Snapshot, model: &Model) -> String {
    let (units, totals) = (snapshot.display.units, model.totals());
    let weights = model.weight_bytes();
    let dtypes = weights.params.keys().map(|dtype| dtype.to_string());
    let quantized = weights.quantized.iter().map(|(name, _)| name.clone());
    let dtypes: Vec<String> = quantized.chain(dtypes).collect();
    let active = match totals.active_params == totals.params {
        true => String::new(),
        false => format!(" ({} active)", units.count(totals.active_params)),
    };
    let mut parts = vec![
        model.name.to_string(),
        format!("{} params{active}", units.count(totals.params)),
        format!("{} {}", units.bytes(weights.total()), dtypes.join(", ")),
    ];
    match tokens(model) {
        Some(tokens) => {
            let unit = model.unit();
            let each = units.count_of(totals.work(unit) / tokens, unit.name());
            parts.push(format!("{each} per token"));
            if totals.cache_bytes > 0 {
                parts.push(format!("{} cache per token", units.bytes(totals.cache_bytes / tokens)));
            }
        }
        None => parts.push(work(units, model, totals)),
    }
    parts.join(" · ")
}

/// What is known of the key or value at an offset of a config.
pub(crate) fn hover(snapshot: &Snapshot, offset: TextSize) -> Option<Hover> {
    let (model, mut arguments) = configured(snapshot)?;
    let (argument, range) = arguments.find_map(|argument| {
        let (key, value) = argument.at?;
        let range =
            [key.range, value.range].into_iter().find(|range| range.contains_inclusive(offset))?;
        let is_known = model.arguments.iter().any(|(name, _)| *name == argument.name);
        is_known.then_some((argument, range))
    })?;
    let item = snapshot.workspace.node(model.item);
    let parameter = syntax::ast::Item::cast(item)?
        .parameters()
        .find(|parameter| parameter.path().is_some_and(|path| path.text() == argument.name))?;
    let default = parameter.default().map_or("none", |default| default.text());
    let mut markdown = format!(
        "`{}` of `{}` is {}; the default is {default}.\n",
        argument.name, model.name, argument.value
    );
    if let Some(found) = influence(&snapshot.workspace, model, &snapshot.options, &argument.name) {
        markdown.push_str(&influence_markdown(snapshot.display.units, model, &found));
    }
    Some(Hover { range, markdown })
}

/// The end of a value, behind its comma.
fn after_comma(snapshot: &Snapshot, place: Place) -> TextSize {
    let text = snapshot.workspace.parse(place.file).text();
    let end = place.range.end();
    let comma = text[usize::from(end)..].starts_with(',');
    if comma { end + TextSize::of(',') } else { end }
}

/// The model of a config, and the arguments that the config gives it.
fn configured(snapshot: &Snapshot) -> Option<(&Model, impl Iterator<Item = &ConfiguredArgument>)> {
    let configured = snapshot.options.configured.as_ref()?;
    Some((snapshot.analysis().models.first()?, configured.arguments.iter()))
}

fn label(snapshot: &Snapshot, model: &Model, argument: &ConfiguredArgument) -> Option<String> {
    let units = snapshot.display.units;
    if argument.name.ends_with("torch_dtype") {
        let bytes = model.weight_bytes().params.values().sum();
        return Some(format!("{} weights", units.bytes(bytes)));
    }
    if argument.name == "quantization_config.quant_method" {
        let (name, bytes) = model.weight_bytes().quantized?;
        return Some(format!("{} {name} weights", units.bytes(bytes)));
    }
    let found = influence(&snapshot.workspace, model, &snapshot.options, &argument.name)?;
    let mut parts = Vec::new();
    match copies(model, argument, &found) {
        Some((count, each)) => parts.push(format!("{count} × {} params", units.count(each))),
        None => parts.extend(modules_label(units, model, &found)),
    }
    let totals = model.totals();
    let tokens = tokens(model).filter(|_| found.repeats.is_none());
    if let Some(tokens) = tokens.filter(|_| found.totals.cache_bytes != totals.cache_bytes) {
        parts.push(format!("cache {} per token", units.bytes(totals.cache_bytes / tokens)));
    }
    let adds_none = parts.is_empty() && found.totals.params == totals.params;
    if adds_none && found.totals.active_params != totals.active_params {
        parts.push(format!("{} active params", units.count(totals.active_params)));
    }
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// How often the value repeats something, and what one copy has in the whole model.
fn copies(model: &Model, argument: &ConfiguredArgument, found: &Influence) -> Option<(u128, u128)> {
    let value: i64 = argument.value.parse().ok()?;
    let count = found.repeats.filter(|count| i128::try_from(*count) == Ok(value.into()))?;
    let more = u128::try_from(found.tried.checked_sub(value)?).ok()?;
    let each = found.totals.params.checked_sub(model.totals().params)?.checked_div(more)?;
    (each > 0).then_some((count, each))
}

/// The modules that depend on a key: their names if they are few or stand in one place.
fn modules_label(units: Units, model: &Model, found: &Influence) -> Option<String> {
    if found.is_structural {
        return None;
    }
    let sum: u128 = found.modules.iter().map(|(_, numel)| numel).sum();
    let named = |path: &str| {
        let mut names = path.rsplit('.').filter(|name| !matches!(*name, "*" | "weight" | "bias"));
        names.next().map(str::to_owned)
    };
    let count = |numel: u128| units.count(numel);
    let share = percent(sum, model.totals().params);
    let common = common_path(found.modules.iter().map(|(path, _)| path));
    match found.modules.len() {
        0 => None,
        _ if !common.is_empty() => Some(format!("{} {}, {share}", named(&common)?, count(sum))),
        1..=MAX_NAMED => {
            let each = found
                .modules
                .iter()
                .map(|(path, numel)| Some(format!("{} {}", named(path)?, count(*numel))));
            Some(each.collect::<Option<Vec<_>>>()?.join(" + "))
        }
        _ => {
            // `encoder.*.Mlp.wi` and `decoder.*.Mlp.wi` stand in modules of one name.
            let name = named(found.modules[0].0.rsplit_once('.')?.0);
            let around = |path: &str| named(path.rsplit_once('.')?.0);
            let same = found.modules.iter().all(|(path, _)| around(path) == name);
            let name = name.filter(|_| same).unwrap_or_else(|| "params".to_owned());
            Some(match name.as_str() {
                "params" => format!("{} params, {share}", count(sum)),
                name => format!("{name} {}, {share}", count(sum)),
            })
        }
    }
}

/// The path that all have in common.
fn common_path<'p>(mut paths: impl Iterator<Item = &'p String>) -> String {
    let Some(first) = paths.next() else { return String::new() };
    let mut common: Vec<&str> = first.split('.').collect();
    for path in paths {
        let same =
            common.iter().zip(path.split('.')).take_while(|(own, other)| *own == other).count();
        common.truncate(same);
    }
    // A stack of layers is no one place in them.
    while common.last().is_some_and(|last| *last == "*") {
        common.pop();
        common.pop();
    }
    common.join(".")
}

fn influence_markdown(units: Units, model: &Model, found: &Influence) -> String {
    let mut out = String::new();
    if !found.modules.is_empty() && !found.is_structural {
        out.push_str("\n| depends on it | parameters | share |\n|---|--:|--:|\n");
        for (path, numel) in &found.modules {
            let share = percent(*numel, model.totals().params);
            out.push_str(&format!("| `{path}` | {} | {share} |\n", grouped(*numel)));
        }
    }
    let (own, other, unit) = (model.totals(), &found.totals, model.unit());
    let change = |own: u128, other: u128, text: &dyn Fn(u128) -> String| match own.cmp(&other) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Less => Some(format!("+{}", text(other - own))),
        std::cmp::Ordering::Greater => Some(format!("−{}", text(own - other))),
    };
    let changes = [
        change(own.params, other.params, &|value| format!("{} params", units.count(value))),
        change(own.work(unit), other.work(unit), &|value| units.count_of(value, unit.name())),
        // Of quantised weights the difference is another one.
        change(own.param_bytes, other.param_bytes, &|value| {
            format!("{} weights", units.bytes(value))
        })
        .filter(|_| model.quantization.is_none()),
        change(own.cache_bytes, other.cache_bytes, &|value| {
            format!("{} cache", units.bytes(value))
        }),
    ];
    let changes: Vec<String> = changes.into_iter().flatten().collect();
    let changes = if changes.is_empty() { "nothing".to_owned() } else { changes.join(" · ") };
    out.push_str(&format!("\nWith {} instead: {changes}.\n", found.tried));
    out
}

/// How many tokens the shown sizes are, with those that a cache holds; none for other inputs.
fn tokens(model: &Model) -> Option<u128> {
    let size = |name: &str| {
        model
            .symbols
            .iter()
            .find(|symbol| symbol.name == *name)
            .map(|symbol| u128::from(symbol.size))
    };
    let past = model.arguments.iter().find(|(name, _)| name == "past");
    let past = past.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let tokens = size("B")?.checked_mul(size("T")?.checked_add(past)?)?;
    (tokens > 0).then_some(tokens)
}

#[cfg(test)]
mod tests {
    use analysis::{Configured, Options, Workspace};

    use super::*;

    /// A Llama with these keys.
    fn llama(keys: &[(&str, &str)]) -> Snapshot {
        let lines: Vec<String> =
            keys.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        let text = lines.join(",\n");
        let mut workspace = Workspace::default();
        let config = workspace.insert("config.json", syntax::parse(&text));
        let found = library::find("LlamaForCausalLM").expect("the architecture");
        let file = workspace.insert(&found.file_path(), syntax::parse(found.file().text));
        let place = |part: &str| {
            let start =
                TextSize::try_from(text.find(part).expect("it stands there")).expect("small");
            Place { file: config, range: TextRange::at(start, TextSize::of(part)) }
        };
        let arguments = keys.iter().zip(&lines).map(|((name, value), line)| {
            let whole = place(line);
            let value_range =
                TextRange::new(whole.range.end() - TextSize::of(*value), whole.range.end());
            let key = TextRange::at(whole.range.start(), TextSize::of(*name) + TextSize::new(2));
            ConfiguredArgument {
                name: (*name).to_owned(),
                value: (*value).to_owned(),
                at: Some((Place { range: key, ..whole }, Place { range: value_range, ..whole })),
            }
        });
        let configured = Configured {
            model: "LlamaForCausalLM".to_owned(),
            place: Place { file: config, range: TextRange::default() },
            arguments: arguments.collect(),
            weights: None,
        };
        Snapshot::of_config(workspace, config, Ok((file, configured)), Options::default())
    }

    /// Llama 3 8B.
    const KEYS: &[(&str, &str)] = &[
        ("hidden_size", "4096"),
        ("intermediate_size", "14336"),
        ("num_attention_heads", "32"),
        ("num_hidden_layers", "32"),
        ("num_key_value_heads", "8"),
        ("head_dim", "128"),
        ("rms_norm_eps", "1e-5"),
        ("torch_dtype", "\"bfloat16\""),
        ("vocab_size", "128256"),
    ];

    #[test]
    fn each_number_has_its_share() {
        let snapshot = llama(KEYS);
        assert_eq!(snapshot.analysis().diagnostics, []);
        let labels: Vec<String> =
            hints(&snapshot, None).into_iter().map(|hint| hint.label).collect();
        assert_eq!(
            labels,
            [
                "8.03 G params, 100.0 %",
                "mlp 5.64 G, 70.2 %",
                "self_attn 1.07 G, 13.4 %",
                "32 × 218 M params",
                "self_attn 268 M, 3.3 % · cache 128 KiB per token",
                "self_attn 1.34 G, 16.7 % · cache 128 KiB per token",
                "15.0 GiB weights",
                "embed_tokens 525 M + lm_head 525 M",
            ]
        );
        let lenses = super::lenses(&snapshot);
        assert_eq!(lenses[1].click, Some(Click::Layers("LlamaForCausalLM".into())));
        assert_eq!(
            lenses[0].title,
            "LlamaForCausalLM · 8.03 G params · 15.0 GiB bf16 · 15.1 GFLOP per token · 128 KiB cache per token"
        );
    }

    #[test]
    fn hover_says_what_one_more_costs() {
        let snapshot = llama(KEYS);
        let text = snapshot
            .workspace
            .parse(snapshot.options.configured.as_ref().expect("a config").place.file)
            .text();
        let offset =
            TextSize::try_from(text.find("num_hidden_layers").expect("the key")).expect("small");
        let hover = super::hover(&snapshot, offset).expect("a hover");
        assert_eq!(
            hover.markdown,
            "`num_hidden_layers` of `LlamaForCausalLM` is 32; the default is 32.\n\n\
             With 33 instead: +218 M params · +56.1 GFLOP · +416 MiB weights · +512 KiB cache.\n"
        );
        let offset = TextSize::try_from(text.find("vocab_size").expect("the key")).expect("small");
        let hover = super::hover(&snapshot, offset).expect("a hover");
        assert!(
            hover.markdown.contains("| `model.embed_tokens` | 525,336,576 | 6.5 % |"),
            "{}",
            hover.markdown
        );
    }

    #[test]
    fn mistakes_stand_at_their_keys() {
        let of = |keys: &[(&str, &str)]| {
            let snapshot = llama(keys);
            let text = |place: Place| {
                snapshot.workspace.parse(place.file).text()
                    [std::ops::Range::<usize>::from(place.range)]
                .to_owned()
            };
            let found = snapshot.analysis().diagnostics.iter();
            found
                .map(|found| format!("{}: {}", text(found.place), found.message))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of(&[("hidden_size", "4096"), ("num_attention_heads", "33")]),
            ["4096: `head_dim or hidden_size % num_attention_heads == 0` does not hold"]
        );
        assert_eq!(
            of(&[("hiden_size", "4096")]),
            [
                "\"hiden_size\": `hiden_size` is no key of `LlamaForCausalLM`; did you mean `hidden_size`?"
            ]
        );
        assert_eq!(
            of(&[("vocab_size", "\"many\"")])[0],
            "\"many\": `vocab_size` is a whole number, such as 32000; here stands \"many\""
        );
        assert_eq!(
            of(&[("intermediate_size", "-5")]),
            [
                "-5: `intermediate_size` is a whole number of at least 0, such as 11008; here stands -5"
            ]
        );
    }
}
