//! Range of numbers of more than 8 bits: 10, 12 and 14 bits in files of 16, 8 bits in 16, floats.

use image::DynamicImage;

use crate::error::Problem;

/// Largest number of an image of more than 8 bits, alpha left out; `None` for 8 bits.
///
/// # Errors
/// [`Problem`] for floats that are negative or not finite.
pub fn largest_value(image: &DynamicImage) -> Result<Option<f32>, Problem> {
    let deepest = |values: &[u16], channels: usize, colours: usize| {
        let largest = values.chunks_exact(channels).flat_map(|pixel| &pixel[..colours]).max();
        Ok(Some(largest.copied().map_or(0.0, f32::from)))
    };
    let floats = |values: &[f32], channels: usize| {
        largest_of(values.chunks_exact(channels).flat_map(|pixel| &pixel[..3]).copied())
    };
    match image {
        DynamicImage::ImageLuma16(pixels) => deepest(pixels.as_raw(), 1, 1),
        DynamicImage::ImageLumaA16(pixels) => deepest(pixels.as_raw(), 2, 1),
        DynamicImage::ImageRgb16(pixels) => deepest(pixels.as_raw(), 3, 3),
        DynamicImage::ImageRgba16(pixels) => deepest(pixels.as_raw(), 4, 3),
        DynamicImage::ImageRgb32F(pixels) => floats(pixels.as_raw(), 3),
        DynamicImage::ImageRgba32F(pixels) => floats(pixels.as_raw(), 4),
        _ => Ok(None),
    }
}

/// Largest of some numbers.
///
/// # Errors
/// [`Problem::Float`] for a number that is negative or not finite.
pub(super) fn largest_of(mut values: impl Iterator<Item = f32>) -> Result<Option<f32>, Problem> {
    let largest = values.try_fold(0.0_f32, |largest, value| match value {
        value if !value.is_finite() => Err(Problem::Float("that are not finite")),
        value if value < 0.0 => Err(Problem::Float("below 0")),
        value => Ok(largest.max(value)),
    });
    largest.map(Some)
}

/// The end of the range that numbers up to `largest` were probably stored in: 8, 10, 12, 14 or 16 bits; for floats 1, or their own
/// largest value.
pub fn range_end(largest: f32) -> f32 {
    let float = largest.fract() != 0.0;
    match largest {
        0.5..=1.0 => 1.0,
        value if float => value,
        value => [1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0].into_iter().find(|&end| value <= end).unwrap_or(value),
    }
}

/// An image of more than 8 bits with its numbers divided by `largest` and stored in 8 (rounded; 65535 without one, 1 for
/// floats); others as they are.
pub fn eight_bits(image: DynamicImage, largest: Option<f32>) -> DynamicImage {
    fn scaled<T: Copy + Into<f32>>(values: &[T], channels: usize, alpha: bool, largest: f32, full: f32) -> Vec<u8> {
        let byte = |value: T, end: f32| (value.into() / end * 255.0).clamp(0.0, 255.0).round() as u8;
        let end = |at: usize| if alpha && at % channels == channels - 1 { full } else { largest };
        values.iter().enumerate().map(|(at, &value)| byte(value, end(at))).collect()
    }
    let (width, height) = (image.width(), image.height());
    let deep = largest.unwrap_or(65535.0);
    let float = largest.unwrap_or(1.0);
    let same = |raw: Option<DynamicImage>| raw.unwrap_or_default();
    match &image {
        DynamicImage::ImageLuma16(p) => {
            same(image::GrayImage::from_raw(width, height, scaled(p, 1, false, deep, 65535.0)).map(Into::into))
        }
        DynamicImage::ImageLumaA16(p) => {
            same(image::GrayAlphaImage::from_raw(width, height, scaled(p, 2, true, deep, 65535.0)).map(Into::into))
        }
        DynamicImage::ImageRgb16(p) => {
            same(image::RgbImage::from_raw(width, height, scaled(p, 3, false, deep, 65535.0)).map(Into::into))
        }
        DynamicImage::ImageRgba16(p) => {
            same(image::RgbaImage::from_raw(width, height, scaled(p, 4, true, deep, 65535.0)).map(Into::into))
        }
        DynamicImage::ImageRgb32F(p) => {
            same(image::RgbImage::from_raw(width, height, scaled(p, 3, false, float, 1.0)).map(Into::into))
        }
        DynamicImage::ImageRgba32F(p) => {
            same(image::RgbaImage::from_raw(width, height, scaled(p, 4, true, float, 1.0)).map(Into::into))
        }
        _ => image,
    }
}
