//! The painter: signed-distance shapes laid over each other from back to front.
//!
//! Every shape is drawn once per pixel. Its signed distance `d` (in pixels, negative inside) gives the label of the pixel
//! exactly, by the sign of `d` at the pixel's centre, and the colour with anti-aliasing, by the coverage
//! `clamp(1/2 - d, 0, 1)` of a straight edge at that distance.

/// The part that a pixel belongs to; the discriminant is the mask's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Part {
    Background = 0,
    Body = 1,
    Top = 2,
    Limb = 3,
    Detail = 4,
}

/// Red, green, blue in `[0, 1]`.
pub(super) type Colour = [f32; 3];

/// A region of the plane in the units of a [`Frame`]; y points down.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Ellipse {
        centre: [f32; 2],
        radii: [f32; 2],
    },
    /// Axis-aligned, corners rounded by `round`.
    Box {
        centre: [f32; 2],
        half: [f32; 2],
        round: f32,
    },
    /// A line from `a` to `b` of half-width `radius`.
    Capsule {
        a: [f32; 2],
        b: [f32; 2],
        radius: f32,
    },
    /// Convex, clockwise on the screen; a triangle repeats its last corner.
    Quad([[f32; 2]; 4]),
}

impl Shape {
    pub(super) fn triangle(a: [f32; 2], b: [f32; 2], c: [f32; 2]) -> Self {
        Self::Quad([a, b, c, c])
    }

    /// Signed distance to the edge, negative inside. Exact for boxes and capsules; for ellipses to first order
    /// (`f / |grad f|`), for polygons exact inside and a lower bound beyond the corners.
    fn distance(&self, x: f32, y: f32) -> f32 {
        match *self {
            Self::Ellipse { centre, radii } => {
                let (u, v) = ((x - centre[0]) / radii[0], (y - centre[1]) / radii[1]);
                let f = (u * u + v * v).sqrt();
                let gradient = ((u / radii[0]).powi(2) + (v / radii[1]).powi(2)).sqrt();
                if gradient < 1e-6 { -radii[0].min(radii[1]) } else { f * (f - 1.0) / gradient }
            }
            Self::Box { centre, half, round } => {
                let (u, v) = ((x - centre[0]).abs() - half[0] + round, (y - centre[1]).abs() - half[1] + round);
                (u.max(0.0).powi(2) + v.max(0.0).powi(2)).sqrt() + u.max(v).min(0.0) - round
            }
            Self::Capsule { a, b, radius } => {
                let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
                let along = (((x - a[0]) * dx + (y - a[1]) * dy) / (dx * dx + dy * dy).max(1e-9)).clamp(0.0, 1.0);
                ((x - a[0] - along * dx).powi(2) + (y - a[1] - along * dy).powi(2)).sqrt() - radius
            }
            Self::Quad(corners) => {
                let mut furthest = f32::NEG_INFINITY;
                for i in 0..4 {
                    let (a, b) = (corners[i], corners[(i + 1) % 4]);
                    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
                    let length = (dx * dx + dy * dy).sqrt();
                    if length > 1e-6 {
                        furthest = furthest.max(((x - a[0]) * dy - (y - a[1]) * dx) / length);
                    }
                }
                furthest
            }
        }
    }

    /// `[x0, y0, x1, y1]` around the shape.
    fn bounds(&self) -> [f32; 4] {
        match *self {
            Self::Ellipse { centre: c, radii: r } | Self::Box { centre: c, half: r, .. } => {
                [c[0] - r[0], c[1] - r[1], c[0] + r[0], c[1] + r[1]]
            }
            Self::Capsule { a, b, radius } => {
                let low = |i: usize| a[i].min(b[i]) - radius;
                let high = |i: usize| a[i].max(b[i]) + radius;
                [low(0), low(1), high(0), high(1)]
            }
            Self::Quad(corners) => corners.iter().fold([f32::MAX, f32::MAX, f32::MIN, f32::MIN], |bounds, c| {
                [bounds[0].min(c[0]), bounds[1].min(c[1]), bounds[2].max(c[0]), bounds[3].max(c[1])]
            }),
        }
    }

    /// About the radius of the largest circle inside: where the relief reaches its full height.
    fn thickness(&self) -> f32 {
        match *self {
            Self::Ellipse { radii: r, .. } | Self::Box { half: r, .. } => r[0].min(r[1]),
            Self::Capsule { radius, .. } => radius,
            Self::Quad(_) => {
                let [x0, y0, x1, y1] = self.bounds();
                0.35 * (x1 - x0).min(y1 - y0)
            }
        }
    }
}

/// Where an object's own coordinates lie on the canvas.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// The origin, in pixels.
    pub(super) centre: [f32; 2],
    /// Pixels a unit.
    pub(super) scale: f32,
    /// Rotation, clockwise on the screen, in radians.
    pub(super) angle: f32,
    /// Mirror left and right before rotating.
    pub(super) flip: bool,
}

/// A pattern in the object's own coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Texture {
    Plain,
    /// Bands across direction `[x, y]`, whose length is the number of bands a unit.
    Stripes([f32; 2]),
    /// A grid of dots, this many a unit.
    Dots(f32),
}

/// How a shape is coloured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ink {
    pub(super) colour: Colour,
    /// The colour of the stripes or dots.
    pub(super) second: Colour,
    pub(super) texture: Texture,
}

impl Ink {
    pub(super) fn plain(colour: Colour) -> Self {
        Self { colour, second: colour, texture: Texture::Plain }
    }

    fn at(&self, x: f32, y: f32) -> Colour {
        let share = match self.texture {
            Texture::Plain => return self.colour,
            Texture::Stripes([u, v]) => (std::f32::consts::TAU * (u * x + v * y)).sin(),
            Texture::Dots(n) => {
                let wave = |t: f32| (std::f32::consts::TAU * n * t).cos();
                wave(x) + wave(y) - 0.7
            }
        };
        mix(self.colour, self.second, (2.0 * share + 0.5).clamp(0.0, 1.0))
    }
}

/// `a` and `b` in proportion `1 - share : share`.
pub(super) fn mix(a: Colour, b: Colour, share: f32) -> Colour {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * share)
}

/// Image, mask and depth under construction.
pub(super) struct Canvas {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) colour: Vec<Colour>,
    pub(super) mask: Vec<u8>,
    pub(super) depth: Vec<f32>,
}

impl Canvas {
    /// Draws `shape` over the canvas. `depth` is its depth at the edge, `relief` how much nearer its middle is.
    pub(super) fn paint(&mut self, frame: &Frame, shape: &Shape, ink: &Ink, part: Part, depth: f32, relief: f32) {
        let (sin, cos) = frame.angle.sin_cos();
        let flip = if frame.flip { -1.0 } else { 1.0 };
        let to_pixel = |x: f32, y: f32| {
            let (x, y) = (flip * x * frame.scale, y * frame.scale);
            (frame.centre[0] + cos * x - sin * y, frame.centre[1] + sin * x + cos * y)
        };
        let [x0, y0, x1, y1] = shape.bounds();
        let corners = [to_pixel(x0, y0), to_pixel(x1, y0), to_pixel(x0, y1), to_pixel(x1, y1)];
        let span = |values: [f32; 4], limit: usize| {
            let low = values.iter().fold(f32::MAX, |a, &b| a.min(b)) - 1.0;
            let high = values.iter().fold(f32::MIN, |a, &b| a.max(b)) + 1.0;
            (low.max(0.0) as usize, (high.max(0.0).ceil() as usize).min(limit))
        };
        let (left, right) = span(corners.map(|corner| corner.0), self.width);
        let (top, bottom) = span(corners.map(|corner| corner.1), self.height);

        let inverse = 1.0 / frame.scale;
        let full = shape.thickness() * frame.scale;
        for row in top..bottom {
            for column in left..right {
                let (px, py) = (column as f32 + 0.5 - frame.centre[0], row as f32 + 0.5 - frame.centre[1]);
                let (x, y) = (flip * (cos * px + sin * py) * inverse, (cos * py - sin * px) * inverse);
                let distance = shape.distance(x, y) * frame.scale;
                let coverage = (0.5 - distance).clamp(0.0, 1.0);
                if coverage == 0.0 {
                    continue;
                }
                let at = row * self.width + column;
                // Light falls from above: the shape's upper half is a little brighter than its lower half.
                let light = 1.06 - 0.2 * ((y - y0) / (y1 - y0).max(1e-6)).clamp(0.0, 1.0);
                self.colour[at] = mix(self.colour[at], ink.at(x, y).map(|value| value * light), coverage);
                if distance < 0.0 {
                    let inwards = (-distance / full.max(1e-6)).min(1.0);
                    self.mask[at] = part as u8;
                    self.depth[at] = depth - relief * (1.0 - (1.0 - inwards).powi(2));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_by_hand() {
        let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-4, "{a} is not {b}");
        let square = Shape::Box { centre: [1.0, 0.0], half: [1.0, 1.0], round: 0.0 };
        near(square.distance(1.0, 0.0), -1.0);
        near(square.distance(5.0, 4.0), 18f32.sqrt()); // from the corner (2, 1): 3 right, 3 down
        let disc = Shape::Ellipse { centre: [0.0, 0.0], radii: [2.0, 2.0] };
        near(disc.distance(3.0, 0.0), 1.0);
        near(disc.distance(0.0, 0.5), -1.5);
        let line = Shape::Capsule { a: [0.0, 0.0], b: [4.0, 0.0], radius: 0.5 };
        near(line.distance(2.0, 2.0), 1.5);
        near(line.distance(7.0, 4.0), 4.5); // from the end (4, 0): 3 right, 4 down
        let triangle = Shape::triangle([0.0, 0.0], [2.0, 0.0], [0.0, 2.0]);
        near(triangle.distance(0.5, 0.5), -0.5);
        near(triangle.distance(-1.0, 0.5), 1.0);
    }

    #[test]
    fn labels_follow_pixel_centres_and_colours_follow_coverage() {
        let mut canvas =
            Canvas { height: 4, width: 4, colour: vec![[0.0; 3]; 16], mask: vec![0; 16], depth: vec![1.0; 16] };
        // The left edge at x = 1.25 covers three quarters of column 1, whose centre 1.5 is inside.
        let frame = Frame { centre: [0.0, 0.0], scale: 1.0, angle: 0.0, flip: false };
        let shape = Shape::Box { centre: [3.25, 2.0], half: [2.0, 9.0], round: 0.0 };
        canvas.paint(&frame, &shape, &Ink::plain([1.0; 3]), Part::Limb, 0.5, 0.0);
        assert_eq!(canvas.mask[..4], [0, 3, 3, 3]);
        assert_eq!(canvas.depth[..4], [1.0, 0.5, 0.5, 0.5]);
        assert_eq!(canvas.colour[0], [0.0; 3]);
        assert!((canvas.colour[1][0] / canvas.colour[2][0] - 0.75).abs() < 1e-4);
    }
}
