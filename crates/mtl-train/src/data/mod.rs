//! The data of a run: opening, splitting, label counts, and checks against the configuration.

pub(crate) mod identity;
mod labels;
mod plan;
pub(crate) mod sources;

pub(crate) use plan::size_of;
pub use plan::{Plan, open_data};
