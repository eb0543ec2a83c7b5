//! Numbers of PNG and TIFF files as they are stored: not scaled to 8 bits, indices not replaced by their colours.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer, Luma, LumaA, Rgb, Rgba};

use crate::error::Problem;
use crate::size::Size;

/// Meaning of the numbers of one pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Grey,
    GreyAlpha,
    Rgb,
    Rgba,
    /// So many numbers of any meaning.
    Channels(usize),
    /// Indices into these colours.
    Indexed(Vec<[u8; 3]>),
}

impl Layout {
    pub(super) fn channels(&self) -> usize {
        match self {
            Self::Grey | Self::Indexed(_) => 1,
            Self::GreyAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba => 4,
            Self::Channels(count) => *count,
        }
    }
}

/// Row-major, interleaved.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Samples {
    U8(Vec<u8>),
    U16(Vec<u16>),
    F32(Vec<f32>),
}

impl Samples {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::F32(values) => values.len(),
        }
    }

    /// Of pixels of four numbers the first three.
    pub(super) fn first_three_of_four(self) -> Self {
        fn first<T: Copy>(values: &[T]) -> Vec<T> {
            values.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
        }
        match self {
            Self::U8(values) => Self::U8(first(&values)),
            Self::U16(values) => Self::U16(first(&values)),
            Self::F32(values) => Self::F32(first(&values)),
        }
    }

    /// From one plane after the other.
    pub(super) fn interleaved(self, channels: usize) -> Self {
        fn weave<T: Copy>(planes: &[T], channels: usize) -> Vec<T> {
            let plane = planes.len() / channels;
            (0..plane * channels).map(|at| planes[at % channels * plane + at / channels]).collect()
        }
        match self {
            Self::U8(values) => Self::U8(weave(&values, channels)),
            Self::U16(values) => Self::U16(weave(&values, channels)),
            Self::F32(values) => Self::F32(weave(&values, channels)),
        }
    }
}

/// One image as its file stores it, not turned upright.
pub(super) struct Stored {
    pub size: Size,
    pub layout: Layout,
    /// Bits per number.
    pub bits: u8,
    pub samples: Samples,
    pub orientation: Orientation,
}

impl Stored {
    /// As a picture: fewer than 8 bits are scaled to 8, indices become colours; not turned.
    pub(super) fn into_picture(self) -> Result<DynamicImage, Problem> {
        let (width, height) = (self.size.width as u32, self.size.height as u32);
        let full = u32::from(u8::MAX >> (8 - self.bits.min(8)));
        let scaled = |values: Vec<u8>| -> Vec<u8> {
            if full == 255 { values } else { values.iter().map(|&v| (u32::from(v) * 255 / full) as u8).collect() }
        };
        let picture = match (self.layout, self.samples) {
            (Layout::Indexed(palette), Samples::U8(indices)) => {
                let colour = |&index: &u8| palette.get(usize::from(index)).copied().unwrap_or_default();
                let colours = indices.iter().flat_map(colour).collect();
                ImageBuffer::<Rgb<u8>, _>::from_raw(width, height, colours).map(DynamicImage::from)
            }
            (Layout::Grey, Samples::U8(values)) => {
                ImageBuffer::<Luma<u8>, _>::from_raw(width, height, scaled(values)).map(DynamicImage::from)
            }
            (Layout::GreyAlpha, Samples::U8(values)) => {
                ImageBuffer::<LumaA<u8>, _>::from_raw(width, height, scaled(values)).map(DynamicImage::from)
            }
            (Layout::Rgb, Samples::U8(values)) => {
                ImageBuffer::<Rgb<u8>, _>::from_raw(width, height, scaled(values)).map(DynamicImage::from)
            }
            (Layout::Rgba, Samples::U8(values)) => {
                ImageBuffer::<Rgba<u8>, _>::from_raw(width, height, scaled(values)).map(DynamicImage::from)
            }
            (Layout::Grey, Samples::U16(values)) => {
                ImageBuffer::<Luma<u16>, _>::from_raw(width, height, values).map(DynamicImage::from)
            }
            (Layout::GreyAlpha, Samples::U16(values)) => {
                ImageBuffer::<LumaA<u16>, _>::from_raw(width, height, values).map(DynamicImage::from)
            }
            (Layout::Rgb, Samples::U16(values)) => {
                ImageBuffer::<Rgb<u16>, _>::from_raw(width, height, values).map(DynamicImage::from)
            }
            (Layout::Rgba, Samples::U16(values)) => {
                ImageBuffer::<Rgba<u16>, _>::from_raw(width, height, values).map(DynamicImage::from)
            }
            // `image` has no grey floats.
            (Layout::Grey, Samples::F32(values)) => {
                let repeated = values.iter().flat_map(|&value| [value; 3]).collect();
                ImageBuffer::<Rgb<f32>, _>::from_raw(width, height, repeated).map(DynamicImage::from)
            }
            (Layout::Rgb, Samples::F32(values)) => {
                ImageBuffer::<Rgb<f32>, _>::from_raw(width, height, values).map(DynamicImage::from)
            }
            (Layout::Rgba, Samples::F32(values)) => {
                ImageBuffer::<Rgba<f32>, _>::from_raw(width, height, values).map(DynamicImage::from)
            }
            (Layout::Channels(count), _) => return Err(super::tiff::many_channels(count)),
            (layout, _) => {
                let kind = format!("{}-bit images of layout {layout:?}", self.bits);
                return Err(Problem::Unsupported { kind, remedy: "convert to RGB of 8 or 16 bits".into() });
            }
        };
        picture.ok_or(Problem::Truncated)
    }
}

/// The numbers of a PNG. Its size was checked by the caller, who also knows its orientation.
pub(super) fn read_png(bytes: &[u8], orientation: Orientation) -> Result<Stored, Problem> {
    let damaged = |error: png::DecodingError| match error {
        png::DecodingError::IoError(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => Problem::Truncated,
        other => Problem::Damaged(other.to_string()),
    };
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let layout = match reader.info().color_type {
        png::ColorType::Grayscale => Layout::Grey,
        png::ColorType::GrayscaleAlpha => Layout::GreyAlpha,
        png::ColorType::Rgb => Layout::Rgb,
        png::ColorType::Rgba => Layout::Rgba,
        png::ColorType::Indexed => {
            let palette = reader.info().palette.as_deref().unwrap_or(&[]);
            Layout::Indexed(palette.chunks_exact(3).map(|entry| [entry[0], entry[1], entry[2]]).collect())
        }
    };
    let mut packed = vec![0; reader.output_buffer_size().ok_or(Problem::Damaged("size overflows".into()))?];
    let frame = reader.next_frame(&mut packed).map_err(damaged)?;
    let (width, height) = (frame.width as usize, frame.height as usize);
    let bits = frame.bit_depth as u8;
    packed.truncate(frame.line_size * height);
    let samples = match bits {
        16 => Samples::U16(packed.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()),
        8 => Samples::U8(packed),
        bits => Samples::U8(unpack(&packed, frame.line_size, width * layout.channels(), height, bits)),
    };
    Ok(Stored { size: Size { height, width }, layout, bits, samples, orientation })
}

/// Numbers of 1, 2 or 4 bits: high bits first, rows of `line` bytes.
pub(super) fn unpack(packed: &[u8], line: usize, per_row: usize, rows: usize, bits: u8) -> Vec<u8> {
    let bits = usize::from(bits);
    let mut out = Vec::with_capacity(per_row * rows);
    for row in packed.chunks_exact(line.max(1)).take(rows) {
        out.extend((0..per_row).map(|x| {
            let bit = x * bits;
            ((u16::from(row[bit / 8]) >> (8 - bits - bit % 8)) & ((1 << bits) - 1)) as u8
        }));
    }
    out
}

/// Values of `size` turned as EXIF says, and the size afterwards.
pub(super) fn turned<T: Copy>(values: Vec<T>, size: Size, orientation: Orientation) -> (Vec<T>, Size) {
    let Size { height: h, width: w } = size;
    // From row and column of the result to those of the source.
    type Source = fn(usize, usize, usize, usize) -> (usize, usize);
    let (swapped, source): (bool, Source) = match orientation {
        Orientation::NoTransforms => return (values, size),
        Orientation::FlipHorizontal => (false, |y, x, _, w| (y, w - 1 - x)),
        Orientation::Rotate180 => (false, |y, x, h, w| (h - 1 - y, w - 1 - x)),
        Orientation::FlipVertical => (false, |y, x, h, _| (h - 1 - y, x)),
        Orientation::Rotate90FlipH => (true, |y, x, _, _| (x, y)),
        Orientation::Rotate90 => (true, |y, x, h, _| (h - 1 - x, y)),
        Orientation::Rotate270FlipH => (true, |y, x, h, w| (h - 1 - x, w - 1 - y)),
        Orientation::Rotate270 => (true, |y, x, _, w| (x, w - 1 - y)),
    };
    let to = if swapped { Size { height: w, width: h } } else { size };
    let pixel = |at: usize| {
        let (y, x) = source(at / to.width, at % to.width, h, w);
        values[y * w + x]
    };
    ((0..to.pixels()).map(pixel).collect(), to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_turn_as_pictures_do() {
        let size = Size { height: 2, width: 3 };
        for exif in 1..=8 {
            let orientation = Orientation::from_exif(exif).unwrap();
            let mut picture = DynamicImage::from(ImageBuffer::<Luma<u8>, _>::from_raw(3, 2, (0..6).collect()).unwrap());
            picture.apply_orientation(orientation);
            let (values, to) = turned((0..6).collect::<Vec<u8>>(), size, orientation);
            assert_eq!(values, picture.to_luma8().into_raw(), "{exif}");
            assert_eq!((to.width as u32, to.height as u32), (picture.width(), picture.height()), "{exif}");
        }
    }
}
