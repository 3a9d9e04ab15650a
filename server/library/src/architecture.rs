//! What the library has.

/// A file of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    /// Its path in the library.
    pub path: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// An architecture that a config may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    /// Its name, as `MistralForCausalLM`.
    pub name: &'static str,
    /// The config's `model_type`, if it has one; of several architectures of one type the first is
    /// meant.
    pub model_type: Option<&'static str>,
    /// The file that has its model.
    pub(crate) path: &'static str,
    /// The model.
    pub model: &'static str,
    /// Where its defaults differ from those of the model.
    pub defaults: &'static [(&'static str, &'static str)],
}
