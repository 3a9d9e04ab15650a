//! What a user may set.

use conventions::Convention;
use layers::DType;
use syntax::ast;

use crate::Configured;

/// What a user may set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// Sizes of symbols and values of parameters, by name.
    pub set: Vec<(String, String)>,
    /// Overrides the dtype of every model.
    pub dtype: Option<DType>,
    /// Kinds of layers whose work is not counted, such as `BatchNorm2d`.
    pub ignore: Vec<String>,
    /// The only kinds of layers whose work is counted; all if there are none.
    pub only: Vec<String>,
    /// Whose rules count the work; our own unless given.
    pub count: Option<&'static Convention>,
    /// The one model to analyse, with the arguments that a config gives it.
    pub configured: Option<Configured>,
    /// The one model or block to analyse; all of the file unless given. Mistakes in others are not told.
    pub model: Option<String>,
    /// How long models were measured to take, for expectations.
    pub latencies: Vec<Latency>,
    /// Writes out every use of a block anew. Slow; it changes nothing, which is what tests ask.
    pub without_memo: bool,
}

/// How long a model takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Latency {
    /// The model's name.
    pub model: String,
    /// Where: `cpu`, `cuda:0`.
    pub device: String,
    /// Seconds.
    pub seconds: f64,
}

impl Latency {
    /// Whether it is of a device that an expectation names: `cuda` is every `cuda:0`.
    pub(crate) fn is_on(&self, device: &str) -> bool {
        let kind = self.device.split_once(':').map_or(self.device.as_str(), |(kind, _)| kind);
        self.device == device || kind == device
    }
}

impl Options {
    /// What gives the model's parameters their values; of two the later one does.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = (&str, &str)> {
        let configured = self.configured.iter().flat_map(|configured| &configured.arguments);
        let configured = configured.map(|one| (one.name.as_str(), one.value.as_str()));
        configured.chain(self.set.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// Whether a model is one that is asked for.
    pub(crate) fn shows(&self, item: ast::Item<'_>) -> bool {
        let name = item.name().map_or("", |name| name.text());
        if self.model.as_ref().is_some_and(|model| model != name) {
            return false;
        }
        self.configured.as_ref().is_none_or(|configured| {
            item.is_model() && item.name().is_some_and(|name| name.text() == configured.model)
        })
    }
}
