//! Image resizing: antialiased bilinear interpolation (triangle filter whose support grows with the ratio).
//!
//! Images are *stretched* to the target size without regard to the aspect ratio, as masks and dense maps are ([`crate::image::area`]): both
//! stay aligned pixel by pixel and nothing is cut off. A 256 x 128 photo to 128 x 64 costs about 0.2 ms.

use std::borrow::Cow;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use image::{DynamicImage, RgbImage};

use crate::size::Size;

/// `[channels, H, W]` bytes at `size`. Alpha is composited over white; 16 bits become 8; colour becomes luma if
/// `channels` is 1, grey is repeated if it is 3.
///
/// # Panics
/// If `channels` is neither 1 nor 3: readers check it when they open.
pub fn planes(image: &DynamicImage, channels: usize, size: Size) -> Vec<u8> {
    assert!(channels == 1 || channels == 3, "images have 1 or 3 channels, not {channels}");
    let from = Size { height: image.height() as usize, width: image.width() as usize };
    if channels == 1 || !image.color().has_color() {
        let grey = stretch(&over_white_grey(image), 1, from, size);
        return if channels == 1 { grey } else { grey.repeat(3) };
    }
    let interleaved = stretch(&over_white(image), 3, from, size);
    interleaved_to_planes(&interleaved, 3)
}

/// `[H, W, C]` to `[C, H, W]`, pixel by pixel: a pass per channel took three times as long.
pub(crate) fn interleaved_to_planes(pixels: &[u8], channels: usize) -> Vec<u8> {
    if channels != 3 {
        return (0..channels).flat_map(|channel| pixels.iter().skip(channel).step_by(channels).copied()).collect();
    }
    let mut planes = vec![0; pixels.len() / 3 * 3];
    let (red, rest) = planes.split_at_mut(pixels.len() / 3);
    let (green, blue) = rest.split_at_mut(pixels.len() / 3);
    for (((pixel, red), green), blue) in pixels.chunks_exact(3).zip(red).zip(green).zip(blue) {
        (*red, *green, *blue) = (pixel[0], pixel[1], pixel[2]);
    }
    planes
}

/// `[C, H, W]` bytes from one size to another.
pub fn stretch_planes(planes: &[u8], channels: usize, from: Size, to: Size) -> Vec<u8> {
    if from == to {
        return planes.to_vec();
    }
    planes.chunks_exact(from.height * from.width).take(channels).flat_map(|plane| stretch(plane, 1, from, to)).collect()
}

/// `[3, H, W]` bytes to `[1, H, W]` (BT.709 weights, as [`planes`] uses).
pub(crate) fn luma(planes: &[u8]) -> Vec<u8> {
    let (red, rest) = planes.split_at(planes.len() / 3);
    let (green, blue) = rest.split_at(rest.len() / 2);
    let weigh =
        |((&r, &g), &b): ((&u8, &u8), &u8)| (2126 * u32::from(r) + 7152 * u32::from(g) + 722 * u32::from(b)) / 10_000;
    red.iter().zip(green).zip(blue).map(|pixel| weigh(pixel) as u8).collect()
}

/// RGB bytes, alpha put on white; borrowed where the image holds them.
fn over_white(image: &DynamicImage) -> Cow<'_, [u8]> {
    if let DynamicImage::ImageRgb8(pixels) = image {
        return Cow::Borrowed(pixels.as_raw());
    }
    if !image.color().has_alpha() {
        return Cow::Owned(image.to_rgb8().into_raw());
    }
    Cow::Owned(on_white(image).into_raw())
}

/// Grey bytes, alpha put on white; borrowed where the image holds them.
fn over_white_grey(image: &DynamicImage) -> Cow<'_, [u8]> {
    match image {
        DynamicImage::ImageLuma8(pixels) => Cow::Borrowed(pixels.as_raw()),
        image if image.color().has_alpha() => {
            Cow::Owned(DynamicImage::ImageRgb8(on_white(image)).to_luma8().into_raw())
        }
        image => Cow::Owned(image.to_luma8().into_raw()),
    }
}

fn on_white(image: &DynamicImage) -> RgbImage {
    let rgba = image.to_rgba8();
    let blend = |value: u8, alpha: u8| {
        let alpha = u32::from(alpha);
        ((u32::from(value) * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, a] = rgba.get_pixel(x, y).0;
        image::Rgb([blend(r, a), blend(g, a), blend(b, a)])
    })
}

fn stretch(pixels: &[u8], channels: usize, from: Size, to: Size) -> Vec<u8> {
    if from == to {
        return pixels.to_vec();
    }
    if channels == 1 { convolved::<U8>(pixels, from, to) } else { convolved::<U8x3>(pixels, from, to) }
}

/// One kind of pixel at a time: `Resizer::resize`, which takes any, would have the compiler make code for thirteen kinds,
/// and that alone took it longer than the rest of this crate.
fn convolved<P: PixelTrait>(pixels: &[u8], from: Size, to: Size) -> Vec<u8> {
    // Sizes are bounded by `crate::size::MAX_SIDE` and the buffers match them, which is all the resizer can object to.
    let source =
        TypedImageRef::<P>::from_buffer(from.width as u32, from.height as u32, pixels).expect("buffer of that size");
    let mut bytes = vec![0; to.height * to.width * P::size()];
    let mut target =
        TypedImage::<P>::from_buffer(to.width as u32, to.height as u32, &mut bytes).expect("buffer of that size");
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize_typed(&source, &mut target, &options).expect("the whole image is inside the image");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Rgb, Rgba, RgbaImage};

    #[test]
    fn halving_averages_neighbours() {
        // Columns alternate 0 and 200: without antialiasing the result would be 0 or 200.
        let image = RgbImage::from_fn(32, 8, |x, _| Rgb([if x % 2 == 0 { 0 } else { 200 }; 3]));
        let out = planes(&image.into(), 1, Size { height: 4, width: 16 });
        assert!(out[4..12].iter().all(|&v| (90..=110).contains(&v)), "{:?}", &out[..16]);
    }

    #[test]
    fn planes_are_channel_first_and_alpha_is_white() {
        let size = Size { height: 1, width: 2 };
        let mut image = RgbaImage::from_pixel(2, 1, Rgba([10, 20, 30, 255]));
        image.put_pixel(1, 0, Rgba([10, 20, 30, 0]));
        assert_eq!(planes(&image.clone().into(), 3, size), [10, 255, 20, 255, 30, 255]);
        image.put_pixel(1, 0, Rgba([0, 0, 0, 128]));
        assert_eq!(planes(&image.into(), 3, size)[1], 127);
        let grey = GrayImage::from_raw(2, 1, vec![5, 6]).unwrap();
        assert_eq!(planes(&grey.clone().into(), 3, size), [5, 6, 5, 6, 5, 6]);
        assert_eq!(planes(&grey.into(), 1, size), [5, 6]);
    }

    #[test]
    fn stretching_planes_equals_stretching_the_image() {
        let image = RgbImage::from_fn(9, 7, |x, y| Rgb([(x * 20) as u8, (y * 30) as u8, (x * y) as u8]));
        let (from, to) = (Size { height: 7, width: 9 }, Size { height: 4, width: 5 });
        let planar = interleaved_to_planes(image.as_raw(), 3);
        assert_eq!(stretch_planes(&planar, 3, from, to), planes(&image.into(), 3, to));
    }
}
