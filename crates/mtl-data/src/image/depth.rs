//! Depth files: one number per pixel.
//!
//! A depth map is a grey image. Its stored numbers are kept at every number of bits: a 16-bit PNG in millimetres gives
//! millimetres. A colour picture of depths is refused: its colours are no numbers.

use image::{DynamicImage, ImageFormat};
use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::image::decode;
use crate::image::stored::{self, Layout, Samples};
use crate::size::Size;

/// How stored numbers stand for depths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Encoding {
    /// Stored numbers that mean "not measured"; NaN always does.
    pub invalid: Vec<f64>,
    /// Depth of the stored number 1.
    pub scale: f64,
}

/// The depths of a file, NaN where not measured, and its size.
///
/// # Errors
/// [`Problem`]; [`Problem::ColourDepth`] if a pixel has a colour.
pub fn depth(bytes: &[u8], encoding: &Encoding) -> Result<(Vec<f32>, Size), Problem> {
    let image = decode::decode(bytes)?;
    let size = decode::size_of(&image);
    let value = |stored: f64| {
        let missing = !stored.is_finite() || encoding.invalid.contains(&stored);
        if missing { f32::NAN } else { (stored * encoding.scale) as f32 }
    };
    // Numbers of fewer than 8 bits are scaled in a picture.
    if decode::format(bytes)? == ImageFormat::Png
        && let stored = stored::read_png(bytes, decode::inspect(bytes)?.orientation)?
        && stored.bits < 8
        && let (Layout::Grey, Samples::U8(numbers)) = (&stored.layout, &stored.samples)
    {
        let values = numbers.iter().map(|&number| value(f64::from(number))).collect();
        return Ok(stored::turned(values, stored.size, stored.orientation));
    }
    let values = match &image {
        DynamicImage::ImageLuma8(pixels) => pixels.as_raw().iter().map(|&v| value(f64::from(v))).collect(),
        DynamicImage::ImageLuma16(pixels) => pixels.as_raw().iter().map(|&v| value(f64::from(v))).collect(),
        other if !decode::is_grey(other) => return Err(Problem::ColourDepth),
        // Grey, stored with alpha or as three equal components.
        DynamicImage::ImageLumaA16(_) | DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgba16(_) => {
            image.to_rgb16().pixels().map(|pixel| value(f64::from(pixel.0[0]))).collect()
        }
        DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_) => {
            image.to_rgb32f().pixels().map(|pixel| value(f64::from(pixel.0[0]))).collect()
        }
        other => other.to_rgb8().pixels().map(|pixel| value(f64::from(pixel.0[0]))).collect(),
    };
    Ok((values, size))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{GrayAlphaImage, GrayImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, RgbImage};

    use super::*;

    fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn read(image: impl Into<DynamicImage>, invalid: &[f64], scale: f64) -> Vec<f32> {
        depth(&png(image), &Encoding { invalid: invalid.to_vec(), scale }).unwrap().0
    }

    #[test]
    fn stored_numbers_are_kept_and_zero_is_not_measured() {
        let deep = || ImageBuffer::<Luma<u16>, _>::from_raw(3, 1, vec![0, 13107_u16, 65535]).unwrap();
        let values = read(deep(), &[0.0], 1.0);
        assert!(values[0].is_nan());
        assert_eq!(values[1..], [13107.0, 65535.0]);
        assert_eq!(read(GrayImage::from_raw(1, 1, vec![51]).unwrap(), &[0.0], 1.0), [51.0]);
        let metres = read(deep(), &[0.0, 65535.0], 0.001);
        assert!(metres[0].is_nan() && metres[2].is_nan());
        assert_eq!(metres[1], 13.107);
        assert_eq!(read(deep(), &[], 1.0)[0], 0.0);
    }

    #[test]
    fn grey_is_the_same_in_every_storage_and_colours_are_refused() {
        let deep: ImageBuffer<Rgb<u16>, _> = ImageBuffer::from_pixel(1, 1, Rgb([700_u16; 3]));
        assert_eq!(read(deep, &[0.0], 1.0), [700.0]);
        assert_eq!(read(RgbImage::from_pixel(1, 1, Rgb([7; 3])), &[0.0], 1.0), [7.0]);
        assert_eq!(read(GrayAlphaImage::from_pixel(1, 1, LumaA([7, 255])), &[0.0], 1.0), [7.0]);
        let colours = png(RgbImage::from_pixel(1, 1, Rgb([7, 90, 200])));
        let error = depth(&colours, &Encoding { invalid: vec![0.0], scale: 1.0 }).unwrap_err();
        assert_eq!(error, Problem::ColourDepth);
    }
}
