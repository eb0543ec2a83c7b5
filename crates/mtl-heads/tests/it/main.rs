//! Heads held against PyTorch, and what every registered head has to keep to.

#[path = "../../../../tests/goldens/golden.rs"]
mod golden;

mod goldens;
