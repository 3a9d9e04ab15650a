//! Tree and catalogue to facts: names, shapes, paths, costs, diagnostics.
//!
//! Pure: text in, facts out. Files come from a [`Workspace`] that somebody else fills; editors are
//! not known here.

mod analyse;
mod changes;
mod codes;
mod configured;
mod definitions;
mod diagnostics;
mod differences;
mod duplicates;
mod estimate;
mod evaluate;
mod fingerprint;
mod growth;
mod influence;
mod memory;
mod model;
mod options;
mod promise;
mod quantization;
mod rows;
mod seen;
mod stored;
mod training;
mod unused;
mod weights;
mod workspace;
mod written;

pub use analyse::{Analysis, analyse};
pub use changes::{Change, Leaf, changes};
pub use codes::Code;
pub use configured::{Configured, ConfiguredArgument};
pub use definitions::{Definition, DefinitionKind, Symbol};
pub use diagnostics::{Diagnostic, Fix, Severity};
pub use differences::{Difference, Differences, Side};
pub use estimate::{Ceilings, DATA_SHEETS, DataSheet, EstimatedLayer, estimate};
pub use evaluate::FIGURES;
pub use fingerprint::Fingerprints;
pub use growth::{Growth, GrowthTerm, flops_growth, grouped};
pub use influence::{Influence, influence};
pub use model::{Dim, Model, PartUse, Use, WeightBytes};
pub use options::{Latency, Options};
pub use quantization::{Quantization, Stored};
pub use rows::{Located, Row, Visited};
pub use seen::Seen;
pub use training::{Recomputation, Training};
pub use workspace::{FileId, NodeRef, Place, Workspace};
pub use written::{
    Counted, Expert, Export, Flowing, Inner, LayerUse, ParameterPath, Part, Segments, Source,
    Stated, Step, StepPath, Taken, TensorId, Totals, What, join_path,
};
