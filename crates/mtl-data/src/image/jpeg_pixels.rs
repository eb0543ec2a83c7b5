//! The pixels of a JPEG, by `zune-jpeg`, the decoder of the crate `image`.
//!
//! Through `image` the headers are read three times per file (size, orientation, pixels) and the file is copied; here they are
//! read once.

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use crate::error::Problem;
use crate::image::header::check_size;
use crate::image::jpeg;

/// A file whose headers have been read.
pub(super) struct Jpeg<'a> {
    decoder: JpegDecoder<ZCursor<&'a [u8]>>,
    /// Columns and rows, as they are stored.
    pub(super) dimensions: (u32, u32),
    /// Stored with one colour component.
    pub(super) grey: bool,
    pub(super) orientation: Orientation,
}

impl<'a> Jpeg<'a> {
    /// Reads the headers.
    ///
    /// # Errors
    /// [`Problem::Truncated`] for a file that ends early, [`Problem::TooLarge`], or [`Problem::Damaged`].
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Problem> {
        jpeg::end(bytes, false)?;
        // Sizes are checked below, like those of other formats; damaged data that every other program shows are shown.
        let options =
            DecoderOptions::default().set_strict_mode(false).set_max_width(usize::MAX).set_max_height(usize::MAX);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(damaged)?;
        let (width, height) = decoder.dimensions().ok_or(Problem::Truncated)?;
        let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
        let dimensions = (width as u32, height as u32);
        let colours = if grey { 1 } else { 3 };
        check_size(dimensions, width as u64 * height as u64 * colours)?;
        if grey {
            decoder.set_options(decoder.options().jpeg_set_out_colorspace(ColorSpace::Luma));
        }
        let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
        Ok(Self { dimensions, grey, orientation: orientation.unwrap_or(Orientation::NoTransforms), decoder })
    }

    /// Decodes to grey or RGB.
    ///
    /// # Errors
    /// [`Problem::Damaged`].
    pub(super) fn pixels(mut self) -> Result<DynamicImage, Problem> {
        let (width, height) = self.dimensions;
        let pixels = self.decoder.decode().map_err(damaged)?;
        let image = if self.grey {
            GrayImage::from_raw(width, height, pixels).map(DynamicImage::from)
        } else {
            RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
        };
        image.ok_or_else(|| Problem::Damaged("fewer pixels than its header says".into()))
    }
}

fn damaged(error: DecodeErrors) -> Problem {
    Problem::Damaged(error.to_string())
}
