//! Questions about one or two analysed models: what training needs, how a figure grows with a size, what depends on an
//! argument, in which terms two counts differ, what changed, how long a device takes at least.
//!
//! A report reads a [`analysis::Model`] and gives plain data. It writes no text for people, which is the work of `ide` and of the
//! commands, and analyses no source itself, but for [`growth`] and [`influence`], which have a model written out again elsewhere.
//! Start with the report that you look for: each is a file, named by its question.

mod changes;
mod differences;
mod estimate;
mod growth;
mod influence;
mod training;

pub use changes::{Change, Leaf, changes};
pub use differences::{Difference, Differences, Side};
pub use estimate::{Ceilings, DATA_SHEETS, DataSheet, EstimatedLayer, estimate};
pub use growth::{Growth, GrowthTerm, flops_growth, grouped};
pub use influence::{Influence, influence};
pub use training::{Recomputation, Training};
