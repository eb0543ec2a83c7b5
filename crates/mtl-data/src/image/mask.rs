//! Mask files: one value per pixel.
//!
//! A mask pixel becomes a *code*: the grey value (0 to 65535), the index of an indexed PNG, or a colour. An indexed PNG
//! stands for its indices (as PASCAL VOC ships them), unless all its colours are grey: programs that shrink PNGs store
//! a plain 0/255 mask that way, with the indices in any order. Alpha is ignored.

use std::fmt;
use std::io::Cursor;

use image::DynamicImage;

use crate::error::Problem;
use crate::image::decode;
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

/// The codes of a mask file, row-major, and its size. `colours`: an indexed PNG stands for its colours, not its indices.
///
/// # Errors
/// [`Problem`].
pub fn codes(bytes: &[u8], colours: bool) -> Result<(Vec<Code>, Size), Problem> {
    let header = decode::inspect(bytes)?;
    if !colours && let Some(indices) = indices(bytes)? {
        return Ok((indices.into_iter().map(|index| Code::grey(u16::from(index))).collect(), header.size));
    }
    let image = decode::decode(bytes)?;
    let size = decode::size_of(&image);
    let codes = match &image {
        DynamicImage::ImageLuma8(pixels) => pixels.as_raw().iter().map(|&v| Code::grey(u16::from(v))).collect(),
        DynamicImage::ImageLuma16(pixels) => pixels.as_raw().iter().map(|&v| Code::grey(v)).collect(),
        other => other.to_rgb8().pixels().map(|pixel| Code::rgb(pixel.0)).collect(),
    };
    Ok((codes, size))
}

/// The indices of an indexed PNG with coloured entries, else `None`. The size was checked by the caller.
fn indices(bytes: &[u8]) -> Result<Option<Vec<u8>>, Problem> {
    // The signature (8 bytes), the header chunk's length and name (8), width, height (8), bit depth, colour type.
    if !bytes.starts_with(b"\x89PNG") || bytes.get(25) != Some(&3) {
        return Ok(None);
    }
    let damaged = |error: png::DecodingError| match error {
        png::DecodingError::IoError(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => Problem::Truncated,
        other => Problem::Damaged(other.to_string()),
    };
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let palette = reader.info().palette.as_deref().unwrap_or(&[]);
    if palette.chunks_exact(3).all(|entry| entry[0] == entry[1] && entry[1] == entry[2]) {
        return Ok(None);
    }
    let bytes_needed = reader.output_buffer_size().ok_or(Problem::Damaged("size overflows".into()))?;
    let mut packed = vec![0; bytes_needed];
    let frame = reader.next_frame(&mut packed).map_err(damaged)?;
    let bits = frame.bit_depth as usize; // 1, 2, 4 or 8: high bits first, rows start at a byte
    let mut out = Vec::with_capacity(frame.width as usize * frame.height as usize);
    for row in packed.chunks_exact(frame.line_size).take(frame.height as usize) {
        out.extend((0..frame.width as usize).map(|x| {
            let bit = x * bits;
            ((u16::from(row[bit / 8]) >> (8 - bits - bit % 8)) & ((1 << bits) - 1)) as u8
        }));
    }
    Ok(Some(out))
}

#[cfg(test)]
pub(crate) mod tests {
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

    #[test]
    fn indexed_files_stand_for_indices_unless_their_colours_are_grey() {
        let coloured = indexed_png(5, &[0, 1, 2, 3, 0, 3, 2, 1, 0, 1], 2, &[[0; 3], [128, 0, 0], [0, 9, 0], [1, 2, 3]]);
        let (codes_read, size) = codes(&coloured, false).unwrap();
        assert_eq!(size, Size { height: 2, width: 5 });
        let greys: Vec<u16> = codes_read.iter().map(|code| code.as_grey().unwrap()).collect();
        assert_eq!(greys, [0, 1, 2, 3, 0, 3, 2, 1, 0, 1]);
        assert_eq!(codes(&coloured, true).unwrap().0[1], Code::rgb([128, 0, 0]));
        // White first: index 0 is 255.
        let shrunk = indexed_png(2, &[0, 1], 1, &[[255; 3], [0; 3]]);
        assert_eq!(codes(&shrunk, false).unwrap().0, [Code::grey(255), Code::grey(0)]);
    }

    #[test]
    fn grey_values_are_the_same_code_in_every_storage() {
        let deep: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_pixel(1, 1, Luma([7_u16]));
        for bytes in [
            png_of(deep),
            png_of(GrayImage::from_pixel(1, 1, Luma([7]))),
            png_of(RgbImage::from_pixel(1, 1, Rgb([7; 3]))),
        ] {
            assert_eq!(codes(&bytes, false).unwrap().0, [Code::grey(7)]);
        }
        assert_eq!(Code::rgb([1, 2, 3]).to_string(), "\"1,2,3\"");
        assert_eq!(Code::rgb([0, 0, 1]).as_grey(), None);
    }
}
