//! What the header of an image file tells, and limits of its size.

use image::metadata::Orientation;

use crate::error::Problem;
use crate::size::{MAX_BYTES, MAX_SIDE, Size};

/// Most channels of an image.
pub const MOST_CHANNELS: usize = 16;

/// Facts in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Size after EXIF orientation.
    pub size: Size,
    /// Stored with one colour component.
    pub grey: bool,
    /// Numbers per pixel as they are decoded, alpha included: 1 to 4, up to 16 in TIFF files.
    pub channels: usize,
    /// Stored with an alpha channel.
    pub alpha: bool,
    /// More than 8 bits per number.
    pub deep: bool,
    /// How the stored image is turned upright.
    pub orientation: Orientation,
}

/// A remark about a file that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// It holds several images or frames; the first is used.
    FirstOfSeveral,
    /// A JPEG without its end marker, with all pixels.
    NoEndMarker,
    /// CMYK, converted without a colour profile.
    Cmyk,
    /// A further channel that is not declared as alpha; it is not used.
    FurtherChannel,
    /// A DICOM file, seen through its own window.
    Window,
}

/// Width and height, and the bytes of all pixels.
pub(super) fn check_size((width, height): (u32, u32), bytes: u64) -> Result<(), Problem> {
    if width.max(height) > MAX_SIDE || bytes > MAX_BYTES {
        return Err(Problem::TooLarge { width, height });
    }
    if width.min(height) == 0 {
        return Err(Problem::Damaged(format!("{width} x {height} pixels")));
    }
    Ok(())
}
