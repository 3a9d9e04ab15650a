//! From a `config.json` to the model that it configures.
//!
//! A model named by the config's `architectures`, or else of its `model_type`, is looked for in the `.taper` files beside the config,
//! then in those that the user names, then in the library. It reads no file: texts come from a function that is given. Begin with
//! [`load`].

mod model_of_config;
mod used;

pub use model_of_config::{
    Candidates, ConfigFile, ConfiguredModel, Source, is_config, load, naming, says_its_model,
};
pub use used::load_used;
