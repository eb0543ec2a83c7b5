//! Text of results: tables, scores, numbers.

pub mod generation;
pub mod number;
pub mod scores;
pub mod table;
