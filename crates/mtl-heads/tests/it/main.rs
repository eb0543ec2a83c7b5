//! Heads against PyTorch and central differences, and requirements on every registered head.

#[path = "../../../../tests/goldens/golden.rs"]
mod golden;

mod conformance;
mod differences;
mod goldens;
mod non_finite;
mod standardised;
mod variants;
