//! Surroundings of the object: background, occluder, light and sensor noise.

use mtl_rng::Stream;

use super::canvas::{Canvas, Colour, Frame, Ink, Part, Shape, mix};
use super::objects::hsv;

/// Upper and lower colours of the four backgrounds, which no class prefers: meadow, sea, dusk over sand, studio.
const GROUNDS: [[Colour; 2]; 4] = [
    [[0.62, 0.80, 0.95], [0.50, 0.68, 0.38]],
    [[0.70, 0.86, 0.93], [0.22, 0.48, 0.66]],
    [[0.93, 0.76, 0.62], [0.76, 0.66, 0.48]],
    [[0.82, 0.82, 0.84], [0.58, 0.58, 0.62]],
];

/// Depth of the background at the upper edge; at the lower edge it is [`GROUND_NEAR`].
pub(super) const GROUND_FAR: f32 = 1.0;
/// Depth of the background at the lower edge.
pub(super) const GROUND_NEAR: f32 = 0.7;

/// A canvas with nothing but the background on it.
pub(super) fn ground(height: usize, width: usize, difficulty: f32, stream: &mut Stream) -> Canvas {
    let [mut upper, mut lower] = GROUNDS[stream.below(GROUNDS.len())];
    for colour in [&mut upper, &mut lower] {
        let shift = 0.10 * difficulty;
        *colour = colour.map(|value| value + shift * stream.range(-1.0, 1.0) as f32);
    }
    let horizon = stream.range(0.5, 0.75) as f32;
    // Soft texture: the product of a wave along the rows and one along the columns.
    let amplitude = 0.12 * difficulty;
    let wave = |n: usize, stream: &mut Stream| -> Vec<f32> {
        let (turns, phase) = (stream.range(0.8, 2.6) as f32, stream.uniform() as f32);
        (0..n).map(|i| (std::f32::consts::TAU * (turns * (i as f32 + 0.5) / n.max(1) as f32 + phase)).sin()).collect()
    };
    let (across, down) = (wave(width, stream), wave(height, stream));

    let mut colour = Vec::with_capacity(height * width);
    let mut depth = Vec::with_capacity(height * width);
    for (row, ripple) in down.iter().enumerate() {
        let t = (row as f32 + 0.5) / height as f32;
        // The horizon is a soft step three hundredths of the height wide; both halves fade a little towards it.
        let below = ((t - horizon) / 0.06 + 0.5).clamp(0.0, 1.0);
        let base = mix(upper, lower, below).map(|value| value * (1.05 - 0.15 * (t - horizon).abs()));
        let plane = GROUND_FAR + (GROUND_NEAR - GROUND_FAR) * t;
        for wave in &across {
            colour.push(base.map(|value| value + amplitude * ripple * wave));
            depth.push(plane);
        }
    }
    Canvas { height, width, colour, mask: vec![Part::Background as u8; height * width], depth }
}

/// At random a post, a leaf, a ball or a board in front of the object. Its pixels are background
/// in the mask, and the nearest ones in the depth map.
pub(super) fn occluder(canvas: &mut Canvas, object: &Frame, difficulty: f32, stream: &mut Stream) {
    // All draws happen at any difficulty, so that the rest of the scene does not change with it.
    let present = stream.chance(f64::from(0.9 * difficulty));
    let kind = stream.below(4);
    let mut draw = |low: f64, high: f64| stream.range(low, high) as f32;
    let colour = hsv(draw(0.0, 1.0), draw(0.1, 0.8), draw(0.25, 0.9));
    let (x, y, angle, size) = (draw(-0.7, 0.7), draw(-0.6, 0.6), draw(-0.5, 0.5), draw(0.8, 1.3));
    let depth = draw(0.08, 0.14);
    if !present {
        return;
    }
    let size = size * (0.6 + 0.8 * difficulty);
    // A board stands to one side and hides half of the object or more.
    let (x, y) = if kind == 3 { (x.signum() * (0.6 + 0.3 * x.abs()), y) } else { (x, y) };
    let shape = match kind {
        0 => Shape::Box { centre: [0.0, 0.0], half: [0.13 * size, 4.0], round: 0.0 },
        1 => Shape::Ellipse { centre: [0.0, 0.0], radii: [0.5 * size, 0.2 * size] },
        2 => Shape::Ellipse { centre: [0.0, 0.0], radii: [0.3 * size, 0.3 * size] },
        _ => Shape::Box { centre: [0.0, 0.0], half: [0.92 * size, 1.4], round: 0.0 },
    };
    let centre = [object.centre[0] + x * object.scale, object.centre[1] + y * object.scale];
    let angle = if kind == 1 { angle * 3.0 } else { angle };
    let frame = Frame { centre, scale: object.scale, angle, flip: false };
    canvas.paint(&frame, &shape, &Ink::plain(colour), Part::Background, depth, 0.06);
}

/// Fog, light of the scene and noise of the sensor; `[3, H, W]` bytes.
pub(super) fn expose(canvas: &Canvas, difficulty: f32, stream: &mut Stream) -> Vec<u8> {
    // Mostly clear: the cube keeps half of all pictures below an eighth of the thickest fog.
    let fog = (1.5 * difficulty).min(0.92) * (stream.uniform() as f32).powi(3);
    let haze = hsv(stream.uniform() as f32, 0.1, stream.range(0.6, 0.95) as f32);
    let gain = 255.0 * (1.0 + 0.35 * difficulty * stream.range(-1.0, 1.0) as f32);
    let tint: Colour = std::array::from_fn(|_| gain * (1.0 + 0.1 * difficulty * stream.range(-1.0, 1.0) as f32));
    let pixels = canvas.colour.len();
    let mut image = vec![0u8; 3 * pixels];
    // A sum of four 16-bit uniforms is near enough to a normal for noise, and five times as fast. Its variance is
    // 4 * 65536^2 / 12, its mean 4 * 32767.5.
    let sigma = 28.0 * difficulty / (65536.0 / 3f32.sqrt());
    for (channel, plane) in image.chunks_exact_mut(pixels.max(1)).enumerate() {
        for (byte, colour) in plane.iter_mut().zip(&canvas.colour) {
            let bits = stream.u64();
            let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
            let seen = colour[channel] + fog * (haze[channel] - colour[channel]);
            let value = tint[channel] * seen + sigma * (sum as f32 - 131_070.0);
            *byte = (value + 0.5).clamp(0.0, 255.0) as u8;
        }
    }
    image
}
