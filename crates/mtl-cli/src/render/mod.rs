//! Text of results: tables, scores, numbers.

pub mod number;
pub mod scores;
pub mod table;
