//! Data augmentation: random affine maps, colour jitter and cutout, applied to an image and its pixel labels together.
//!
//! One affine map moves image, masks and dense maps:
//!
//! `source = c + (1/scale) F R(-angle) (target - c) + shift`,   `c` the image's centre, `F` the flips,
//!
//! images by bilinear interpolation, masks and dense maps by the nearest neighbour of the same point (of two equally near
//! ones the one nearer to the centre, so that the map has no direction), so that no label is invented. Pixels outside are
//! the image reflected at its edges. Values of dense maps do not change with the scale. Colour jitter and cutout (DeVries
//! and Taylor 2017, arXiv:1708.04552) change the image alone.

use mtl_registry::Entry;
use mtl_rng::Stream;
use mtl_task::Target;
use serde::{Deserialize, Serialize};

use crate::dataset::Sample;
use crate::size::Size;

/// Ranges of the random parameters. The default is [`Config::standard`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Probability of a horizontal flip (left and right). Default 0.5; 0 for digits, letters and anything else with handedness.
    pub hflip: f64,
    /// Probability of a vertical flip (top and bottom). Default 0, for photographs; 0.5 suits leaves, cells, aerial views.
    pub vflip: f64,
    /// Largest shift, as a fraction of height and of width. Default 0.08, five pixels of 64.
    pub shift: f64,
    /// Range of the scale factor: above 1 crops, below 1 shows the reflected surroundings. Default 0.9 to 1.15.
    pub scale: [f64; 2],
    /// Largest rotation to either side, in degrees. Default 10.
    pub rotation_degrees: f64,
    /// Largest change of brightness, as a fraction of the full range. Default 0.1.
    pub brightness: f64,
    /// Largest relative change of contrast about mid-grey. Default 0.2.
    pub contrast: f64,
    /// Largest relative change of saturation (colour images only). Default 0.2.
    pub saturation: f64,
    /// Largest turn of all hues about the grey axis, in degrees (colour images only). Default 6: colour often is the
    /// label.
    pub hue_degrees: f64,
    /// Side of a grey square laid on the image, as a fraction of the shorter side. Default 0: pixel tasks would be
    /// trained on labels of hidden pixels; try 0.3 with image-level tasks only.
    pub cutout: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self::standard()
    }
}

/// Names for whole configurations.
pub const PRESETS: &[Entry<fn() -> Config>] = &[
    Entry { name: "none", summary: "no augmentation", item: Config::none },
    Entry { name: "light", summary: "horizontal flip and small shifts: for aligned images", item: Config::light },
    Entry {
        name: "standard",
        summary: "horizontal flip, shift, scale, rotation and colour: for photographs",
        item: Config::standard,
    },
];

impl Config {
    /// No augmentation.
    pub fn none() -> Self {
        Self {
            hflip: 0.0,
            vflip: 0.0,
            shift: 0.0,
            scale: [1.0, 1.0],
            rotation_degrees: 0.0,
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            hue_degrees: 0.0,
            cutout: 0.0,
        }
    }

    /// Horizontal flip and small shifts.
    pub fn light() -> Self {
        Self { hflip: 0.5, shift: 0.05, ..Self::none() }
    }

    /// The flips of these settings alone, which make real images of real images.
    pub fn flips(&self) -> Self {
        Self { hflip: self.hflip, vflip: self.vflip, ..Self::none() }
    }

    /// For photographs: horizontal flip, shift, scale, rotation, colour jitter.
    pub fn standard() -> Self {
        Self {
            hflip: 0.5,
            shift: 0.08,
            scale: [0.9, 1.15],
            rotation_degrees: 10.0,
            brightness: 0.1,
            contrast: 0.2,
            saturation: 0.2,
            hue_degrees: 6.0,
            ..Self::none()
        }
    }

    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of its range, with the range.
    pub fn validate(&self) -> Result<(), Error> {
        let fraction = "must lie between 0 and 1";
        let checks: [(&'static str, f64, f64, &'static str); 9] = [
            ("hflip", self.hflip, 1.0, "is a probability: between 0 and 1"),
            ("vflip", self.vflip, 1.0, "is a probability: between 0 and 1"),
            ("shift", self.shift, 1.0, fraction),
            ("rotation_degrees", self.rotation_degrees, 180.0, "must lie between 0 and 180"),
            ("brightness", self.brightness, 1.0, fraction),
            ("contrast", self.contrast, 1.0, fraction),
            ("saturation", self.saturation, 1.0, fraction),
            ("hue_degrees", self.hue_degrees, 180.0, "must lie between 0 and 180"),
            ("cutout", self.cutout, 1.0, fraction),
        ];
        for (key, value, high, advice) in checks {
            if !(0.0..=high).contains(&value) {
                return Err(Error { key, value: value.to_string(), advice });
            }
        }
        let [low, high] = self.scale;
        if !(low >= 0.1 && low <= high && high <= 10.0) {
            let advice = "must be [low, high] with 0.1 <= low <= high <= 10";
            return Err(Error { key: "scale", value: format!("[{low}, {high}]"), advice });
        }
        Ok(())
    }
}

/// A value in [`Config`] that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("augment.{key} = {value}: {advice}")]
pub struct Error {
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// The allowed values.
    pub advice: &'static str,
}

/// Replaces `sample` by a random view of itself. Every call draws equally many numbers from `stream`, so that changing one
/// setting does not change the random values of the others.
///
/// # Panics
/// If the image is not `[channels, height, width]` or a pixel target not `[height, width]`: a programmer's error.
pub fn apply(config: &Config, sample: &mut Sample, size: Size, channels: usize, stream: &mut Stream) {
    assert_eq!(sample.image.len(), channels * size.height * size.width, "the image has another size than stated");
    let flips = [stream.chance(config.hflip), stream.chance(config.vflip)];
    let mut either = |largest: f64| largest * stream.range(-1.0, 1.0);
    let shift = [either(config.shift) * size.width as f64, either(config.shift) * size.height as f64];
    let angle = either(config.rotation_degrees).to_radians();
    let colour = Colour {
        brightness: 255.0 * either(config.brightness) as f32,
        contrast: 1.0 + either(config.contrast) as f32,
        saturation: 1.0 + either(config.saturation) as f32,
        hue: either(config.hue_degrees).to_radians() as f32,
    };
    // Even in the logarithm: as often twice as large as half as large.
    let [low, high] = config.scale.map(f64::ln);
    let scale = stream.range(low, high).exp();
    let hole = [stream.uniform(), stream.uniform()];

    let warp = Warp::new(flips, shift, scale, angle, size);
    sample.image = warp.image(std::mem::take(&mut sample.image), channels);
    for target in &mut sample.targets {
        match target {
            Target::Mask(pixels) => *pixels = warp.labels(std::mem::take(pixels)),
            Target::Dense(values) => *values = warp.labels(std::mem::take(values)),
            Target::Class(_) | Target::MultiLabel(_) | Target::Value(_) => {}
        }
    }
    colour.apply(&mut sample.image, channels);
    cut_out(&mut sample.image, config.cutout, hole, size);
}

/// Fixed-point positions have this many bits behind the point.
const POINT: u32 = 16;

/// The affine map from target pixels to source positions.
struct Warp {
    size: Size,
    flips: [bool; 2],
    /// `None`: flips alone, which are exact.
    affine: Option<Affine>,
}

struct Affine {
    /// Source x and y of the upper left target pixel.
    origin: [f64; 2],
    /// Their change a column and a row.
    column: [f64; 2],
    row: [f64; 2],
}

impl Warp {
    fn new(flips: [bool; 2], shift: [f64; 2], scale: f64, angle: f64, size: Size) -> Self {
        if shift == [0.0; 2] && scale == 1.0 && angle == 0.0 {
            return Self { size, flips, affine: None };
        }
        let [flip_x, flip_y] = flips.map(|flip| if flip { -1.0 } else { 1.0 });
        let (sin, cos) = (angle.sin() / scale, angle.cos() / scale);
        let column = [flip_x * cos, -flip_y * sin];
        let row = [flip_x * sin, flip_y * cos];
        let centre = [(size.width as f64 - 1.0) / 2.0, (size.height as f64 - 1.0) / 2.0];
        let origin = [0, 1].map(|i| centre[i] + shift[i] - column[i] * centre[0] - row[i] * centre[1]);
        Self { size, flips, affine: Some(Affine { origin, column, row }) }
    }

    fn image(&self, mut image: Vec<u8>, channels: usize) -> Vec<u8> {
        let Some(affine) = &self.affine else {
            for plane in image.chunks_exact_mut((self.size.height * self.size.width).max(1)) {
                self.flip(plane);
            }
            return image;
        };
        let (height, width, pixels) = (self.size.height, self.size.width, self.size.height * self.size.width);
        let mut out = vec![0u8; image.len()];
        affine.visit(self.size, |at, fx, fy| {
            let (x0, y0) = (fx >> POINT, fy >> POINT);
            // Bilinear weights in 1/256.
            let (wx, wy) = ((fx >> (POINT - 8) & 255) as u32, (fy >> (POINT - 8) & 255) as u32);
            let inside = x0 >= 0 && y0 >= 0 && x0 + 1 < width as i64 && y0 + 1 < height as i64;
            let corners = if inside {
                let first = y0 as usize * width + x0 as usize;
                [first, first + 1, first + width, first + width + 1]
            } else {
                let (left, right) = (reflect(x0, width), reflect(x0 + 1, width));
                let (upper, lower) = (reflect(y0, height) * width, reflect(y0 + 1, height) * width);
                [upper + left, upper + right, lower + left, lower + right]
            };
            for channel in 0..channels {
                let plane = &image[channel * pixels..(channel + 1) * pixels];
                let [a, b, c, d] = corners.map(|corner| u32::from(plane[corner]));
                let (upper, lower) = (a * (256 - wx) + b * wx, c * (256 - wx) + d * wx);
                out[channel * pixels + at] = ((upper * (256 - wy) + lower * wy + (1 << 15)) >> 16) as u8;
            }
        });
        out
    }

    fn labels<T: Copy + Default>(&self, mut labels: Vec<T>) -> Vec<T> {
        assert_eq!(labels.len(), self.size.height * self.size.width, "a pixel target has another size than its image");
        let Some(affine) = &self.affine else {
            self.flip(&mut labels);
            return labels;
        };
        let mut out = vec![T::default(); labels.len()];
        let middle = |side: usize| ((side as i64 - 1) << POINT) / 2;
        let (middle_x, middle_y) = (middle(self.size.width), middle(self.size.height));
        affine.visit(self.size, |at, fx, fy| {
            let (x, y) = (nearest(fx, middle_x), nearest(fy, middle_y));
            out[at] = labels[reflect(y, self.size.height) * self.size.width + reflect(x, self.size.width)];
        });
        out
    }

    fn flip<T>(&self, plane: &mut [T]) {
        if self.flips == [true, true] {
            plane.reverse();
            return;
        }
        let (height, width) = (self.size.height, self.size.width);
        if self.flips[0] {
            plane.chunks_exact_mut(width.max(1)).for_each(<[T]>::reverse);
        }
        if self.flips[1] {
            for row in 0..height / 2 {
                let (upper, lower) = plane.split_at_mut((height - 1 - row) * width);
                upper[row * width..(row + 1) * width].swap_with_slice(&mut lower[..width]);
            }
        }
    }
}

impl Affine {
    /// Calls `visit(target index, source x, source y)` for every target pixel, positions in fixed point.
    fn visit(&self, size: Size, mut visit: impl FnMut(usize, i64, i64)) {
        let fixed = |value: f64| (value * f64::from(1u32 << POINT)).round() as i64;
        let (step_x, step_y) = (fixed(self.column[0]), fixed(self.column[1]));
        let mut at = 0;
        for row in 0..size.height {
            let mut x = fixed(self.origin[0] + self.row[0] * row as f64);
            let mut y = fixed(self.origin[1] + self.row[1] * row as f64);
            for _ in 0..size.width {
                visit(at, x, y);
                (x, y, at) = (x + step_x, y + step_y, at + 1);
            }
        }
    }
}

/// The nearest whole position; of two equally near ones the one nearer to `middle`. Rounding all ties one way would shift
/// masks by up to half a pixel against their image, and to the other side once flipped.
fn nearest(position: i64, middle: i64) -> i64 {
    (position + (1 << (POINT - 1)) - i64::from(position > middle)) >> POINT
}

/// `... 1 0 | 0 1 2 | 2 1 ...`
fn reflect(i: i64, n: usize) -> usize {
    let n = n as i64;
    if (0..n).contains(&i) {
        return i as usize;
    }
    let i = i.rem_euclid(2 * n);
    (if i < n { i } else { 2 * n - 1 - i }) as usize
}

/// One change of colour, linear in the pixel: `out = contrast * S * H * pixel + offset`.
struct Colour {
    brightness: f32,
    contrast: f32,
    saturation: f32,
    hue: f32,
}

impl Colour {
    fn apply(&self, image: &mut [u8], channels: usize) {
        let offset = 127.5 * (1.0 - self.contrast) + self.brightness;
        let plain = self.saturation == 1.0 && self.hue == 0.0;
        if channels != 3 || plain {
            if self.contrast != 1.0 || offset != 0.0 {
                let table: [u8; 256] = std::array::from_fn(|value| (self.contrast * value as f32 + offset + 0.5) as u8);
                image.iter_mut().for_each(|byte| *byte = table[usize::from(*byte)]);
            }
            return;
        }
        let matrix = self.matrix();
        let (red, rest) = image.split_at_mut(image.len() / 3);
        let (green, blue) = rest.split_at_mut(rest.len() / 2);
        for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
            let pixel = [f32::from(*red), f32::from(*green), f32::from(*blue)];
            // `as u8` saturates.
            let mixed =
                matrix.map(|row| (row[0] * pixel[0] + row[1] * pixel[1] + row[2] * pixel[2] + offset + 0.5) as u8);
            [*red, *green, *blue] = mixed;
        }
    }

    /// `contrast * S * H`: `H` turns colours about the grey axis (Rodrigues), `S` mixes them with their luma (BT.601).
    fn matrix(&self) -> [[f32; 3]; 3] {
        let (sin, cos) = self.hue.sin_cos();
        let (third, root) = ((1.0 - cos) / 3.0, sin / 3f32.sqrt());
        let turn = [
            [cos + third, third - root, third + root],
            [third + root, cos + third, third - root],
            [third - root, third + root, cos + third],
        ];
        let luma: [f32; 3] = std::array::from_fn(|j| 0.299 * turn[0][j] + 0.587 * turn[1][j] + 0.114 * turn[2][j]);
        std::array::from_fn(|i| {
            std::array::from_fn(|j| self.contrast * (self.saturation * turn[i][j] + (1.0 - self.saturation) * luma[j]))
        })
    }
}

/// A mid-grey square (0 once images are scaled to -1..1) around `centre`, cut off at the edges.
fn cut_out(image: &mut [u8], fraction: f64, centre: [f64; 2], size: Size) {
    let side = fraction * size.height.min(size.width) as f64;
    let span = |centre: f64, n: usize| {
        let low = (centre * n as f64 - side / 2.0).round().max(0.0) as usize;
        let high = (centre * n as f64 + side / 2.0).round().max(0.0) as usize;
        low..high.min(n)
    };
    let (rows, columns) = (span(centre[1], size.height), span(centre[0], size.width));
    if rows.is_empty() || columns.is_empty() {
        return;
    }
    for plane in image.chunks_exact_mut(size.height * size.width) {
        for row in rows.clone() {
            plane[row * size.width + columns.start..row * size.width + columns.end].fill(128);
        }
    }
}

#[cfg(test)]
mod tests;
