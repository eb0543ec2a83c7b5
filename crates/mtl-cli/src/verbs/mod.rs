//! One file a verb.

pub mod balance;
pub mod data;
pub mod eval;
pub mod generate;
pub mod list;
pub mod predict;
pub mod resume;
pub mod train;
