//! Image decoding with limits.
//!
//! PNG, JPEG, WebP, BMP and GIF (first frame), recognised by content and not by file name; 8 or 16 bits; grey or
//! colour, with or without alpha; EXIF orientation applied. Sizes are checked in the header, before a pixel buffer
//! exists, so that a file of 100 bytes that claims 60000 x 60000 pixels costs nothing. Two things the `image` crate
//! lets pass are refused here: a JPEG that ends before its end marker (it would become half grey) and CMYK JPEGs
//! (their colours would be guessed).

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::error::{Error, Problem};
use crate::image::resize;
use crate::size::{MAX_BYTES, MAX_SIDE, Size};

/// Facts in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Size after EXIF orientation.
    pub size: Size,
    /// Stored with one colour component.
    pub grey: bool,
    /// Stored with an alpha channel.
    pub alpha: bool,
}

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

/// Reads, decodes and resizes one image file: `[channels, H, W]` bytes and the size it had.
///
/// # Errors
/// [`Error::Io`] or [`Error::Image`].
pub fn load(path: &Path, channels: usize, size: Size) -> Result<(Vec<u8>, Size), Error> {
    let image = decode(&read_file(path)?).map_err(|problem| Error::Image { path: path.to_owned(), problem })?;
    Ok((resize::planes(&image, channels, size), size_of(&image)))
}

/// Size and kind of pixels, from the header alone (JPEGs are also walked to their end marker, which costs a scan).
///
/// # Errors
/// [`Problem`], for everything that shows without decoding.
pub fn inspect(bytes: &[u8]) -> Result<Header, Problem> {
    let mut decoder = open(bytes)?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let turned = matches!(
        decoder.orientation().map_err(problem)?,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    );
    let (width, height) = if turned { (height, width) } else { (width, height) };
    Ok(Header {
        size: Size { height: height as usize, width: width as usize },
        grey: !color.has_color(),
        alpha: color.has_alpha(),
    })
}

/// Decodes the first frame and turns it upright.
///
/// # Errors
/// [`Problem`].
pub fn decode(bytes: &[u8]) -> Result<DynamicImage, Problem> {
    let mut decoder = open(bytes)?;
    let orientation = decoder.orientation().map_err(problem)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(problem)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// The size of a decoded image.
pub fn size_of(image: &DynamicImage) -> Size {
    Size { height: image.height() as usize, width: image.width() as usize }
}

/// True if no pixel has a colour, however it is stored.
pub fn is_grey(image: &DynamicImage) -> bool {
    if !image.color().has_color() {
        return true;
    }
    let equal = |p: &[u8]| p[0] == p[1] && p[1] == p[2];
    match image {
        DynamicImage::ImageRgb8(pixels) => pixels.as_raw().chunks_exact(3).all(equal),
        DynamicImage::ImageRgba8(pixels) => pixels.as_raw().chunks_exact(4).all(equal),
        other => other.to_rgb8().as_raw().chunks_exact(3).all(equal),
    }
}

/// The alpha channel as 0 or 1 per pixel (1 from half opaque on), or `None` without alpha.
pub fn alpha_mask(image: &DynamicImage) -> Option<Vec<u8>> {
    image.color().has_alpha().then(|| image.to_rgba8().pixels().map(|pixel| u8::from(pixel.0[3] >= 128)).collect())
}

fn open(bytes: &[u8]) -> Result<impl ImageDecoder + '_, Problem> {
    if bytes.is_empty() {
        return Err(Problem::Empty);
    }
    let format = image::guess_format(bytes).map_err(|_| Problem::NotAnImage)?;
    match format {
        ImageFormat::Jpeg => walk_jpeg(bytes)?,
        ImageFormat::Png | ImageFormat::WebP | ImageFormat::Bmp | ImageFormat::Gif => {}
        other => return Err(Problem::Unsupported(format!("{other:?}").to_uppercase())),
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(2 * MAX_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(problem)?;
    let (width, height) = decoder.dimensions();
    if width.max(height) > MAX_SIDE || decoder.total_bytes() > MAX_BYTES {
        return Err(Problem::TooLarge { width, height });
    }
    if width.min(height) == 0 {
        return Err(Problem::Damaged(format!("{width} x {height} pixels")));
    }
    Ok(decoder)
}

fn problem(error: ImageError) -> Problem {
    match error {
        ImageError::IoError(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => Problem::Truncated,
        other => Problem::Damaged(other.to_string()),
    }
}

/// Follows the markers of a JPEG (ITU T.81, annex B) from start to end marker.
fn walk_jpeg(bytes: &[u8]) -> Result<(), Problem> {
    let mut at = 2;
    loop {
        // Outside and inside of entropy-coded data alike, the next marker is the next FF that is followed by neither
        // 00 (a stuffed FF), a restart marker nor another FF (fill).
        at += bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xff)).ok_or(Problem::Truncated)?;
        let marker = *bytes.get(at + 1).ok_or(Problem::Truncated)?;
        match marker {
            0xff => at += 1,
            0x00 | 0x01 | 0xd0..=0xd8 => at += 2,
            0xd9 => return Ok(()),
            _ => {
                let length = bytes.get(at + 2..at + 4).ok_or(Problem::Truncated)?;
                let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                let is_frame = matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc);
                if is_frame && *bytes.get(at + 9).ok_or(Problem::Truncated)? == 4 {
                    return Err(Problem::Cmyk);
                }
                at += 2 + length;
            }
        }
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
        assert_eq!(
            inspect(&grey_alpha).unwrap(),
            Header { size: Size { height: 2, width: 2 }, grey: true, alpha: true }
        );
        assert_eq!(alpha_mask(&decode(&grey_alpha).unwrap()), Some(vec![0; 4]));
    }

    #[test]
    fn what_is_not_an_image_says_why() {
        assert_eq!(decode(b""), Err(Problem::Empty));
        assert_eq!(decode(b"hello, I am text"), Err(Problem::NotAnImage));
        assert_eq!(decode(b"II*\0aaaaaaaaaa"), Err(Problem::Unsupported("TIFF".into())));
        let noise = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * 37 + y * 91) as u8, (x * y) as u8, y as u8]));
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Bmp] {
            let bytes = encoded(noise.clone(), format);
            for keep in [20, bytes.len() / 2, bytes.len() * 9 / 10] {
                assert!(decode(&bytes[..keep]).is_err(), "{format:?} cut to {keep} bytes decodes");
            }
        }
        let jpeg = encoded(noise, ImageFormat::Jpeg);
        assert_eq!(decode(&jpeg[..jpeg.len() - 2]), Err(Problem::Truncated));
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
    fn cmyk_jpegs_are_refused_in_words() {
        let mut jpeg = encoded(RgbImage::new(8, 8), ImageFormat::Jpeg);
        let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        jpeg[frame + 9] = 4;
        assert_eq!(decode(&jpeg), Err(Problem::Cmyk));
        assert!(Problem::Cmyk.to_string().contains("CMYK"));
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
