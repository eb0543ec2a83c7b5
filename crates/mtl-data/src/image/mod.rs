//! Images, masks and depth maps: decoding, resizing, fingerprints, and the meaning of mask values.

pub mod area;
pub mod colours;
pub mod decode;
pub mod depth;
#[cfg(feature = "dicom")]
mod dicom;
pub mod fingerprint;
pub(crate) mod foreign;
pub mod header;
mod jpeg;
mod jpeg_pixels;
pub mod mask;
pub mod palette;
pub mod picture;
pub mod polygon;
pub mod range;
pub mod resize;
pub mod runs;
mod stored;
mod tiff;
