//! DICOM files: the first frame, in grey or RGB.
//!
//! A file with a window (center and width) gives 8 bits: its numbers after the rescale slope and intercept, through the first
//! window. Without one, the stored numbers are taken as they are, signed ones from their lowest on, and brought to 8 bits by
//! the range of the whole set, as other images of more than 8 bits are. MONOCHROME1 (0 is white) is inverted. Uncompressed, RLE
//! and JPEG data are read; JPEG 2000 and JPEG-LS are not.

use std::io::Cursor;

use dicom_core::Tag;
use dicom_object::{DefaultDicomObject, OpenFileOptions};
use dicom_pixeldata::{
    ConvertOptions, DecodedPixelData, ModalityLutOption, PhotometricInterpretation, PixelDecoder, PixelRepresentation,
    PlanarConfiguration, VoiLutFunction, VoiLutOption,
};
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, RgbImage};

use super::header::{Header, Note, check_size};
use super::tiff::from_ycbcr;
use crate::error::Problem;
use crate::size::Size;

const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const SAMPLES: Tag = Tag(0x0028, 0x0002);
const FRAMES: Tag = Tag(0x0028, 0x0008);
const BITS_STORED: Tag = Tag(0x0028, 0x0101);
const WINDOW_CENTER: Tag = Tag(0x0028, 0x1050);
const WINDOW_WIDTH: Tag = Tag(0x0028, 0x1051);
const PIXEL_DATA: Tag = Tag(0x7fe0, 0x0010);

/// Whether the first bytes are those of a DICOM file.
pub(super) fn is_dicom(bytes: &[u8]) -> bool {
    bytes.get(128..132) == Some(b"DICM")
}

/// Facts of the file, without decoding its pixels.
pub(super) fn inspect(bytes: &[u8]) -> Result<Header, Problem> {
    let file = open(bytes, true)?;
    let size = size(&file)?;
    let grey = number(&file, SAMPLES).unwrap_or(1) == 1;
    let deep = grey && number(&file, BITS_STORED).unwrap_or(16) > 8 && !has_window(&file);
    let channels = if grey { 1 } else { 3 };
    Ok(Header { size, grey, channels, alpha: false, deep, orientation: Orientation::NoTransforms })
}

/// Remarks about the file.
pub(super) fn notes(bytes: &[u8]) -> Result<Vec<Note>, Problem> {
    let file = open(bytes, true)?;
    let several = number(&file, FRAMES).is_some_and(|frames| frames > 1);
    let windowed = number(&file, SAMPLES).unwrap_or(1) == 1 && has_window(&file);
    let all = [(several, Note::FirstOfSeveral), (windowed, Note::Window)];
    Ok(all.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note).collect())
}

/// Decodes the first frame.
pub(super) fn pixels(bytes: &[u8]) -> Result<DynamicImage, Problem> {
    let file = open(bytes, false)?;
    let size = size(&file)?;
    let pixels = file.decode_pixel_data_frame(0).map_err(|error| not_decoded(&error))?;
    let image = match pixels.samples_per_pixel() {
        1 if !pixels.photometric_interpretation().is_monochrome() => {
            return Err(unsupported(format!("DICOM files of {}", pixels.photometric_interpretation())));
        }
        1 if has_window(&file) => windowed(&pixels, size)?,
        1 => stored(&pixels, size)?,
        3 => coloured(&pixels, size)?,
        count => return Err(unsupported(format!("DICOM files of {count} channels"))),
    };
    image.ok_or(Problem::Truncated)
}

fn open(bytes: &[u8], header_only: bool) -> Result<DefaultDicomObject, Problem> {
    check_lengths(bytes)?;
    let options = OpenFileOptions::new();
    let options = if header_only { options.read_until(PIXEL_DATA) } else { options };
    options.from_reader(Cursor::new(bytes)).map_err(|error| Problem::Damaged(error.to_string()))
}

/// The parser reserves what an element's length says before it reads: 4 GB for a damaged one. Elements are followed up to the first
/// of undefined length.
///
/// # Errors
/// [`Problem::Truncated`] for an element that is longer than the rest of the file.
fn check_lengths(bytes: &[u8]) -> Result<(), Problem> {
    let (mut at, mut implicit, mut big) = (132, false, false);
    while let Some(head) = bytes.get(at..at + 8) {
        // The first group is explicit and little-endian in every file; it names the syntax of the others.
        let meta = head[..2] == [2, 0];
        let short = |at: usize| {
            let pair = [head[at], head[at + 1]];
            if big && !meta { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
        };
        let long = |four: &[u8]| {
            let four = [four[0], four[1], four[2], four[3]];
            if big && !meta { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
        };
        // An unknown type is read like UN, with four bytes of length.
        const SHORT: &[u8] = b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US";
        let is_long = !SHORT.chunks(3).any(|kind| kind[..2] == head[4..6]);
        let (length, start) = match (implicit && !meta, is_long) {
            (true, _) => (long(&head[4..]), at + 8),
            (false, false) => (u32::from(short(6)), at + 8),
            (false, true) => (long(bytes.get(at + 8..at + 12).ok_or(Problem::Truncated)?), at + 12),
        };
        if length == u32::MAX {
            return Ok(());
        }
        let value = bytes.get(start..start.saturating_add(length as usize)).ok_or(Problem::Truncated)?;
        if meta && short(2) == 0x10 {
            let syntax = value.strip_suffix(&[0]).unwrap_or(value);
            // A deflated file is unpacked before its elements can be followed.
            if syntax == b"1.2.840.10008.1.2.1.99" {
                return Ok(());
            }
            (implicit, big) = (syntax == b"1.2.840.10008.1.2", syntax == b"1.2.840.10008.1.2.2");
        }
        at = start + length as usize;
    }
    Ok(())
}

fn number(file: &DefaultDicomObject, tag: Tag) -> Option<u32> {
    file.element_opt(tag).ok()??.to_int().ok()
}

fn has_window(file: &DefaultDicomObject) -> bool {
    let finite = |tag| {
        let value = file.element_opt(tag).ok().flatten().and_then(|element| element.to_multi_float32().ok());
        value.and_then(|values| values.first().copied()).is_some_and(f32::is_finite)
    };
    finite(WINDOW_CENTER) && finite(WINDOW_WIDTH)
}

fn size(file: &DefaultDicomObject) -> Result<Size, Problem> {
    let side = |tag, name| number(file, tag).ok_or_else(|| Problem::Damaged(format!("no number of {name}")));
    let (height, width) = (side(ROWS, "rows")?, side(COLUMNS, "columns")?);
    let samples = number(file, SAMPLES).unwrap_or(1);
    check_size((width, height), 2 * u64::from(width) * u64::from(height) * u64::from(samples))?;
    Ok(Size { height: height as usize, width: width as usize })
}

fn is_inverted(pixels: &DecodedPixelData) -> bool {
    *pixels.photometric_interpretation() == PhotometricInterpretation::Monochrome1
}

/// Numbers through the file's first window (PS3.3, C.11.2.1.2 and C.11.2.1.3).
fn windowed(pixels: &DecodedPixelData, size: Size) -> Result<Option<DynamicImage>, Problem> {
    let options = ConvertOptions::new().with_modality_lut(ModalityLutOption::Default);
    let values: Vec<f32> = pixels
        .to_vec_frame_with_options(0, &options.with_voi_lut(VoiLutOption::Identity))
        .map_err(|error| not_decoded(&error))?;
    let window = pixels.window().ok().flatten().and_then(|windows| windows.first().copied());
    let window = window.ok_or_else(|| Problem::Damaged("its window cannot be read".into()))?;
    let function = pixels.voi_lut_function().ok().flatten().and_then(|functions| functions.first().copied());
    let (center, width) = (window.center as f32, (window.width as f32).max(1.0));
    let share = |value: f32| match function.unwrap_or(VoiLutFunction::Linear) {
        VoiLutFunction::LinearExact => (value - center) / width + 0.5,
        VoiLutFunction::Sigmoid => 1.0 / (1.0 + (-4.0 * (value - center) / width).exp()),
        // A window of width 1 is a threshold.
        _ if width <= 1.0 => f32::from(u8::from(value > center - 0.5)),
        _ => (value - (center - 0.5)) / (width - 1.0) + 0.5,
    };
    let inverted = is_inverted(pixels);
    let byte = |value| {
        let byte = (share(value) * 255.0).round().clamp(0.0, 255.0) as u8;
        if inverted { 255 - byte } else { byte }
    };
    let bytes = values.into_iter().map(byte).collect();
    Ok(GrayImage::from_raw(size.width as u32, size.height as u32, bytes).map(DynamicImage::from))
}

/// Numbers as they are stored.
fn stored(pixels: &DecodedPixelData, size: Size) -> Result<Option<DynamicImage>, Problem> {
    let bits = u32::from(pixels.bits_stored()).clamp(1, 16);
    let end = ((1_u32 << bits) - 1) as u16;
    // With its sign bit turned over, the lowest number is 0.
    let lowest = if pixels.pixel_representation() == PixelRepresentation::Signed { 1_u16 << (bits - 1) } else { 0 };
    let inverted = is_inverted(pixels);
    let value = |stored: u16| {
        let value = (stored ^ lowest) & end;
        if inverted { end - value } else { value }
    };
    let (width, height) = (size.width as u32, size.height as u32);
    let data = pixels.frame_data(0).map_err(|error| not_decoded(&error))?;
    match pixels.bits_allocated() {
        8 => {
            let full = f32::from(end);
            let byte = |&stored: &u8| (f32::from(value(stored.into())) * 255.0 / full).round() as u8;
            Ok(GrayImage::from_raw(width, height, data.iter().map(byte).collect()).map(DynamicImage::from))
        }
        16 => {
            let numbers = data.chunks_exact(2).map(|pair| value(u16::from_ne_bytes([pair[0], pair[1]]))).collect();
            Ok(ImageBuffer::<Luma<u16>, Vec<u16>>::from_raw(width, height, numbers).map(DynamicImage::from))
        }
        bits => Err(unsupported(format!("DICOM files of {bits} bits per number"))),
    }
}

fn coloured(pixels: &DecodedPixelData, size: Size) -> Result<Option<DynamicImage>, Problem> {
    if pixels.bits_allocated() != 8 {
        return Err(unsupported(format!("DICOM files of {} bits per colour", pixels.bits_allocated())));
    }
    let data = pixels.frame_data(0).map_err(|error| not_decoded(&error))?;
    let plane = data.len() / 3;
    let interleaved: Vec<u8> = match pixels.planar_configuration() {
        PlanarConfiguration::Standard => data.to_vec(),
        PlanarConfiguration::PixelFirst => (0..3 * plane).map(|at| data[at % 3 * plane + at / 3]).collect(),
    };
    let colours = match pixels.photometric_interpretation() {
        PhotometricInterpretation::Rgb => interleaved,
        PhotometricInterpretation::YbrFull | PhotometricInterpretation::YbrFull422 => {
            interleaved.chunks_exact(3).flat_map(from_ycbcr).collect()
        }
        other => return Err(unsupported(format!("DICOM files of {other}"))),
    };
    Ok(RgbImage::from_raw(size.width as u32, size.height as u32, colours).map(DynamicImage::from))
}

fn unsupported(kind: String) -> Problem {
    Problem::Unsupported { kind, remedy: "convert with `dcm2pnm +on x.dcm x.png`".into() }
}

/// The first cause says more than the errors around it.
fn not_decoded(error: &(dyn std::error::Error + 'static)) -> Problem {
    let mut first = error;
    while let Some(source) = first.source() {
        first = source;
    }
    unsupported(format!("such DICOM files ({first})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{decode, range};

    /// One element of explicit length, little-endian.
    fn element(tag: Tag, kind: &[u8; 2], value: &[u8]) -> Vec<u8> {
        let mut bytes = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
        bytes.extend(kind);
        let mut value = value.to_vec();
        if value.len() % 2 == 1 {
            value.push(if kind == b"UI" { 0 } else { b' ' });
        }
        match kind {
            b"OW" | b"OB" => {
                bytes.extend([0, 0]);
                bytes.extend((value.len() as u32).to_le_bytes());
            }
            _ => bytes.extend((value.len() as u16).to_le_bytes()),
        }
        bytes.extend(value);
        bytes
    }

    struct Case<'a> {
        photometric: &'a str,
        signed: bool,
        bits: u16,
        rescale: Option<(&'a str, &'a str)>,
        window: Option<(&'a str, &'a str)>,
        numbers: &'a [u16],
    }

    /// A file of one row.
    fn file(case: &Case) -> Vec<u8> {
        let short = |group, number, value: u16| element(Tag(group, number), b"US", &value.to_le_bytes());
        let text = |number, value: &str| element(Tag(0x28, number), b"DS", value.as_bytes());
        let mut meta = element(Tag(2, 2), b"UI", b"1.2.840.10008.5.1.4.1.1.7");
        meta.extend(element(Tag(2, 3), b"UI", b"1.2.3.4"));
        meta.extend(element(Tag(2, 0x10), b"UI", b"1.2.840.10008.1.2.1"));
        let mut bytes = vec![0; 128];
        bytes.extend(b"DICM");
        bytes.extend(element(Tag(2, 0), b"UL", &(meta.len() as u32).to_le_bytes()));
        bytes.extend(meta);
        bytes.extend(element(Tag(8, 0x16), b"UI", b"1.2.840.10008.5.1.4.1.1.7"));
        bytes.extend(short(0x28, 2, 1));
        bytes.extend(element(Tag(0x28, 4), b"CS", case.photometric.as_bytes()));
        bytes.extend(short(0x28, 0x10, 1));
        bytes.extend(short(0x28, 0x11, case.numbers.len() as u16));
        bytes.extend(short(0x28, 0x100, 16));
        bytes.extend(short(0x28, 0x101, case.bits));
        bytes.extend(short(0x28, 0x102, case.bits - 1));
        bytes.extend(short(0x28, 0x103, case.signed.into()));
        for ((first, second), value) in [((0x1050, 0x1051), case.window), ((0x1052, 0x1053), case.rescale)] {
            if let Some((one, other)) = value {
                bytes.extend(text(first, one));
                bytes.extend(text(second, other));
            }
        }
        let data: Vec<u8> = case.numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        bytes.extend(element(PIXEL_DATA, b"OW", &data));
        bytes
    }

    const PLAIN: Case = Case {
        photometric: "MONOCHROME2",
        signed: false,
        bits: 12,
        rescale: None,
        window: None,
        numbers: &[0, 1000, 4095],
    };

    #[test]
    fn without_a_window_stored_numbers_are_kept() {
        let grey = |case: &Case| decode::decode(&file(case)).unwrap().to_luma16().into_raw();
        assert_eq!(grey(&PLAIN), [0, 1000, 4095]);
        assert_eq!(grey(&Case { photometric: "MONOCHROME1", ..PLAIN }), [4095, 3095, 0]);
        // -2048, -1, 2047 in 12 bits.
        assert_eq!(grey(&Case { signed: true, numbers: &[0xf800, 0xffff, 0x07ff], ..PLAIN }), [0, 2047, 4095]);
        let header = decode::inspect(&file(&PLAIN)).unwrap();
        assert_eq!((header.size, header.grey, header.deep), (Size { height: 1, width: 3 }, true, true));
        assert_eq!(range::largest_value(&decode::decode(&file(&PLAIN)).unwrap()).unwrap(), Some(4095.0));
    }

    #[test]
    fn a_window_is_applied_after_the_rescale() {
        // Hounsfield units -1024, -160, 40, 240, 3071 in a window of 400 about 40; the bytes are pydicom's, rounded.
        let case = Case {
            rescale: Some(("-1024", "1")),
            window: Some(("40", "400")),
            numbers: &[0, 864, 1064, 1264, 4095],
            ..PLAIN
        };
        let bytes = file(&case);
        assert_eq!(decode::decode(&bytes).unwrap().to_luma8().into_raw(), [0, 0, 128, 255, 255]);
        assert!(!decode::inspect(&bytes).unwrap().deep);
        assert_eq!(decode::verify(&bytes).unwrap(), [Note::Window]);
        let inverted = file(&Case { photometric: "MONOCHROME1", ..case });
        assert_eq!(decode::decode(&inverted).unwrap().to_luma8().into_raw(), [255, 255, 127, 0, 0]);
    }

    #[test]
    fn damaged_files_are_errors() {
        let bytes = file(&PLAIN);
        for keep in 132..bytes.len() {
            assert!(decode::decode(&bytes[..keep]).is_err(), "cut to {keep} of {} bytes", bytes.len());
        }
        for at in 132..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0xff;
            let _ = (decode::inspect(&changed), decode::decode(&changed), decode::verify(&changed));
        }
        let palette = file(&Case { photometric: "PALETTE COLOR", ..PLAIN });
        let words = decode::decode(&palette).unwrap_err().to_string();
        assert!(words.contains("PALETTE COLOR") && words.contains("dcm2pnm"), "{words}");
    }
}
