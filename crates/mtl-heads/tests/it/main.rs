//! Heads held against PyTorch and central differences, and what every registered head has to keep to.

#[path = "../../../../tests/goldens/golden.rs"]
mod golden;

mod conformance;
mod differences;
mod goldens;
mod variants;
