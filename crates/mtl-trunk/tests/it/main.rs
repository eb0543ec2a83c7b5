//! Trunks held against PyTorch, and what every registered trunk has to keep to.

#[path = "../../../../tests/goldens/golden.rs"]
mod golden;

mod conformance;
mod goldens;
