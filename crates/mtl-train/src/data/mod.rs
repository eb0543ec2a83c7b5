//! The data of a run: opening, splitting, label counts, and checks against the configuration.

mod labels;
mod plan;
pub(crate) mod sources;
mod tasks;

pub(crate) use plan::size_of;
pub use plan::{Plan, open_data};
pub use tasks::match_tasks;
