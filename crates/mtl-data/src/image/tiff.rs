//! TIFF files: the first image in them, with its numbers as stored.
//!
//! Strips and tiles, interleaved and separate planes, 1 to 16 bits and floats, palettes; compressed by deflate, LZW, PackBits,
//! CCITT fax or JPEG. Signed integers and more than 16 channels are refused in words.

use std::borrow::Cow;
use std::io::Cursor;

use image::metadata::Orientation;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

use super::header::MOST_CHANNELS;
use super::stored::{Layout, Samples, Stored};
use crate::error::Problem;
use crate::size::{MAX_BYTES, MAX_SIDE, Size};

type Reader<'a> = Decoder<Cursor<&'a [u8]>>;

/// Facts in the first directory.
pub(super) struct Head {
    pub size: Size,
    pub layout: Layout,
    pub bits: u8,
    pub orientation: Orientation,
    /// Further images follow.
    pub more: bool,
    planar: bool,
    cmyk: bool,
    float: bool,
    ycbcr: bool,
    /// There is a channel that is not declared as alpha.
    pub undeclared: bool,
}

impl Head {
    /// More than 8 bits per number.
    pub(super) fn deep(&self) -> bool {
        self.bits > 8 || self.float
    }

    pub(super) fn cmyk(&self) -> bool {
        self.cmyk
    }
}

/// A file whose first image has a palette, declared as grey: the decoder takes no palettes, and indices are stored like grey
/// values.
fn as_grey(bytes: &[u8]) -> Cow<'_, [u8]> {
    photometric_of_palette(bytes).map_or(Cow::Borrowed(bytes), |at| {
        let mut grey = bytes.to_vec();
        grey[at..at + 2].copy_from_slice(if bytes[0] == b'I' { &[1, 0] } else { &[0, 1] });
        Cow::Owned(grey)
    })
}

/// Where the tag 262 of the first directory says 3 (palette).
fn photometric_of_palette(bytes: &[u8]) -> Option<usize> {
    let little = bytes.first() == Some(&b'I');
    let number = |at: usize, count: usize| {
        let digits = bytes.get(at..at.checked_add(count)?)?.iter();
        let add = |sum: usize, &byte: &u8| (sum << 8) | usize::from(byte);
        Some(if little { digits.rev().fold(0, add) } else { digits.fold(0, add) })
    };
    let big = number(2, 2)? == 43;
    let (directory, entry, value) = if big { (number(8, 8)?, 20, 12) } else { (number(4, 4)?, 12, 8) };
    let (count, first) = if big { (number(directory, 8)?, 8) } else { (number(directory, 2)?, 2) };
    let entries = (0..count.min(4096)).map_while(|at| directory.checked_add(first + at * entry));
    let photometric = entries.take_while(|&at| at < bytes.len()).find(|&at| number(at, 2) == Some(262))?;
    (number(photometric + value, 2)? == 3).then_some(photometric + value)
}

/// Opens a file (made [`as_grey`]) and reads its first directory; `indexed`: it was changed there.
fn open(bytes: &[u8], indexed: bool) -> Result<(Reader<'_>, Head), Problem> {
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MAX_BYTES as usize;
    limits.intermediate_buffer_size = MAX_BYTES as usize;
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(problem)?.with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(problem)?;
    if width.min(height) == 0 {
        return Err(Problem::Damaged(format!("{width} x {height} pixels")));
    }
    let color = decoder.colortype().map_err(problem)?;
    let (layout, cmyk) = match color {
        ColorType::Gray(_) if indexed => (Layout::Indexed(palette(&mut decoder)?), false),
        ColorType::Gray(_) => (Layout::Grey, false),
        ColorType::GrayA(_) => (Layout::GreyAlpha, false),
        ColorType::RGB(_) | ColorType::YCbCr(8) => (Layout::Rgb, false),
        ColorType::RGBA(_) => (Layout::Rgba, false),
        ColorType::CMYK(8) => (Layout::Rgb, true),
        ColorType::Multiband { num_samples, .. } if usize::from(num_samples) <= MOST_CHANNELS => {
            (Layout::Channels(num_samples.into()), false)
        }
        ColorType::Multiband { num_samples, .. } => return Err(many_channels(num_samples.into())),
        other => {
            return Err(Problem::Unsupported {
                kind: format!("TIFF files of {other:?}"),
                remedy: "convert to RGB".into(),
            });
        }
    };
    let channels = if cmyk { 4 } else { layout.channels() } as u64;
    let bits = color.bit_depth();
    if !matches!(bits, 1 | 2 | 4 | 8 | 16 | 32 | 64) {
        let kind = format!("TIFF files of {bits} bits per number");
        return Err(Problem::Unsupported { kind, remedy: "convert to 8 or 16 bits".into() });
    }
    let size = u64::from(width) * u64::from(height) * channels * u64::from(bits).div_ceil(8);
    if width.max(height) > MAX_SIDE || size > MAX_BYTES {
        return Err(Problem::TooLarge { width, height });
    }
    let number = |decoder: &mut Decoder<_>, tag| decoder.find_tag_unsigned::<u16>(tag).map_err(problem);
    let orientation = number(&mut decoder, Tag::Orientation)?.and_then(|value| u8::try_from(value).ok());
    let photometric = number(&mut decoder, Tag::PhotometricInterpretation)?;
    if photometric == Some(8) {
        return Err(Problem::Unsupported { kind: "TIFF files of CIE L*a*b*".into(), remedy: "convert to RGB".into() });
    }
    // A fourth number that is not declared as alpha may be anything: near infrared, for example.
    let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).map_err(problem)?.unwrap_or_default();
    let stored = number(&mut decoder, Tag::SamplesPerPixel)?.map_or(0, usize::from);
    let more = !cmyk && stored > layout.channels() && !matches!(layout, Layout::Channels(_));
    let undeclared = more || (layout == Layout::Rgba && !matches!(extra.first(), Some(1 | 2)));
    let planar = number(&mut decoder, Tag::PlanarConfiguration)? == Some(2);
    if planar && bits < 8 {
        let kind = format!("TIFF files of separate planes of {bits} bits");
        return Err(Problem::Unsupported { kind, remedy: "convert to 8 or 16 bits".into() });
    }
    let format = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat).map_err(problem)?.unwrap_or_default();
    let head = Head {
        size: Size { height: height as usize, width: width as usize },
        layout,
        bits,
        orientation: orientation.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms),
        more: decoder.more_images(),
        planar,
        cmyk,
        ycbcr: matches!(color, ColorType::YCbCr(_)),
        undeclared,
        float: format.first() == Some(&3),
    };
    Ok((decoder, head))
}

/// Facts in the first directory.
pub(super) fn head(bytes: &[u8]) -> Result<Head, Problem> {
    let grey = as_grey(bytes);
    Ok(open(&grey, matches!(grey, Cow::Owned(_)))?.1)
}

/// More channels than a picture has.
pub(super) fn many_channels(count: usize) -> Problem {
    let remedy = match count {
        0..=MOST_CHANNELS => {
            format!("data.open.channels = {count} reads them all, or save 1 (grey) or 3 (RGB) of them")
        }
        _ => format!("save at most {MOST_CHANNELS} of them"),
    };
    Problem::Unsupported { kind: format!("TIFF files of {count} channels"), remedy }
}

/// The numbers of the first image as a picture: without a fourth number that is not declared as alpha.
pub(super) fn read(bytes: &[u8]) -> Result<Stored, Problem> {
    let (Stored { size, layout, bits, samples, orientation }, undeclared) = read_numbers(bytes)?;
    let (samples, layout) = match layout {
        Layout::Rgba if undeclared => (samples.first_three_of_four(), Layout::Rgb),
        layout => (samples, layout),
    };
    Ok(Stored { size, layout, bits, samples, orientation })
}

/// The numbers of the first image, all of them.
pub(super) fn read_all(bytes: &[u8]) -> Result<Stored, Problem> {
    Ok(read_numbers(bytes)?.0)
}

/// The numbers of the first image, and whether a channel is not declared as alpha.
fn read_numbers(bytes: &[u8]) -> Result<(Stored, bool), Problem> {
    let grey = as_grey(bytes);
    let (mut decoder, head) = open(&grey, matches!(grey, Cow::Owned(_)))?;
    let mut result = DecodingResult::U8(Vec::new());
    decoder.read_image_to_buffer(&mut result).map_err(problem)?;
    let unsupported = |kind: &str| Problem::Unsupported { kind: kind.into(), remedy: "convert to 8 or 16 bits".into() };
    let samples = match result {
        DecodingResult::U8(values) if head.bits < 8 => Samples::U8(unpacked(&values, &head)),
        DecodingResult::U8(values) => Samples::U8(values),
        DecodingResult::U16(values) => Samples::U16(values),
        DecodingResult::U32(values) => Samples::F32(values.into_iter().map(|v| v as f32).collect()),
        DecodingResult::F16(values) => Samples::F32(values.into_iter().map(f32::from).collect()),
        DecodingResult::F32(values) => Samples::F32(values),
        DecodingResult::F64(values) => Samples::F32(values.into_iter().map(|v| v as f32).collect()),
        DecodingResult::U64(_) => return Err(unsupported("TIFF files of 64-bit integers")),
        DecodingResult::I8(_) | DecodingResult::I16(_) | DecodingResult::I32(_) | DecodingResult::I64(_) => {
            return Err(unsupported("TIFF files of signed integers"));
        }
    };
    let channels = if head.cmyk { 4 } else { head.layout.channels() };
    let samples = if head.planar && channels > 1 { samples.interleaved(channels) } else { samples };
    let samples = match samples {
        Samples::U8(values) if head.ycbcr => Samples::U8(values.chunks_exact(3).flat_map(from_ycbcr).collect()),
        Samples::U8(values) if head.cmyk => Samples::U8(values.chunks_exact(4).flat_map(from_cmyk).collect()),
        other => other,
    };
    if samples.len() != head.size.pixels() * head.layout.channels() {
        return Err(Problem::Truncated);
    }
    let Head { size, layout, bits, orientation, undeclared, .. } = head;
    Ok((Stored { size, layout, bits, samples, orientation }, undeclared))
}

/// Amounts of ink to light, without a colour profile.
fn from_cmyk(ink: &[u8]) -> [u8; 3] {
    let black = 255 - u32::from(ink[3]);
    [0, 1, 2].map(|at| ((255 - u32::from(ink[at])) * black / 255) as u8)
}

/// Brightness and two differences of colour (ITU-R BT.601, full range, as JPEG has them) to light.
pub(super) fn from_ycbcr(pixel: &[u8]) -> [u8; 3] {
    let [y, cb, cr] = [0, 1, 2].map(|at| f32::from(pixel[at]));
    let (cb, cr) = (cb - 128.0, cr - 128.0);
    let light = [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb];
    light.map(|value| value.round().clamp(0.0, 255.0) as u8)
}

/// Numbers of fewer than 8 bits: high bits first, rows start at a byte.
fn unpacked(packed: &[u8], head: &Head) -> Vec<u8> {
    let per_row = head.size.width * head.layout.channels();
    let line = (per_row * usize::from(head.bits)).div_ceil(8);
    super::stored::unpack(packed, line, per_row, head.size.height, head.bits)
}

fn palette(decoder: &mut Reader<'_>) -> Result<Vec<[u8; 3]>, Problem> {
    let map = decoder.get_tag_u16_vec(Tag::ColorMap).map_err(problem)?;
    let third = map.len() / 3;
    Ok((0..third).map(|at| [0, 1, 2].map(|channel| (map[channel * third + at] >> 8) as u8)).collect())
}

fn problem(error: TiffError) -> Problem {
    match error {
        TiffError::IoError(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => Problem::Truncated,
        TiffError::UnsupportedError(what) => {
            Problem::Unsupported { kind: format!("such TIFF files ({what})"), remedy: "convert to PNG".into() }
        }
        other => Problem::Damaged(other.to_string()),
    }
}
