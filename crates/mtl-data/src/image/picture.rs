//! One decoded image: a picture in grey or colours, or 2 to 16 channels of any meaning (multi-spectral and radar images).
//!
//! Channels are read from TIFF and PNG files whose pixels have exactly that many numbers; a fourth number counts as a channel
//! even if the file calls it alpha. All channels share one range of values.

use std::path::Path;

use image::{DynamicImage, ImageFormat};

use crate::error::{Error, Problem};
use crate::image::decode;
use crate::image::header::Header;
use crate::image::stored::{self, Layout, Samples, Stored};
use crate::image::{range, resize, tiff};
use crate::size::Size;

/// A decoded image, turned upright.
pub enum Picture {
    /// Grey or RGB, with or without alpha.
    Colours(DynamicImage),
    /// Channels of any meaning.
    Channels(Channels),
}

/// Numbers of each channel as they are stored.
pub struct Channels {
    size: Size,
    /// More than 8 bits per number.
    deep: bool,
    /// `[C, H, W]`.
    planes: Vec<f32>,
}

/// Reads, decodes and resizes one image file: `[channels, H, W]` bytes and the size it had. `largest`: see [`range::eight_bits`].
///
/// # Errors
/// [`Error::Io`] or [`Error::Image`].
pub fn load(path: &Path, channels: usize, size: Size, largest: Option<f32>) -> Result<(Vec<u8>, Size), Error> {
    let fail = |problem| Error::Image { path: path.to_owned(), problem };
    let picture = Picture::decode(&decode::read_file(path)?, channels).map_err(fail)?;
    let native = picture.size();
    // Without a range that is known, the image's own.
    let largest = largest.or_else(|| picture.largest_value().ok().flatten().map(range::range_end));
    Ok((picture.planes(channels, size, largest), native))
}

/// Whether images of so many channels are neither grey nor RGB.
pub fn is_multi_channel(channels: usize) -> bool {
    !matches!(channels, 1 | 3)
}

impl Picture {
    /// Decodes a file: a picture for 1 or 3 channels, otherwise its first `channels` numbers per pixel, all of them.
    ///
    /// # Errors
    /// [`Problem`]; [`Problem::Unsupported`] if the pixels do not have so many numbers.
    pub fn decode(bytes: &[u8], channels: usize) -> Result<Self, Problem> {
        if !is_multi_channel(channels) {
            return decode::decode(bytes).map(Self::Colours);
        }
        let header = decode::inspect(bytes)?;
        check_channels(&header, channels)?;
        let stored = match decode::format(bytes)? {
            ImageFormat::Tiff => tiff::read_all(bytes)?,
            ImageFormat::Png => stored::read_png(bytes, header.orientation)?,
            _ => return Err(other_channels(header.channels, channels)),
        };
        Channels::new(stored, channels).map(Self::Channels)
    }

    /// Its size.
    pub fn size(&self) -> Size {
        match self {
            Self::Colours(image) => decode::size_of(image),
            Self::Channels(channels) => channels.size,
        }
    }

    /// True if no pixel has a colour, however it is stored.
    pub fn is_grey(&self) -> bool {
        matches!(self, Self::Colours(image) if decode::is_grey(image))
    }

    /// The alpha channel as 0 or 1 per pixel, or `None` without alpha.
    pub fn alpha_mask(&self) -> Option<Vec<u8>> {
        match self {
            Self::Colours(image) => decode::alpha_mask(image),
            Self::Channels(_) => None,
        }
    }

    /// See [`range::largest_value`].
    ///
    /// # Errors
    /// [`Problem::Float`] for numbers that are negative or not finite.
    pub fn largest_value(&self) -> Result<Option<f32>, Problem> {
        match self {
            Self::Colours(image) => range::largest_value(image),
            Self::Channels(Channels { deep: false, .. }) => Ok(None),
            Self::Channels(Channels { planes, .. }) => range::largest_of(planes.iter().copied()),
        }
    }

    /// `[channels, H, W]` bytes at `size`; numbers of more than 8 bits are divided by `largest`, see [`range::eight_bits`]. Of an
    /// image of more channels the first ones.
    pub fn planes(self, channels: usize, size: Size, largest: Option<f32>) -> Vec<u8> {
        match self {
            Self::Colours(image) => resize::planes(&range::eight_bits(image, largest), channels, size),
            Self::Channels(stored) => {
                let end = if stored.deep { largest.unwrap_or(65535.0) } else { 255.0 };
                let byte = |&value: &f32| (value / end * 255.0).clamp(0.0, 255.0).round() as u8;
                let bytes: Vec<u8> = stored.planes.iter().map(byte).collect();
                resize::stretch_planes(&bytes, channels, stored.size, size)
            }
        }
    }

    /// Bytes for a picture of the whole: three channels at `size`, in the image's own range.
    pub(crate) fn thumbnail(self, size: Size) -> Vec<u8> {
        let largest = self.largest_value().ok().flatten().map(range::range_end);
        let stored = if let Self::Channels(stored) = &self { stored.planes.len() / stored.size.pixels() } else { 3 };
        let planes = self.planes(stored.min(3), size, largest);
        if stored < 3 { first_three(&planes, stored, size) } else { planes }
    }
}

impl Channels {
    fn new(stored: Stored, channels: usize) -> Result<Self, Problem> {
        let Stored { size, layout, bits, samples, orientation } = stored;
        if matches!(layout, Layout::Indexed(_)) || layout.channels() != channels {
            return Err(other_channels(layout.channels(), channels));
        }
        let full = f32::from(u8::MAX >> (8 - bits.min(8)));
        let (numbers, deep): (Vec<f32>, bool) = match samples {
            Samples::U8(values) => (values.into_iter().map(|v| f32::from(v) * 255.0 / full).collect(), false),
            Samples::U16(values) => (values.into_iter().map(f32::from).collect(), true),
            Samples::F32(values) => (values, true),
        };
        let mut upright = size;
        let mut planes = Vec::with_capacity(numbers.len());
        for channel in 0..channels {
            let plane = numbers.iter().skip(channel).step_by(channels).copied().collect();
            let (plane, turned) = stored::turned(plane, size, orientation);
            planes.extend(plane);
            upright = turned;
        }
        Ok(Self { size: upright, deep, planes })
    }
}

/// # Errors
/// [`Problem::Unsupported`] if the pixels of a file do not have as many numbers as are wanted.
pub(crate) fn check_channels(header: &Header, wanted: usize) -> Result<(), Problem> {
    match header.channels {
        stored if is_multi_channel(wanted) && stored != wanted => Err(other_channels(stored, wanted)),
        stored if !is_multi_channel(wanted) && stored > 4 => Err(tiff::many_channels(stored)),
        _ => Ok(()),
    }
}

fn other_channels(stored: usize, wanted: usize) -> Problem {
    Problem::Unsupported {
        kind: format!("files of {stored} channels where data.open.channels = {wanted}"),
        remedy: format!(
            "save TIFF or PNG files of {wanted} channels, or set data.open.channels to what all files have"
        ),
    }
}

/// Three planes to be seen: the first three of `[channels, H, W]`, one or two repeated.
pub fn first_three(planes: &[u8], channels: usize, size: Size) -> Vec<u8> {
    let plane = |at: usize| &planes[at.min(channels - 1) * size.pixels()..][..size.pixels()];
    [0, 1, 2].map(plane).concat()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::image::decode::inspect;
    use ::tiff::encoder::{TiffEncoder, colortype};
    use ::tiff::tags::Tag;

    /// A TIFF of 3 x 2 pixels of `channels` numbers of 16 bits: pixel `p` has `1000 p + channel`.
    fn spectral(channels: u16) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
        let numbers: Vec<u16> =
            (0..6).flat_map(|pixel| (0..channels).map(move |channel| 1000 * pixel + channel)).collect();
        let mut image = encoder.new_image::<colortype::Gray16>(u32::from(channels) * 3, 2).unwrap();
        image.rows_per_strip(2).unwrap();
        image.encoder().write_tag(Tag::ImageWidth, 3_u32).unwrap();
        image.encoder().write_tag(Tag::SamplesPerPixel, channels).unwrap();
        image.encoder().write_tag(Tag::BitsPerSample, &vec![16_u16; usize::from(channels)][..]).unwrap();
        image.encoder().write_tag(Tag::SampleFormat, &vec![1_u16; usize::from(channels)][..]).unwrap();
        image.encoder().write_tag(Tag::ExtraSamples, &vec![0_u16; usize::from(channels) - 1][..]).unwrap();
        image.write_data(&numbers).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn all_channels_of_a_tiff_are_read() {
        for channels in [2, 5, 8, 16] {
            let bytes = spectral(channels);
            let channels = usize::from(channels);
            assert_eq!(inspect(&bytes).unwrap().channels, channels);
            let picture = Picture::decode(&bytes, channels).unwrap();
            assert_eq!(picture.size(), Size { height: 2, width: 3 });
            assert_eq!(picture.largest_value().unwrap(), Some(5000.0 + channels as f32 - 1.0));
            let planes = picture.planes(channels, Size { height: 2, width: 3 }, Some(5100.0));
            assert_eq!(planes[..6], [0, 50, 100, 150, 200, 250], "{channels}");
            assert_eq!(planes.len(), 6 * channels);
            assert_eq!(*planes.last().unwrap(), ((5000.0 + channels as f32 - 1.0) / 20.0).round() as u8);
        }
    }

    #[test]
    fn another_number_of_channels_is_refused_in_words() {
        let words = |bytes: &[u8], channels| match Picture::decode(bytes, channels) {
            Err(problem) => problem.to_string(),
            Ok(_) => panic!("read"),
        };
        assert!(words(&spectral(5), 3).contains("data.open.channels = 5"), "{}", words(&spectral(5), 3));
        assert!(words(&spectral(5), 4).contains("5 channels where data.open.channels = 4"));
        assert!(words(&spectral(17), 3).contains("17 channels"), "{}", words(&spectral(17), 3));
        let mut jpeg = Cursor::new(Vec::new());
        image::RgbImage::new(4, 4).write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
        assert!(words(&jpeg.into_inner(), 5).contains("3 channels where"));
    }

    #[test]
    fn four_numbers_of_a_png_are_four_channels() {
        let mut png = Cursor::new(Vec::new());
        image::RgbaImage::from_pixel(2, 1, image::Rgba([1, 2, 3, 4])).write_to(&mut png, ImageFormat::Png).unwrap();
        let picture = Picture::decode(&png.into_inner(), 4).unwrap();
        assert_eq!(picture.planes(4, Size { height: 1, width: 2 }, None), [1, 1, 2, 2, 3, 3, 4, 4]);
    }
}
