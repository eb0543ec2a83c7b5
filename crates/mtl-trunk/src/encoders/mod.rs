//! The built-in trunks, one file each.

pub mod convnet;
pub mod resnet;
