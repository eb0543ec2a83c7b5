//! Animations: GIF (256 colours per frame) and APNG (lossless), repeated without end.

use std::path::Path;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, DynamicImage, Frame, RgbImage};

use crate::error::{Error, Result};

/// Time of a frame, in milliseconds; GIF stores hundredths of a second.
const DELAY_MS: u16 = 80;
/// Speed of the choice of a palette, from 1 (best colours) to 30.
const PALETTE_SPEED: i32 = 10;

/// Writes frames of one size as GIF.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn write_gif(path: &Path, frames: &[RgbImage]) -> Result<()> {
    let mut bytes = Vec::new();
    let delay = Delay::from_numer_denom_ms(DELAY_MS.into(), 1);
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, PALETTE_SPEED);
    let all = frames.iter().map(|frame| {
        let picture = DynamicImage::ImageRgb8(frame.clone()).into_rgba8();
        Frame::from_parts(picture, 0, 0, delay)
    });
    encoder.set_repeat(Repeat::Infinite).and_then(|()| encoder.encode_frames(all)).map_err(cannot_encode(path))?;
    drop(encoder);
    write(path, &bytes)
}

/// Writes frames of one size as APNG.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn write_apng(path: &Path, frames: &[RgbImage]) -> Result<()> {
    let Some(first) = frames.first() else { return Ok(()) };
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, first.width(), first.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let encoded = (|| {
        encoder.set_animated(frames.len() as u32, 0)?;
        encoder.set_frame_delay(DELAY_MS, 1000)?;
        let mut writer = encoder.write_header()?;
        frames.iter().try_for_each(|frame| writer.write_image_data(frame.as_raw()))?;
        writer.finish()
    })();
    encoded.map_err(cannot_encode(path))?;
    write(path, &bytes)
}

fn cannot_encode<E: Into<Box<dyn std::error::Error + Send + Sync>>>(path: &Path) -> impl FnOnce(E) -> Error {
    let path = path.to_owned();
    move |error| Error::io("cannot encode", path)(std::io::Error::other(error))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io("cannot create", folder))?;
    }
    std::fs::write(path, bytes).map_err(Error::io("cannot write", path))
}
