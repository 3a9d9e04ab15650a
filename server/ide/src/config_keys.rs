//! The keys of Hugging Face's configs, as the models of the library name them.

use std::{collections::BTreeMap, sync::LazyLock};

/// Each key with its default, without quotes around names in braces.
pub(crate) fn config_keys() -> &'static BTreeMap<String, String> {
    static KEYS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
        let mut keys = BTreeMap::new();
        for file in library::FILES {
            let parse = syntax::parse(file.text);
            for item in parse.file().items().filter(|item| item.is_model()) {
                for parameter in item.parameters() {
                    if let Some((path, default)) = parameter.path().zip(parameter.default()) {
                        keys.entry(path.text().to_owned())
                            .or_insert_with(|| default.text().to_owned());
                    }
                }
            }
        }
        keys
    });
    &KEYS
}
