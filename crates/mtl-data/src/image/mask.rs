//! Mask files: one value per pixel.
//!
//! A mask pixel becomes a *code*: the grey value as stored (0 to 65535; 4 bits are not scaled to 8), the index of an indexed
//! file, or a colour. An indexed file stands for its indices (as PASCAL VOC ships them), unless all its colours are grey:
//! programs that shrink PNGs store a plain 0/255 mask that way, with the indices in any order. A mask of one colour with
//! a varying alpha channel is read from alpha; otherwise alpha is ignored.

use std::fmt;

use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat};

use crate::error::Problem;
use crate::image::decode;
use crate::image::stored::{self, Layout, Samples, Stored};
use crate::size::Size;

/// Value of one mask pixel, before a palette gives it a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Code(u32);

impl Code {
    const COLOUR: u32 = 1 << 24;

    /// A grey value or an index.
    pub fn grey(value: u16) -> Self {
        Self(u32::from(value))
    }

    /// A colour; equal components are the grey value, however the file stores them.
    pub fn rgb([r, g, b]: [u8; 3]) -> Self {
        if r == g && g == b { Self(u32::from(r)) } else { Self(Self::COLOUR | u32::from_be_bytes([0, r, g, b])) }
    }

    /// The grey value or index, `None` for a colour.
    pub fn as_grey(self) -> Option<u16> {
        u16::try_from(self.0).ok()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, r, g, b] = self.0.to_be_bytes();
        if self.0 & Self::COLOUR == 0 { write!(f, "{}", self.0) } else { write!(f, "\"{r},{g},{b}\"") }
    }
}

/// A mask file.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    /// Row-major.
    pub codes: Vec<Code>,
    /// After the turn.
    pub size: Size,
    /// The codes are those of the alpha channel.
    pub from_alpha: bool,
    /// Saved with loss (JPEG).
    pub lossy: bool,
}

/// Reads a mask. `colours`: an indexed file stands for its colours, not its indices. `turn`: how it is turned upright; `None`:
/// as its own EXIF says.
///
/// # Errors
/// [`Problem`].
pub fn read(bytes: &[u8], colours: bool, turn: Option<Orientation>) -> Result<Mask, Problem> {
    let header = decode::inspect(bytes)?;
    let turn = turn.unwrap_or(header.orientation);
    let format = decode::format(bytes)?;
    if header.channels > 4 {
        return Err(Problem::Unsupported {
            kind: format!("masks of {} channels", header.channels),
            remedy: "save one mask per class, or one channel of class numbers".into(),
        });
    }
    let stored = match format {
        ImageFormat::Png => Some(stored::read_png(bytes, header.orientation)?),
        ImageFormat::Tiff => Some(super::tiff::read(bytes)?),
        _ => None,
    };
    let (codes, size, from_alpha) = match stored {
        Some(stored) => stored_codes(stored, colours)?,
        None => {
            let image = decode::unturned(bytes)?;
            let codes = match &image {
                DynamicImage::ImageLuma8(pixels) => pixels.as_raw().iter().map(|&v| Code::grey(u16::from(v))).collect(),
                DynamicImage::ImageLuma16(pixels) => pixels.as_raw().iter().map(|&v| Code::grey(v)).collect(),
                other => other.to_rgb8().pixels().map(|pixel| Code::rgb(pixel.0)).collect(),
            };
            (codes, decode::size_of(&image), false)
        }
    };
    let (codes, size) = stored::turned(codes, size, turn);
    Ok(Mask { codes, size, from_alpha, lossy: format == ImageFormat::Jpeg })
}

/// The codes of numbers as stored, and whether they are those of the alpha channel.
fn stored_codes(stored: Stored, colours: bool) -> Result<(Vec<Code>, Size, bool), Problem> {
    let Stored { size, layout, samples, .. } = stored;
    let samples = match samples {
        Samples::U8(values) => values.into_iter().map(u16::from).collect(),
        Samples::U16(values) => values,
        Samples::F32(values) => whole_numbers(&values)?,
    };
    if let Layout::Indexed(palette) = &layout {
        let grey = palette.iter().all(|[r, g, b]| r == g && g == b);
        let code = |&index: &u16| {
            if !(colours || grey) {
                return Some(Code::grey(index));
            }
            palette.get(usize::from(index)).map(|&colour| Code::rgb(colour))
        };
        let codes: Option<Vec<Code>> = samples.iter().map(code).collect();
        let codes = codes.ok_or_else(|| Problem::Damaged("an index beyond the file's palette".into()))?;
        return Ok((codes, size, false));
    }
    let channels = layout.channels();
    let colour_channels = if channels > 2 { 3 } else { 1 };
    let pixels = || samples.chunks_exact(channels);
    if colour_channels < channels {
        let first = samples.get(..colour_channels);
        let one_colour = pixels().all(|pixel| Some(&pixel[..colour_channels]) == first);
        let opaque = samples.iter().skip(channels - 1).step_by(channels).max();
        let varies = pixels().any(|pixel| Some(&pixel[channels - 1]) != opaque) || opaque == Some(&0);
        if one_colour && varies {
            return Ok((pixels().map(|pixel| Code::grey(pixel[channels - 1])).collect(), size, true));
        }
    }
    let deep = stored.bits > 8;
    let code = |pixel: &[u16]| match (pixel[0], pixel.get(1), pixel.get(2)) {
        (grey, ..) if colour_channels == 1 => Ok(Code::grey(grey)),
        (r, Some(&g), Some(&b)) if r == g && g == b => Ok(Code::grey(r)),
        (r, Some(&g), Some(&b)) if !deep => Ok(Code::rgb([r as u8, g as u8, b as u8])),
        (r, Some(&g), Some(&b)) if [r, g, b].iter().all(|value| value % 257 == 0) => {
            Ok(Code::rgb([r, g, b].map(|value| (value / 257) as u8)))
        }
        _ => Err(Problem::Unsupported {
            kind: "masks with colours of 16 bits per channel".into(),
            remedy: "save them with 8".into(),
        }),
    };
    Ok((pixels().map(code).collect::<Result<_, _>>()?, size, false))
}

/// Floats as mask values: whole numbers from 0 to 65535.
fn whole_numbers(values: &[f32]) -> Result<Vec<u16>, Problem> {
    let whole = |&value: &f32| {
        let is_code = value.fract() == 0.0 && (0.0..=65535.0).contains(&value);
        is_code.then_some(value as u16).ok_or(Problem::Unsupported {
            kind: format!("masks with values such as {value}"),
            remedy: "mask values are whole numbers from 0 to 65535".into(),
        })
    };
    values.iter().map(whole).collect()
}

/// Whether the values between dark and light occur only where the two meet: saved with loss, or smoothed when it was resized.
/// A class of its own has pixels whose neighbours all have nearly its value.
pub(crate) fn has_smoothed_edges(codes: &[Code], size: Size) -> bool {
    const DARK: i32 = 32;
    const LIGHT: i32 = 223;
    const ALIKE: i32 = 12;
    let mut values = Vec::with_capacity(codes.len());
    for code in codes {
        match code.as_grey() {
            Some(value) if value <= 255 => values.push(i32::from(value)),
            _ => return false,
        }
    }
    let is_between = |value: i32| value > DARK && value < LIGHT;
    let (mut between, mut inside) = (0_u64, 0_u64);
    for y in 0..size.height {
        for x in 0..size.width {
            let value = values[y * size.width + x];
            if !is_between(value) {
                continue;
            }
            between += 1;
            let rows = y.saturating_sub(1)..(y + 2).min(size.height);
            let alike = rows.into_iter().all(|y| {
                let columns = x.saturating_sub(1)..(x + 2).min(size.width);
                columns.into_iter().all(|x| (values[y * size.width + x] - value).abs() <= ALIKE)
            });
            inside += u64::from(alike);
        }
    }
    2 * between <= values.len() as u64 && 10 * inside <= between
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Cursor;

    use super::*;
    use image::{GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage};

    /// A PNG of indices below `2^bits`.
    pub(crate) fn indexed_png(width: u32, indices: &[u8], bits: u8, palette: &[[u8; 3]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let height = indices.len() as u32 / width;
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::from_u8(bits).unwrap());
        encoder.set_palette(palette.concat());
        let packed: Vec<u8> = indices
            .chunks(width as usize)
            .flat_map(|row| {
                row.chunks(8 / usize::from(bits)).map(|byte| {
                    byte.iter().enumerate().fold(0, |sum, (i, &v)| sum | (v << (8 - bits as usize * (i + 1))))
                })
            })
            .collect();
        encoder.write_header().unwrap().write_image_data(&packed).unwrap();
        bytes
    }

    fn png_of(image: impl Into<DynamicImage>) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn codes(bytes: &[u8], colours: bool) -> Vec<Code> {
        read(bytes, colours, None).unwrap().codes
    }

    /// A PNG of these big-endian numbers.
    fn png_raw(width: u32, height: u32, color: png::ColorType, bits: u8, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(color);
        encoder.set_depth(png::BitDepth::from_u8(bits).unwrap());
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    #[test]
    fn numbers_are_those_that_are_stored() {
        let greys = |bytes: &[u8]| codes(bytes, false).iter().map(|code| code.as_grey().unwrap()).collect::<Vec<_>>();
        assert_eq!(greys(&png_raw(3, 1, png::ColorType::Grayscale, 4, &[0x15, 0xf0])), [1, 5, 15]);
        assert_eq!(greys(&png_raw(4, 1, png::ColorType::Grayscale, 2, &[0b0001_1011])), [0, 1, 2, 3]);
        assert_eq!(greys(&png_raw(2, 1, png::ColorType::Grayscale, 1, &[0b0100_0000])), [0, 1]);
        assert_eq!(greys(&png_raw(1, 1, png::ColorType::Rgb, 16, &[1, 7, 1, 7, 1, 7])), [0x107]);
        let colours = png_raw(1, 1, png::ColorType::Rgb, 16, &[255, 255, 0, 0, 1, 1]);
        assert_eq!(codes(&colours, false), [Code::rgb([255, 0, 1])]);
        assert!(read(&png_raw(1, 1, png::ColorType::Rgb, 16, &[0, 1, 0, 2, 0, 3]), false, None).is_err());
    }

    #[test]
    fn alpha_is_the_mask_where_the_colour_says_nothing() {
        let white = png_raw(2, 1, png::ColorType::Rgba, 8, &[255, 255, 255, 0, 255, 255, 255, 255]);
        let mask = read(&white, false, None).unwrap();
        assert!(mask.from_alpha && mask.codes == [Code::grey(0), Code::grey(255)]);
        let coloured = png_raw(2, 1, png::ColorType::Rgba, 8, &[9, 9, 9, 0, 255, 0, 0, 255]);
        let mask = read(&coloured, false, None).unwrap();
        assert!(!mask.from_alpha && mask.codes == [Code::grey(9), Code::rgb([255, 0, 0])]);
        let opaque = png_raw(2, 1, png::ColorType::Rgba, 8, &[0, 0, 0, 255, 0, 0, 0, 255]);
        assert!(!read(&opaque, false, None).unwrap().from_alpha);
    }

    #[test]
    fn smoothed_edges_are_no_classes() {
        let size = Size { height: 12, width: 12 };
        let codes = |value: fn(usize, usize) -> u16| -> Vec<Code> {
            (0..144).map(|at| Code::grey(value(at / 12, at % 12))).collect()
        };
        assert!(has_smoothed_edges(&codes(|_, x| [0, 0, 0, 0, 60, 120, 180, 255, 255, 255, 255, 255][x]), size));
        assert!(!has_smoothed_edges(&codes(|_, x| [0, 0, 0, 0, 128, 128, 128, 128, 255, 255, 255, 255][x]), size));
    }

    #[test]
    fn masks_turn_like_their_images() {
        let stored = indexed_png(2, &[1, 0, 0, 0], 1, &[[0; 3], [255, 0, 0]]);
        let mask = read(&stored, false, Some(Orientation::Rotate90)).unwrap();
        assert_eq!(mask.codes, [0, 1, 0, 0].map(Code::grey), "what was at the top left is at the top right");
    }

    #[test]
    fn indexed_files_stand_for_indices_unless_their_colours_are_grey() {
        let coloured = indexed_png(5, &[0, 1, 2, 3, 0, 3, 2, 1, 0, 1], 2, &[[0; 3], [128, 0, 0], [0, 9, 0], [1, 2, 3]]);
        let Mask { codes: codes_read, size, .. } = read(&coloured, false, None).unwrap();
        assert_eq!(size, Size { height: 2, width: 5 });
        let greys: Vec<u16> = codes_read.iter().map(|code| code.as_grey().unwrap()).collect();
        assert_eq!(greys, [0, 1, 2, 3, 0, 3, 2, 1, 0, 1]);
        assert_eq!(codes(&coloured, true)[1], Code::rgb([128, 0, 0]));
        // White first: index 0 is 255.
        let shrunk = indexed_png(2, &[0, 1], 1, &[[255; 3], [0; 3]]);
        assert_eq!(codes(&shrunk, false), [Code::grey(255), Code::grey(0)]);
    }

    #[test]
    fn grey_values_are_the_same_code_in_every_storage() {
        let deep: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_pixel(1, 1, Luma([7_u16]));
        for bytes in [
            png_of(deep),
            png_of(GrayImage::from_pixel(1, 1, Luma([7]))),
            png_of(RgbImage::from_pixel(1, 1, Rgb([7; 3]))),
        ] {
            assert_eq!(codes(&bytes, false), [Code::grey(7)]);
        }
        assert_eq!(Code::rgb([1, 2, 3]).to_string(), "\"1,2,3\"");
        assert_eq!(Code::rgb([0, 0, 1]).as_grey(), None);
    }
}
