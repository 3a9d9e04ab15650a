//! The protocol's meta model: whether a message has the form that its method says.

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::Value;

/// The types of the protocol by their names, and those of its messages by their methods.
pub struct MetaModel {
    requests: BTreeMap<String, Value>,
    notifications: BTreeMap<String, Value>,
    structures: BTreeMap<String, Value>,
    enumerations: BTreeMap<String, Value>,
    aliases: BTreeMap<String, Value>,
}

/// What a message is.
pub enum Message<'m> {
    /// A request or notification.
    Call { method: &'m str, params: Option<&'m Value>, is_request: bool },
    /// The result of a request.
    Result { method: &'m str, result: &'m Value },
}

pub static META_MODEL: LazyLock<MetaModel> = LazyLock::new(|| {
    let model: Value =
        serde_json::from_str(include_str!("meta_model.json")).expect("the meta model");
    let by = |list: &str, key: &str| -> BTreeMap<String, Value> {
        let entries = model[list].as_array().expect("a list").iter();
        entries.map(|one| (one[key].as_str().expect("a name").to_owned(), one.clone())).collect()
    };
    MetaModel {
        requests: by("requests", "method"),
        notifications: by("notifications", "method"),
        structures: by("structures", "name"),
        enumerations: by("enumerations", "name"),
        aliases: by("typeAliases", "name"),
    }
});

impl MetaModel {
    /// Fails with the place and the reason where a message is not as the protocol says.
    pub fn check(&self, message: &Message<'_>) -> Result<(), String> {
        match message {
            Message::Call { method, params, is_request } => {
                let methods = if *is_request { &self.requests } else { &self.notifications };
                let declared =
                    methods.get(*method).ok_or_else(|| format!("no method is called {method}"))?;
                match (declared.get("params"), params) {
                    (Some(ty), Some(value)) => self.value(ty, value, method),
                    (Some(_), None) => Err(format!("{method} lacks its parameters")),
                    (None, None | Some(Value::Null)) => Ok(()),
                    (None, Some(_)) => Err(format!("{method} has no parameters")),
                }
            }
            Message::Result { method, result } => {
                let declared = self.requests.get(*method);
                let declared = declared.ok_or_else(|| format!("no request is called {method}"))?;
                self.value(&declared["result"], result, &format!("{method} result"))
            }
        }
    }

    fn value(&self, ty: &Value, value: &Value, place: &str) -> Result<(), String> {
        let name = ty["name"].as_str().unwrap_or_default();
        let no = || {
            Err(format!(
                "{place}: {value} is no {}",
                if name.is_empty() { "value of its type" } else { name }
            ))
        };
        match ty["kind"].as_str().unwrap_or_default() {
            "base" => {
                let fits = match name {
                    "string" | "URI" | "DocumentUri" | "RegExp" => value.is_string(),
                    "integer" => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
                    "uinteger" => value.as_u64().is_some_and(|n| n < 1 << 31),
                    "decimal" => value.is_number(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    _ => false,
                };
                if fits { Ok(()) } else { no() }
            }
            "reference" => self.named(name, value, place),
            "array" => match value.as_array() {
                Some(items) => items.iter().enumerate().try_for_each(|(index, item)| {
                    self.value(&ty["element"], item, &format!("{place}[{index}]"))
                }),
                None => no(),
            },
            "map" => match value.as_object() {
                Some(entries) => entries.iter().try_for_each(|(key, entry)| {
                    self.value(&ty["value"], entry, &format!("{place}.{key}"))
                }),
                None => no(),
            },
            "or" => {
                let tried = ty["items"].as_array().expect("alternatives").iter();
                let failures: Vec<String> =
                    tried.map_while(|one| self.value(one, value, place).err()).collect();
                match failures.len() == ty["items"].as_array().map_or(0, Vec::len) {
                    true => Err(failures.join("; or ")),
                    false => Ok(()),
                }
            }
            "tuple" => match value.as_array() {
                Some(items) if items.len() == ty["items"].as_array().map_or(0, Vec::len) => {
                    let types = ty["items"].as_array().expect("types").iter();
                    types.zip(items).try_for_each(|(ty, item)| self.value(ty, item, place))
                }
                _ => no(),
            },
            "literal" => {
                let properties = ty["value"]["properties"].as_array().expect("properties");
                self.object(&properties.iter().collect::<Vec<_>>(), value, place)
            }
            "stringLiteral" => {
                if value == &ty["value"] {
                    Ok(())
                } else {
                    no()
                }
            }
            kind => Err(format!("{place}: the meta model has a `{kind}`")),
        }
    }

    fn named(&self, name: &str, value: &Value, place: &str) -> Result<(), String> {
        if matches!(name, "LSPAny" | "LSPObject" | "LSPArray") {
            return Ok(());
        }
        if let Some(alias) = self.aliases.get(name) {
            return self.value(&alias["type"], value, place);
        }
        if let Some(declared) = self.enumerations.get(name) {
            let values = declared["values"].as_array().expect("values");
            let is_open = declared["supportsCustomValues"] == true;
            let is_known = values.iter().any(|known| known["value"] == *value);
            return match is_known || is_open {
                true => self.value(&declared["type"], value, place),
                false => Err(format!("{place}: {value} is no {name}")),
            };
        }
        let mut properties = Vec::new();
        self.properties(name, &mut properties);
        self.object(&properties, value, place)
    }

    /// The properties of a structure, with those of what it extends.
    fn properties<'m>(&'m self, name: &str, out: &mut Vec<&'m Value>) {
        let Some(structure) = self.structures.get(name) else { return };
        out.extend(structure["properties"].as_array().into_iter().flatten());
        for list in ["extends", "mixins"] {
            for parent in structure[list].as_array().into_iter().flatten() {
                self.properties(parent["name"].as_str().unwrap_or_default(), out);
            }
        }
    }

    fn object(&self, properties: &[&Value], value: &Value, place: &str) -> Result<(), String> {
        let Some(fields) = value.as_object() else {
            return Err(format!("{place}: {value} is no object"));
        };
        for property in properties {
            let name = property["name"].as_str().unwrap_or_default();
            match fields.get(name) {
                Some(field) => self.value(&property["type"], field, &format!("{place}.{name}"))?,
                None if property["optional"] == true => {}
                None => return Err(format!("{place} lacks `{name}`")),
            }
        }
        let unknown = fields
            .keys()
            .find(|key| properties.iter().all(|property| property["name"] != key.as_str()));
        match unknown {
            Some(key) => Err(format!("{place} has an unknown `{key}`")),
            None => Ok(()),
        }
    }
}
