//! Image decoding with limits.
//!
//! PNG, JPEG, WebP, BMP, GIF, TIFF and PNM, recognised by content and not by file name; 1 to 16 bits and floats; grey or colour,
//! with or without alpha; EXIF orientation applied; the first image of a file with several. Sizes are checked in the header,
//! before a pixel buffer exists, so that a file of 100 bytes that claims 60000 x 60000 pixels costs nothing. A JPEG whose lower
//! part is missing is refused (decoders make it grey); one that lacks only its end marker is read. CMYK becomes RGB without a
//! colour profile.

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::error::{Error, Problem};
#[cfg(feature = "dicom")]
use crate::image::dicom;
use crate::image::foreign::{AVIF, DICOM, Foreign, HEIC, JPEG_2000};
use crate::image::header::{Header, Note, check_size};
use crate::image::jpeg_pixels::Jpeg;
use crate::image::{jpeg, stored, tiff};
use crate::size::{MAX_BYTES, Size};

/// Reads a file of at most [`MAX_BYTES`].
///
/// # Errors
/// [`Error::Io`], or [`Error::Image`] if it is too large.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(io)?.len();
    if bytes > MAX_BYTES {
        return Err(Error::Image { path: path.to_owned(), problem: Problem::FileTooLarge(bytes) });
    }
    std::fs::read(path).map_err(io)
}

/// Size and kind of pixels, from the header alone.
///
/// # Errors
/// [`Problem`], for everything that shows without decoding.
pub fn inspect(bytes: &[u8]) -> Result<Header, Problem> {
    #[cfg(feature = "dicom")]
    if dicom::is_dicom(bytes) {
        return dicom::inspect(bytes);
    }
    let format = format(bytes)?;
    if format == ImageFormat::Tiff {
        let head = tiff::head(bytes)?;
        let grey = matches!(head.layout, stored::Layout::Grey | stored::Layout::GreyAlpha);
        let alpha = matches!(head.layout, stored::Layout::GreyAlpha | stored::Layout::Rgba) && !head.undeclared;
        let size = upright(head.size, head.orientation);
        let channels = head.layout.channels();
        return Ok(Header { size, grey, channels, alpha, deep: head.deep(), orientation: head.orientation });
    }
    let size = |(width, height): (u32, u32), orientation| {
        upright(Size { height: height as usize, width: width as usize }, orientation)
    };
    if format == ImageFormat::Jpeg {
        let Jpeg { dimensions, grey, orientation, .. } = Jpeg::open(bytes)?;
        let channels = if grey { 1 } else { 3 };
        return Ok(Header {
            size: size(dimensions, orientation),
            grey,
            channels,
            alpha: false,
            deep: false,
            orientation,
        });
    }
    let mut decoder = open(bytes, format)?;
    let color = decoder.color_type();
    let orientation = decoder.orientation().map_err(problem)?;
    Ok(Header {
        size: size(decoder.dimensions(), orientation),
        grey: !color.has_color(),
        channels: color.channel_count().into(),
        alpha: color.has_alpha(),
        deep: color.bytes_per_pixel() > color.channel_count(),
        orientation,
    })
}

fn upright(size: Size, orientation: Orientation) -> Size {
    let turned = matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    );
    if turned { Size { height: size.width, width: size.height } } else { size }
}

/// Decodes the first frame and turns it upright. Numbers of more than 8 bits stay as they are stored, floats too.
///
/// # Errors
/// [`Problem`].
pub fn decode(bytes: &[u8]) -> Result<DynamicImage, Problem> {
    let (mut image, orientation) = pixels(bytes)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// The first frame as it is stored: the EXIF orientation is not applied.
pub(super) fn unturned(bytes: &[u8]) -> Result<DynamicImage, Problem> {
    Ok(pixels(bytes)?.0)
}

fn pixels(bytes: &[u8]) -> Result<(DynamicImage, Orientation), Problem> {
    #[cfg(feature = "dicom")]
    if dicom::is_dicom(bytes) {
        return Ok((dicom::pixels(bytes)?, Orientation::NoTransforms));
    }
    match format(bytes)? {
        ImageFormat::Tiff => {
            let stored = tiff::read(bytes)?;
            let orientation = stored.orientation;
            Ok((stored.into_picture()?, orientation))
        }
        ImageFormat::Jpeg => {
            let file = Jpeg::open(bytes)?;
            let orientation = file.orientation;
            Ok((file.pixels()?, orientation))
        }
        format => {
            let mut decoder = open(bytes, format)?;
            let orientation = decoder.orientation().map_err(problem)?;
            Ok((DynamicImage::from_decoder(decoder).map_err(problem)?, orientation))
        }
    }
}

/// Looks closer at a file than decoding does: for the pass over a new data set, not for training.
///
/// # Errors
/// [`Problem`]: pixels that the decoder would make up.
pub fn verify(bytes: &[u8]) -> Result<Vec<Note>, Problem> {
    #[cfg(feature = "dicom")]
    if dicom::is_dicom(bytes) {
        return dicom::notes(bytes);
    }
    let several = |several: bool| vec![(several, Note::FirstOfSeveral)];
    let found = match format(bytes)? {
        ImageFormat::Jpeg => {
            let unmarked = jpeg::end(bytes, true)? == jpeg::End::Unmarked;
            vec![(unmarked, Note::NoEndMarker), (jpeg::is_cmyk(bytes), Note::Cmyk)]
        }
        ImageFormat::Tiff => {
            let head = tiff::head(bytes)?;
            let further = (head.undeclared, Note::FurtherChannel);
            vec![(head.more, Note::FirstOfSeveral), (head.cmyk(), Note::Cmyk), further]
        }
        ImageFormat::Gif => {
            let decoder = image::codecs::gif::GifDecoder::new(Cursor::new(bytes)).map_err(problem)?;
            several(decoder.into_frames().take(2).filter(Result::is_ok).count() > 1)
        }
        ImageFormat::WebP => {
            let decoder = image::codecs::webp::WebPDecoder::new(Cursor::new(bytes));
            several(decoder.is_ok_and(|decoder| decoder.has_animation()))
        }
        ImageFormat::Png => {
            let decoder = image::codecs::png::PngDecoder::new(Cursor::new(bytes)).map_err(problem)?;
            several(decoder.is_apng().unwrap_or(false))
        }
        _ => Vec::new(),
    };
    Ok(found.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note).collect())
}

/// The size of a decoded image.
pub fn size_of(image: &DynamicImage) -> Size {
    Size { height: image.height() as usize, width: image.width() as usize }
}

/// True if no pixel has a colour, however it is stored.
pub fn is_grey(image: &DynamicImage) -> bool {
    fn equal<T: PartialEq>(pixels: &[T], channels: usize) -> bool {
        pixels.chunks_exact(channels).all(|p| p[0] == p[1] && p[1] == p[2])
    }
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    match image {
        image if !image.color().has_color() => true,
        DynamicImage::ImageRgb8(pixels) => equal(pixels.as_raw(), 3),
        DynamicImage::ImageRgba8(pixels) => equal(pixels.as_raw(), 4),
        DynamicImage::ImageRgb16(pixels) => equal(pixels.as_raw(), 3),
        DynamicImage::ImageRgba16(pixels) => equal(pixels.as_raw(), 4),
        // By their bits: a missing value (NaN) equals itself.
        DynamicImage::ImageRgb32F(pixels) => equal(&bits(pixels.as_raw()), 3),
        DynamicImage::ImageRgba32F(pixels) => equal(&bits(pixels.as_raw()), 4),
        other => equal(other.to_rgb8().as_raw(), 3),
    }
}

/// The alpha channel as 0 or 1 per pixel (1 from half opaque on), or `None` without alpha.
pub fn alpha_mask(image: &DynamicImage) -> Option<Vec<u8>> {
    image.color().has_alpha().then(|| image.to_rgba8().pixels().map(|pixel| u8::from(pixel.0[3] >= 128)).collect())
}

/// The format by the first bytes.
pub(super) fn format(bytes: &[u8]) -> Result<ImageFormat, Problem> {
    if bytes.is_empty() {
        return Err(Problem::Empty);
    }
    let read = |format: &ImageFormat| {
        use ImageFormat::{Bmp, Gif, Jpeg, Png, Pnm, Tiff, WebP};
        matches!(format, Png | Jpeg | WebP | Bmp | Gif | Tiff | Pnm)
    };
    let big_tiff = bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+");
    match image::guess_format(bytes).ok().or(big_tiff.then_some(ImageFormat::Tiff)) {
        Some(format) if read(&format) => Ok(format),
        guessed => Err(not_read(bytes, guessed)),
    }
}

/// What a file is that is not read, and how to convert it.
fn not_read(bytes: &[u8], guessed: Option<ImageFormat>) -> Problem {
    let unsupported = |kind: &str, remedy: &str| Problem::Unsupported { kind: kind.into(), remedy: remedy.into() };
    let known = match (bytes.get(4..12), bytes.get(128..132)) {
        (Some(b"ftypavif" | b"ftypavis"), _) => Some(AVIF),
        (Some(b"ftypheic" | b"ftypheix" | b"ftyphevc" | b"ftypheim" | b"ftypmif1" | b"ftypmsf1"), _) => Some(HEIC),
        (Some(b"jP  \r\n\x87\n"), _) => Some(JPEG_2000),
        (_, Some(b"DICM")) => Some(DICOM),
        _ => None,
    };
    match (known, guessed) {
        (Some(Foreign { kind, remedy, .. }), _) => unsupported(kind, remedy),
        (None, Some(format)) => {
            unsupported(&format!("{} files", format!("{format:?}").to_uppercase()), "convert to PNG")
        }
        (None, None) if bytes.starts_with(b"version https://git-lfs.") => Problem::GitLfs,
        (None, None) => Problem::NotAnImage,
    }
}

fn open(bytes: &[u8], format: ImageFormat) -> Result<impl ImageDecoder + '_, Problem> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(2 * MAX_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(problem)?;
    check_size(decoder.dimensions(), decoder.total_bytes())?;
    Ok(decoder)
}

fn problem(error: ImageError) -> Problem {
    match error {
        ImageError::IoError(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => Problem::Truncated,
        other => Problem::Damaged(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayAlphaImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage};

    fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn every_format_and_depth_decodes() {
        let rgb = RgbImage::from_pixel(8, 4, Rgb([200, 100, 50]));
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif] {
            let source: DynamicImage = if format == ImageFormat::Gif {
                RgbaImage::from_pixel(8, 4, Rgba([200, 100, 50, 255])).into()
            } else {
                rgb.clone().into()
            };
            let bytes = encoded(source, format);
            let image = decode(&bytes).unwrap();
            assert_eq!(size_of(&image), Size { height: 4, width: 8 }, "{format:?}");
            assert_eq!(inspect(&bytes).unwrap().size, Size { height: 4, width: 8 });
            let pixel = image.to_rgb8().get_pixel(3, 2).0;
            assert!(
                pixel.iter().zip([200, 100, 50]).all(|(&a, b): (&u8, i32)| (i32::from(a) - b).abs() <= 3),
                "{pixel:?}"
            );
        }
        let deep: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_pixel(3, 3, Luma([0x8000_u16]));
        let bytes = encoded(deep, ImageFormat::Png);
        assert!(inspect(&bytes).unwrap().grey);
        assert_eq!(decode(&bytes).unwrap().to_luma8().get_pixel(0, 0).0, [128]);
        let grey_alpha = encoded(GrayAlphaImage::from_pixel(2, 2, LumaA([9, 0])), ImageFormat::Png);
        let header = inspect(&grey_alpha).unwrap();
        assert_eq!((header.size, header.grey, header.alpha), (Size { height: 2, width: 2 }, true, true));
        assert_eq!(alpha_mask(&decode(&grey_alpha).unwrap()), Some(vec![0; 4]));
    }

    #[test]
    fn what_is_not_an_image_says_why() {
        assert_eq!(decode(b""), Err(Problem::Empty));
        assert_eq!(decode(b"hello, I am text"), Err(Problem::NotAnImage));
        assert_eq!(decode(b"version https://git-lfs.github.com/spec/v1\noid sha256:0"), Err(Problem::GitLfs));
        assert!(decode(b"II*\0aaaaaaaaaa").is_err());
        let heic = decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap_err().to_string();
        assert!(heic.contains("HEIC") && heic.contains("heif-convert"), "{heic}");
        let noise = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * 37 + y * 91) as u8, (x * y) as u8, y as u8]));
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Bmp] {
            let bytes = encoded(noise.clone(), format);
            for keep in [20, bytes.len() / 2, bytes.len() * 9 / 10] {
                assert!(decode(&bytes[..keep]).is_err(), "{format:?} cut to {keep} bytes decodes");
            }
        }
    }

    #[test]
    fn huge_headers_are_refused_from_the_header() {
        // A PNG of 1 x 1 whose header is rewritten to 60000 x 60000 (with its checksum).
        let mut png = encoded(GrayImage::new(1, 1), ImageFormat::Png);
        png[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        png[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
        let crc = png[12..29].iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 })
        });
        png[29..33].copy_from_slice(&(!crc).to_be_bytes());
        assert_eq!(inspect(&png), Err(Problem::TooLarge { width: 60_000, height: 60_000 }));
        // The same in a bitmap header.
        let mut bmp = encoded(RgbImage::new(1, 1), ImageFormat::Bmp);
        bmp[18..22].copy_from_slice(&16_000_u32.to_le_bytes());
        bmp[22..26].copy_from_slice(&16_000_u32.to_le_bytes());
        assert_eq!(decode(&bmp), Err(Problem::TooLarge { width: 16_000, height: 16_000 }));
    }

    #[test]
    fn exif_orientation_is_applied() {
        let mut image = RgbImage::new(16, 8);
        (0..8).for_each(|y| (0..8).for_each(|x| image.put_pixel(x, y, Rgb([255; 3])))); // left half white
        let mut jpeg = encoded(image, ImageFormat::Jpeg);
        // APP1 with one IFD entry: orientation (0x0112), SHORT, 6 = turn 90 degrees clockwise.
        let mut exif = b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0".to_vec();
        exif.extend([0; 4]);
        jpeg.splice(2..2, exif);
        assert_eq!(inspect(&jpeg).unwrap().size, Size { height: 16, width: 8 });
        let upright = decode(&jpeg).unwrap().to_luma8();
        assert_eq!(upright.dimensions(), (8, 16));
        assert!(upright.get_pixel(4, 2).0[0] > 200 && upright.get_pixel(4, 13).0[0] < 50, "left became the top");
    }

    #[test]
    fn grey_is_seen_however_it_is_stored() {
        assert!(is_grey(&RgbImage::from_pixel(2, 2, Rgb([7, 7, 7])).into()));
        assert!(!is_grey(&RgbImage::from_pixel(2, 2, Rgb([7, 8, 7])).into()));
        assert!(is_grey(&RgbaImage::from_pixel(2, 2, Rgba([7, 7, 7, 1])).into()));
    }
}
