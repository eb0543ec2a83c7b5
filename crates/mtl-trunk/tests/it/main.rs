//! Trunks against PyTorch, requirements on every registered trunk, and a trunk and a sharing from outside the crate.

#[path = "../../../../tests/goldens/golden.rs"]
mod golden;

mod conformance;
mod goldens;
mod outside;
