//! One file per verb.

pub mod balance;
pub mod compare;
pub mod data;
pub mod eval;
pub mod fetch;
pub mod generate;
pub mod list;
pub mod predict;
pub mod resume;
pub mod slices;
pub mod train;
