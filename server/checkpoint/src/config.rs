//! `config.json` of Hugging Face: keys with their values and places.

use std::ops::Range;

use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::{Object, Value},
    common::Ranged,
    errors::ParseError,
    parse_to_ast,
};

/// The largest config that is read: published ones have some kilobytes.
pub const MAX_CONFIG: usize = 1 << 20;

/// How deep objects and lists may be nested: published ones have three levels.
const MAX_DEPTH: usize = 32;

/// A config, read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// The keys in the order of the text; one of a nested object is dotted, as
    /// `text_config.hidden_size`, and comes after that of the object itself.
    pub keys: Vec<Key>,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Its path, with dots.
    pub path: String,
    /// Where its name stands, with the quotes.
    pub name: Range<usize>,
    /// Its value.
    pub value: ConfigValue,
    /// Where its value stands.
    pub place: Range<usize>,
}

/// A value of a config.
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigValue {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as it is written.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<ConfigValue>),
    /// An object, whose keys follow.
    Object,
}

/// Why a text is no config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where.
    pub place: Range<usize>,
    /// What is wrong, in the user's words.
    pub message: String,
}

impl Config {
    /// Reads a config.
    ///
    /// # Errors
    /// If the text is no JSON object, too large, or nested too deep.
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        let refuse = |place: Range<usize>, message: String| Err(ConfigError { place, message });
        if text.len() > MAX_CONFIG {
            let message =
                format!("a config of {} bytes is not read; at most {MAX_CONFIG}", text.len());
            return refuse(0..0, message);
        }
        if let Some(at) = too_deep(text) {
            return refuse(
                at..at + 1,
                format!("brackets within brackets more than {MAX_DEPTH} deep"),
            );
        }
        let options = ParseOptions {
            allow_comments: false,
            allow_loose_object_property_names: false,
            allow_trailing_commas: false,
            ..ParseOptions::default()
        };
        let parsed = match parse_to_ast(text, &CollectOptions::default(), &options) {
            Ok(parsed) => parsed,
            Err(error) => return Err(config_error(&error)),
        };
        let Some(Value::Object(object)) = &parsed.value else {
            return refuse(0..text.len().min(1), "a config is an object, `{ … }`".to_owned());
        };
        let mut config = Config::default();
        config.collect("", object);
        Ok(config)
    }

    fn collect(&mut self, prefix: &str, object: &Object<'_>) {
        for property in &object.properties {
            let name = property.name.as_str();
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
            let (at, place) = (property.name.range(), property.value.range());
            self.keys.push(Key {
                path: path.clone(),
                name: at.start..at.end,
                value: value(&property.value),
                place: place.start..place.end,
            });
            if let Value::Object(inner) = &property.value {
                self.collect(&path, inner);
            }
        }
    }

    /// The key of a path.
    pub fn key(&self, path: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.path == path)
    }

    /// The text of a key.
    pub fn text(&self, path: &str) -> Option<&str> {
        match &self.key(path)?.value {
            ConfigValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The architectures that it names.
    pub fn architectures(&self) -> impl Iterator<Item = &str> {
        let list = match self.key("architectures").map(|key| &key.value) {
            Some(ConfigValue::List(items)) => items.as_slice(),
            _ => &[],
        };
        list.iter().filter_map(|item| match item {
            ConfigValue::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Its values as arguments of a model, first under other names that transformers gives them,
    /// then under their own.
    pub fn arguments(&self) -> Vec<Argument<'_>> {
        let labels = self.key("id2label").filter(|key| key.value == ConfigValue::Object);
        let labels = labels.map(|key| {
            let prefix = format!("{}.", key.path);
            let count = self.keys.iter().filter(|key| key.path.starts_with(&prefix)).count();
            Argument { name: "num_labels".to_owned(), value: count.to_string(), key }
        });
        let keys = self.keys.iter().filter(|key| key.value != ConfigValue::Object);
        let values = keys.map(|key| (key, key.value.literal()));
        let others = values
            .clone()
            .filter_map(|(key, value)| Some(Argument { name: other_name(&key.path)?, value, key }));
        let own = values.map(|(key, value)| Argument { name: key.path.clone(), value, key });
        labels.into_iter().chain(others).chain(own).collect()
    }
}

/// An argument of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument<'c> {
    /// The name of the parameter.
    pub name: String,
    /// A literal of the language.
    pub value: String,
    /// Where it stands.
    pub key: &'c Key,
}

/// The name under which transformers reads a key that is written in a newer or older way.
fn other_name(path: &str) -> Option<String> {
    let (prefix, name) = match path.rsplit_once('.') {
        Some((prefix, name)) => (prefix, name),
        None => ("", path),
    };
    let join = |prefix: &str, name: &str| match prefix {
        "" => name.to_owned(),
        _ => format!("{prefix}.{name}"),
    };
    let (around, last) = prefix.rsplit_once('.').unwrap_or(("", prefix));
    match (last, name) {
        ("rope_scaling", "type") => Some(join(prefix, "rope_type")),
        ("rope_parameters", "rope_theta" | "partial_rotary_factor") => Some(join(around, name)),
        ("rope_parameters", name) => Some(join(&join(around, "rope_scaling"), name)),
        (_, "dtype") => Some(join(prefix, "torch_dtype")),
        _ => None,
    }
}

impl ConfigValue {
    /// As it is written in a Taper file.
    pub fn literal(&self) -> String {
        match self {
            ConfigValue::Null | ConfigValue::Object => "none".to_owned(),
            ConfigValue::Bool(value) => value.to_string(),
            ConfigValue::Number(number) => number.clone(),
            ConfigValue::Text(text) => format!("\"{text}\""),
            ConfigValue::List(items) => {
                let items: Vec<String> = items.iter().map(ConfigValue::literal).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }
}

fn value(value: &Value<'_>) -> ConfigValue {
    match value {
        Value::NullKeyword(_) => ConfigValue::Null,
        Value::BooleanLit(literal) => ConfigValue::Bool(literal.value),
        Value::NumberLit(literal) => ConfigValue::Number(literal.value.to_owned()),
        Value::StringLit(literal) => ConfigValue::Text(literal.value.to_string()),
        Value::Array(array) => ConfigValue::List(array.elements.iter().map(self::value).collect()),
        Value::Object(_) => ConfigValue::Object,
    }
}

fn config_error(error: &ParseError) -> ConfigError {
    let range = error.range();
    ConfigError {
        place: range.start..range.end,
        message: format!("this is no JSON: {}", error.kind().to_string().to_lowercase()),
    }
}

/// The place of a bracket that is too deep, found before anything recurses.
fn too_deep(text: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Some(at);
                }
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}
