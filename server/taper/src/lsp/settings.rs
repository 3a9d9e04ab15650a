//! What a user may set, under `taper.` in an editor. The comments here are the documentation: the
//! table in docs/settings.md is made from them.

use std::{borrow::Cow, collections::BTreeMap};

use ide::{BenchDevice, Display, Heat, HintParts, Units};
use layers::Unit;
use reports::{DATA_SHEETS, DataSheet};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::count;

/// All settings with their defaults.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// What inlay hints say, and where.
    pub hints: Hints,
    /// What stands out.
    pub heat: HeatSettings,
    /// Benchmarks.
    pub bench: Bench,
    /// The device whose data sheet gives estimates in hovers, as `"h100"`; `taper estimate --devices`
    /// lists them.
    pub estimate: Option<String>,
    /// How numbers are written.
    pub units: UnitSettings,
    /// Whose rules count the work.
    pub count: Count,
    /// Kinds of layers whose work is not counted, such as `["BatchNorm2d", "ReLU"]`.
    pub ignore: Vec<String>,
    /// The only kinds of layers whose work is counted, such as `["Conv2d", "Linear"]`; all if there are none.
    pub only: Vec<String>,
    /// Sizes of symbols and values of parameters to show, such as `{"N": 8, "T": 2048}`; each where a
    /// model has it.
    pub sizes: BTreeMap<String, Size>,
    /// Taper files with models for configs whose architecture the library lacks, by their whole paths.
    pub architectures: Vec<String>,
    /// The dtype of weights and activations, such as `"bf16"`; a model's own unless given.
    pub dtype: Option<DType>,
}

/// What inlay hints say, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Hints {
    /// Hints beside steps.
    pub steps: bool,
    /// Hints beside the heads of models and blocks.
    pub items: bool,
    /// Hints beside `let`s and inputs: their values and shapes.
    pub values: bool,
    /// The shape of a step's output.
    pub shape: bool,
    /// The parameters of a step.
    pub params: bool,
    /// The work of a step: `"flops"`, `"macs"` or `"none"`.
    pub work: WorkUnit,
    /// The bytes of the tensors that a step makes.
    pub memory: bool,
    /// The step's share of its model's work.
    pub share: bool,
    /// The time of a step, if it was measured.
    pub time: bool,
    /// Steps with a smaller share of their model's FLOPs, parameters and activations, in percent,
    /// have no hint.
    pub minimum_share: f64,
}

impl Default for Hints {
    fn default() -> Hints {
        Hints {
            steps: true,
            items: true,
            values: true,
            shape: true,
            params: true,
            work: WorkUnit::Flops,
            memory: false,
            share: true,
            time: true,
            minimum_share: 0.0,
        }
    }
}

/// How the work of a step is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum WorkUnit {
    Flops,
    Macs,
    None,
}

/// Benchmarks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Bench {
    /// The program that measures with its arguments, such as
    /// `["ssh", "gpu-box", "taper", "bench", "--stdio"]`; Taper itself unless given. It is run as it
    /// stands here, so an editor must not take it from a project that is not trusted.
    pub command: Vec<String>,
    /// The devices that are offered; unless given the CPU and the GPUs of this machine, or
    /// `["cuda:0", "cpu"]` where `command` is another program.
    pub devices: Option<Vec<String>>,
    /// The most seconds of counted runs.
    pub seconds: f64,
}

impl Default for Bench {
    fn default() -> Bench {
        Bench { command: Vec::new(), devices: None, seconds: 30.0 }
    }
}

impl Bench {
    /// The devices that are offered, where these GPUs were found, or none for a reason.
    pub fn devices(&self, gpus: &Result<Vec<String>, String>) -> Vec<BenchDevice> {
        let usable = |id: &str| BenchDevice { id: id.to_owned(), disabled: None };
        match (&self.devices, self.command.is_empty(), gpus) {
            (Some(named), _, _) => named.iter().map(|id| usable(id)).collect(),
            (None, false, _) => vec![usable("cuda:0"), usable("cpu")],
            (None, true, Ok(gpus)) => {
                gpus.iter().map(|id| usable(id)).chain([usable("cpu")]).collect()
            }
            (None, true, Err(reason)) => {
                let disabled = Some(reason.clone());
                vec![usable("cpu"), BenchDevice { id: "cuda:0".to_owned(), disabled }]
            }
        }
    }
}

/// What stands out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct HeatSettings {
    /// The share of its model's FLOPs, parameters or activations, in percent, from which a layer is
    /// marked and its name has the modifier `hot`.
    pub threshold: f64,
    /// What marks the figure in a hint; empty for nothing.
    pub mark: String,
}

impl Default for HeatSettings {
    fn default() -> HeatSettings {
        let Heat { threshold, mark } = Heat::default();
        HeatSettings { threshold: 100.0 * threshold, mark }
    }
}

/// How numbers are written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct UnitSettings {
    /// Bytes by powers of 1024 (`"binary"`: MiB) or of 1000 (`"si"`: MB).
    pub bytes: ByteUnit,
    /// How many digits a shortened number has, 3 to 9.
    pub digits: u8,
}

impl Default for UnitSettings {
    fn default() -> UnitSettings {
        UnitSettings { bytes: ByteUnit::Binary, digits: 3 }
    }
}

/// The powers by which bytes are shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum ByteUnit {
    Binary,
    Si,
}

/// Whose rules count the work: `"taper"`, or the name of another tool.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Count(count::Count);

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(count::name(self.0))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Count, D::Error> {
        let name = String::deserialize(deserializer)?;
        match count::find(&name) {
            Some(count) => Ok(Count(count)),
            None => Err(serde::de::Error::custom(format!("nothing counts as `{name}`"))),
        }
    }
}

impl JsonSchema for Count {
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let (names, summaries): (Vec<_>, Vec<_>) = count::all().unzip();
        json_schema!({"type": "string", "enum": names, "enumDescriptions": summaries})
    }
}

/// A size, or any value of a parameter as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Size {
    Number(u64),
    Text(String),
}

/// A dtype by its name, in Taper's spelling or PyTorch's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DType(String);

impl<'de> Deserialize<'de> for DType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<DType, D::Error> {
        let name = String::deserialize(deserializer)?;
        match layers::DType::parse(&name) {
            Some(_) => Ok(DType(name)),
            None => Err(serde::de::Error::custom(format!("`{name}` is no dtype"))),
        }
    }
}

impl Settings {
    /// The settings in two objects of a client, the second over the first, and what is wrong in
    /// them: each wrong value is named, and its default taken.
    pub fn read(below: &Value, above: &Value) -> (Settings, Vec<String>) {
        let mut value = Value::Object(serde_json::Map::new());
        for layer in [below, above] {
            let mut layer = layer.get("taper").unwrap_or(layer).clone();
            // `null` is what editors send for what is not set.
            drop_nulls(&mut layer);
            if layer.is_object() {
                lay_over(&mut value, layer);
            }
        }
        for own in CLIENT_KEYS {
            remove(&mut value, own);
        }
        let mut wrong = Vec::new();
        // As many turns as there can be wrong values.
        for _ in 0..100 {
            match serde_path_to_error::deserialize::<_, Settings>(&value) {
                Ok(settings) => {
                    wrong.extend(settings.check());
                    return (settings, wrong);
                }
                Err(error) => {
                    let path = error.path().to_string();
                    wrong.push(format!("the setting `taper.{path}` is wrong: {}", error.inner()));
                    if !remove(&mut value, &path) {
                        break;
                    }
                }
            }
        }
        (Settings::default(), wrong)
    }

    /// What has the right form and cannot be meant.
    fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let named = [("ignore", &self.ignore), ("only", &self.only)];
        let named =
            named.into_iter().flat_map(|(key, kinds)| kinds.iter().map(move |kind| (key, kind)));
        for (key, kind) in named.filter(|(_, kind)| !layers::is_kind(kind)) {
            let nearest = layers::nearest_kind(kind);
            let hint = nearest.map_or(String::new(), |name| format!("; did you mean `{name}`?"));
            wrong
                .push(format!("the setting `taper.{key}` names `{kind}`, which is no layer{hint}"));
        }
        let shares = [
            ("heat.threshold", self.heat.threshold),
            ("hints.minimumShare", self.hints.minimum_share),
        ];
        for (name, share) in shares.into_iter().filter(|(_, share)| !(0.0..=100.0).contains(share))
        {
            wrong.push(format!(
                "the setting `taper.{name}` is {share}; it is a share from 0 to 100"
            ));
        }
        if let Some(id) = self.estimate.as_ref().filter(|id| DataSheet::find(id).is_none()) {
            let known: Vec<&str> = DATA_SHEETS.iter().map(|sheet| sheet.id).collect();
            let known = known.join(", ");
            wrong.push(format!("the setting `taper.estimate` is `{id}`; there are {known}"));
        }
        if !(0.1..=3600.0).contains(&self.bench.seconds) {
            let seconds = self.bench.seconds;
            wrong
                .push(format!("the setting `taper.bench.seconds` is {seconds}; it is 0.1 to 3600"));
        }
        if !(3..=9).contains(&self.units.digits) {
            let digits = self.units.digits;
            wrong.push(format!("the setting `taper.units.digits` is {digits}; it is 3 to 9"));
        }
        wrong
    }

    /// What the analysis needs of them.
    pub fn options(&self) -> analysis::Options {
        let set = self.sizes.iter().map(|(name, size)| {
            let value = match size {
                Size::Number(size) => size.to_string(),
                Size::Text(text) => text.clone(),
            };
            (name.clone(), value)
        });
        let dtype = self.dtype.as_ref().and_then(|dtype| layers::DType::parse(&dtype.0));
        let (set, ignore, only) = (set.collect(), self.ignore.clone(), self.only.clone());
        analysis::Options { set, dtype, ignore, only, count: self.count.0, ..Default::default() }
    }

    /// How figures are shown.
    pub fn display(&self) -> Display {
        let Hints { steps, items, values, shape, params, work, memory, share, time, minimum_share } =
            self.hints;
        let work = match work {
            WorkUnit::Flops => Some(Unit::Flops),
            WorkUnit::Macs => Some(Unit::Macs),
            WorkUnit::None => None,
        };
        let minimum_share = minimum_share.clamp(0.0, 100.0) / 100.0;
        Display {
            hints: HintParts {
                steps,
                items,
                values,
                shape,
                params,
                work,
                memory,
                share,
                time,
                minimum_share,
            },
            units: Units {
                decimal_bytes: self.units.bytes == ByteUnit::Si,
                digits: usize::from(self.units.digits).clamp(3, 9),
            },
            heat: Heat {
                threshold: self.heat.threshold.clamp(0.0, 100.0) / 100.0,
                mark: self.heat.mark.clone(),
            },
            estimate: self.estimate.as_deref().and_then(DataSheet::find),
            devices: Vec::new(),
        }
    }
}

/// What clients keep under `taper` for themselves.
const CLIENT_KEYS: [&str; 2] = ["server", "trace"];

/// Puts the fields of an object into another, inner objects field by field.
fn lay_over(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                lay_over(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

fn drop_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, value| !value.is_null());
        fields.values_mut().for_each(drop_nulls);
    }
}

/// Removes the value at a path of dots. An item of a list takes the list with it.
fn remove(value: &mut Value, path: &str) -> bool {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let name = name.split('[').next().unwrap_or(name);
    let pointer: String =
        parent.split('.').filter(|part| !part.is_empty()).map(|part| format!("/{part}")).collect();
    let fields = value.pointer_mut(&pointer).and_then(Value::as_object_mut);
    fields.is_some_and(|fields| fields.remove(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn wrong_settings_are_named_and_the_rest_is_kept() {
        let below = json!({ "hints": { "memory": false, "items": false }, "trace": {} });
        let (settings, wrong) = Settings::read(
            &below,
            &json!({ "taper": {
                "hints": { "share": "yes", "memory": true, "colour": 3, "work": "macs" },
                "ignore": ["BatchNorm2d", "Liner"], "dtype": "float3", "sizes": { "N": 8, "T": null },
                "units": { "digits": 4 },
            }}),
        );
        assert!(settings.hints.memory && settings.hints.share && !settings.hints.items);
        assert_eq!(settings.hints.work, WorkUnit::Macs);
        assert_eq!(settings.options().set, [("N".to_owned(), "8".to_owned())]);
        assert_eq!(settings.display().units.digits, 4);
        let named: Vec<&str> =
            wrong.iter().filter_map(|message| message.split('`').nth(1)).collect();
        assert_eq!(named.len(), 4, "{wrong:?}");
        for name in ["taper.hints.share", "taper.hints.colour", "taper.dtype", "taper.ignore"] {
            assert!(named.contains(&name), "{name} is not in {wrong:?}");
        }
    }

    #[test]
    fn nothing_set_is_the_default() {
        for nothing in [Value::Null, json!({}), json!([]), json!(3)] {
            assert_eq!(Settings::read(&nothing, &nothing), (Settings::default(), Vec::new()));
        }
        assert_eq!(Settings::default().display(), Display::default());
    }

    /// A setting as the pages and the editors tell of it.
    struct Setting {
        path: String,
        schema: Value,
        default: Value,
        what: String,
    }

    fn all_settings() -> (Value, Vec<Setting>) {
        let schema = schemars::schema_for!(Settings).to_value();
        let defaults = serde_json::to_value(Settings::default()).expect("JSON");
        let mut settings = Vec::new();
        add_settings(&schema, &schema, &defaults, "taper", &mut settings);
        (schema, settings)
    }

    fn add_settings(
        root: &Value,
        schema: &Value,
        defaults: &Value,
        path: &str,
        settings: &mut Vec<Setting>,
    ) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            let target = resolved(root, property);
            if target["properties"].is_object() {
                add_settings(root, target, &defaults[name], &path, settings);
                continue;
            }
            let what = property["description"].as_str().or(target["description"].as_str());
            settings.push(Setting {
                path,
                schema: property.clone(),
                default: defaults[name].clone(),
                what: what.unwrap_or_default().replace('\n', " "),
            });
        }
    }

    /// A schema without references and without what is said of them.
    fn written_out(root: &Value, schema: &Value) -> Value {
        let mut schema = resolved(root, schema).clone();
        match &mut schema {
            Value::Object(fields) => {
                for field in ["description", "default", "title", "format"] {
                    fields.remove(field);
                }
                fields.values_mut().for_each(|field| *field = written_out(root, field));
            }
            Value::Array(items) => {
                items.iter_mut().for_each(|item| *item = written_out(root, item));
            }
            _ => {}
        }
        schema
    }

    fn resolved<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
        let reference = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        reference.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
    }

    fn kind(root: &Value, schema: &Value) -> String {
        let schema = resolved(root, schema);
        let texts = |values: &Value| -> Vec<String> {
            values.as_array().into_iter().flatten().map(|value| format!("`{value}`")).collect()
        };
        if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
            let kinds: Vec<String> = choices
                .iter()
                .map(|choice| match choice.get("const") {
                    Some(value) => format!("`{value}`"),
                    None => kind(root, choice),
                })
                .collect();
            return kinds.join(" or ");
        }
        if schema["enum"].is_array() {
            return texts(&schema["enum"]).join(" or ");
        }
        if let Some(types) = schema["type"].as_array() {
            let kinds = types.iter().map(|one| {
                let mut schema = schema.clone();
                schema["type"] = one.clone();
                kind(root, &schema)
            });
            return kinds.collect::<Vec<_>>().join(" or ");
        }
        match schema["type"].as_str().unwrap_or_default() {
            "array" => format!("list of {}s", kind(root, &schema["items"])),
            "object" => "object".to_owned(),
            "integer" => "whole number".to_owned(),
            "string" => "text".to_owned(),
            other => other.to_owned(),
        }
    }

    #[test]
    fn the_page_of_settings_is_current() {
        let mut page = String::from(
            "# Settings\n\nAn editor gives them under `taper` (VS Code: `settings.json`; Neovim: `settings = { taper = { … } }` \
             of\n`vim.lsp.config`; Helix: `config = { taper = { … } }` of the language server), or in `initializationOptions`. They \
             may\nchange at any time. A wrong one is named in a message, and its default is taken.\n\n\
             <!-- Made from server/taper/src/lsp/settings.rs by its tests. -->\n\n\
             | setting | type | default | what it does |\n| --- | --- | --- | --- |\n",
        );
        let (root, settings) = all_settings();
        for Setting { path, schema, default, what } in &settings {
            let kind = kind(&root, schema);
            page.push_str(&format!("| `{path}` | {kind} | `{default}` | {what} |\n"));
        }
        expect_test::expect_file!["../../../../docs/settings.md"].assert_eq(&page);
    }

    /// The settings that VS Code offers, in its extension's manifest: what stands there between the
    /// braces is made here, with `UPDATE_EXPECT=1` like other files.
    #[test]
    fn the_settings_of_vs_code_are_current() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../editors/vscode/package.json");
        let text = std::fs::read_to_string(manifest).expect("the manifest");
        let (root, settings) = all_settings();
        let lines = settings.iter().map(|Setting { path, schema, default, what }| {
            let mut shown = written_out(&root, schema);
            // A program that is run is the user's to name, not a project's.
            let scope = if path == "taper.bench.command" { "machine" } else { "window" };
            shown["default"] = default.clone();
            shown["scope"] = scope.into();
            shown["markdownDescription"] = what.as_str().into();
            format!("          {}: {shown}", Value::from(path.as_str()))
        });
        let lines = lines.collect::<Vec<_>>().join(",\n");
        let head = "\"title\": \"Taper\",\n        \"properties\": {\n";
        let start = text.find(head).expect("the settings") + head.len();
        let end = start + text[start..].find("\n        }\n").expect("their end");
        let current = format!("{}{lines}{}", &text[..start], &text[end..]);
        expect_test::expect_file![manifest].assert_eq(&current);
    }
}
