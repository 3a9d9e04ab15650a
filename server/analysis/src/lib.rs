//! Tree and catalogue to facts: names, shapes, paths, costs, diagnostics.
//!
//! Pure: text in, facts out. Files come from a [`Workspace`] that somebody else fills; editors are
//! not known here.

mod analyse;
mod codes;
mod configured;
mod definitions;
mod diagnostics;
mod duplicates;
mod evaluate;
mod fingerprint;
mod memory;
mod model;
mod options;
mod promise;
mod quantization;
mod rows;
mod seen;
mod stored;
mod unused;
mod weights;
mod workspace;
mod written;

pub use analyse::{Analysis, Elsewhere, analyse, instantiate};
pub use codes::Code;
pub use configured::{Configured, ConfiguredArgument};
pub use definitions::{Definition, DefinitionKind, Symbol};
pub use diagnostics::{Diagnostic, Fix, Severity};
pub use evaluate::FIGURES;
pub use fingerprint::Fingerprints;
pub use model::{Dim, Model, PartUse, Use, WeightBytes, uses_in};
pub use options::{Latency, Options};
pub use promise::Sample;
pub use quantization::{Quantization, Stored};
pub use rows::{Located, Row, Visited};
pub use seen::Seen;
pub use workspace::{FileId, NodeRef, Place, Workspace};
pub use written::{
    Counted, DEFAULT_DTYPE, Expert, Export, Flowing, Inner, LayerUse, Memory, ParameterPath, Part,
    Segments, Source, Stated, Step, StepPath, Taken, TensorId, Totals, What, join_path,
};
