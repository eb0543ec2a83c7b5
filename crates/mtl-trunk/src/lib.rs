//! Shared encoders: images in, features at strides 2, 4 and 8 out.
