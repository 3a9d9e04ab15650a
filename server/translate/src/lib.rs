//! A model in another language: Taper to PyTorch, and PyTorch to Taper.
//!
//! Both ways find what owns and calls what, write each such unit with [holes](template) for its numbers, and
//! make of units that differ in numbers only [one class](classes) that takes them as arguments.

mod classes;
pub mod export;
pub mod import;
mod names;
mod template;
