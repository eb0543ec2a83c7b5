//! The six kinds of object, each drawn facing right in a box of about `[-1, 1] x [-1, 1]`, y down.

use mtl_rng::Stream;

use super::Class;
use super::canvas::{Canvas, Colour, Frame, Ink, Part, Shape, Texture, mix};

/// One object on its way to the canvas.
pub(super) struct Painter<'a> {
    pub(super) canvas: &'a mut Canvas,
    pub(super) frame: Frame,
    /// Depth of the object's body at its edge.
    pub(super) depth: f32,
    pub(super) stream: &'a mut Stream,
    /// From `scenes::Config`: how far proportions and colours stray from the class's typical ones.
    pub(super) difficulty: f32,
}

/// Saturation and value are those of a saturated toy colour; `hue` is in turns.
pub(super) fn hsv(hue: f32, saturation: f32, value: f32) -> Colour {
    [0.0, 2.0 / 3.0, 1.0 / 3.0].map(|offset: f32| {
        let ramp = ((hue + offset).rem_euclid(1.0) * 6.0 - 3.0).abs() - 1.0;
        value * (1.0 - saturation * (1.0 - ramp.clamp(0.0, 1.0)))
    })
}

impl Painter<'_> {
    /// Draws an object of `class`.
    pub(super) fn object(&mut self, class: Class) {
        match class {
            Class::Fish => self.fish(),
            Class::Bird => self.bird(),
            Class::Car => self.car(),
            Class::House => self.house(),
            Class::Tree => self.tree(),
            Class::Boat => self.boat(),
        }
    }

    fn fish(&mut self) {
        let ink = self.main_ink(0.07, [2.2, 0.3]);
        let fin = Ink::plain(mix(ink.colour, [0.95, 0.85, 0.3], 0.45));
        let (long, tall) = (self.vary(0.68), self.vary(0.44));
        let x = 0.16;
        let spread = self.vary(0.48);
        self.part(Part::Limb, Shape::triangle([x - long * 0.8, 0.0], [-0.95, spread], [-0.95, -spread]), fin);
        let crest = self.vary(0.82);
        self.part(
            Part::Top,
            Shape::Quad([[x - 0.45, -tall * 0.7], [x - 0.3, -crest], [x + 0.1, -crest * 0.9], [x + 0.3, -tall * 0.7]]),
            fin,
        );
        self.part(Part::Body, Shape::Ellipse { centre: [x, 0.0], radii: [long, tall] }, ink);
        let eye = [x + long * 0.58, -tall * 0.25];
        self.eye(eye, 0.14);
    }

    fn bird(&mut self) {
        let ink = self.main_ink(0.58, [0.5, 2.5]);
        let dark = Ink::plain(ink.colour.map(|value| value * 0.55));
        let legs = Ink::plain([0.85, 0.5, 0.15]);
        let (long, tall) = (self.vary(0.55), self.vary(0.38));
        let (x, y) = (-0.1, 0.15);
        for foot in [-0.12, 0.16] {
            let leg = Shape::Capsule { a: [x + foot, y + tall * 0.7], b: [x + foot + 0.06, 0.88], radius: 0.055 };
            self.part(Part::Limb, leg, legs);
        }
        let tail = self.vary(0.95);
        self.part(
            Part::Limb,
            Shape::Quad([[x - long * 0.6, y - 0.2], [x - long * 0.5, y + 0.18], [-tail, y - 0.2], [-tail, y - 0.42]]),
            dark,
        );
        self.part(Part::Body, Shape::Ellipse { centre: [x, y], radii: [long, tall] }, ink);
        let lift = self.vary(0.16);
        self.part(
            Part::Limb,
            Shape::triangle([x - long * 0.75, y + lift], [x - 0.1, y - tall * 0.6], [x + long * 0.5, y - 0.06]),
            dark,
        );
        let skull = self.vary(0.3);
        let head = [0.42, -0.4];
        let beak = self.vary(0.34);
        self.part(
            Part::Detail,
            Shape::triangle(
                [head[0] + skull * 0.7, head[1] - 0.13],
                [head[0] + skull + beak, head[1] + 0.06],
                [head[0] + skull * 0.7, head[1] + 0.2],
            ),
            Ink::plain([0.95, 0.65, 0.15]),
        );
        self.part(Part::Top, Shape::Ellipse { centre: head, radii: [skull, skull] }, Ink::plain(ink.colour));
        self.eye([head[0] + 0.08, head[1] - 0.05], 0.1);
    }

    fn car(&mut self) {
        let ink = self.main_ink(0.0, [0.0, 2.0]);
        let (long, tall) = (self.vary(0.92), self.vary(0.24));
        let (front, back, roof) = (self.vary(0.3), self.vary(0.45), self.vary(0.55));
        let y = 0.18;
        let cabin = [[-0.62, y - 0.15], [-back, -roof], [front, -roof], [0.58, y - 0.15]];
        self.part(Part::Top, Shape::Quad(cabin), Ink::plain(ink.colour.map(|value| value * 0.85)));
        let glass = Ink::plain([0.72, 0.88, 0.96]);
        let sill = y - 0.18;
        self.part(
            Part::Detail,
            Shape::Quad([[-0.5, sill], [-back + 0.04, -roof + 0.12], [-0.1, -roof + 0.12], [-0.1, sill]]),
            glass,
        );
        self.part(
            Part::Detail,
            Shape::Quad([[0.02, sill], [0.02, -roof + 0.12], [front - 0.05, -roof + 0.12], [0.42, sill]]),
            glass,
        );
        self.part(Part::Body, Shape::Box { centre: [0.0, y], half: [long, tall], round: 0.12 }, ink);
        let wheel = self.vary(0.23);
        for x in [-0.52, 0.52] {
            let centre = [x, y + tall + 0.02];
            self.part(Part::Limb, Shape::Ellipse { centre, radii: [wheel, wheel] }, Ink::plain([0.1, 0.1, 0.12]));
            let hub = wheel * 0.4;
            self.part(Part::Limb, Shape::Ellipse { centre, radii: [hub, hub] }, Ink::plain([0.75, 0.75, 0.75]));
        }
    }

    fn house(&mut self) {
        let ink = self.main_ink(0.12, [0.0, 3.0]);
        let (wide, eaves) = (self.vary(0.64), -0.12);
        let peak = self.vary(0.85);
        let roof = self.stray(0.01, 0.65, 0.6);
        let side = if self.stream.chance(0.5) { 0.38 } else { -0.38 };
        self.part(
            Part::Top,
            Shape::Box { centre: [side, -0.52], half: [0.11, 0.3], round: 0.0 },
            Ink::plain([0.45, 0.3, 0.27]),
        );
        self.part(Part::Body, Shape::Box { centre: [0.0, 0.35], half: [wide, 0.5], round: 0.0 }, ink);
        let over = wide + 0.2;
        self.part(Part::Top, Shape::triangle([-over, eaves], [0.0, -peak], [over, eaves]), Ink::plain(roof));
        let door = if self.stream.chance(0.5) { 0.0 } else { -0.3 };
        let wood = Ink::plain([0.4, 0.24, 0.12]);
        self.part(Part::Limb, Shape::Box { centre: [door, 0.57], half: [0.15, 0.28], round: 0.0 }, wood);
        let windows: &[f32] = if door == 0.0 { &[-0.38, 0.38] } else { &[0.05, 0.38] };
        for &x in windows {
            let pane = Shape::Box { centre: [x, 0.2], half: [0.13, 0.15], round: 0.0 };
            self.part(Part::Detail, pane, Ink::plain([0.75, 0.9, 0.98]));
        }
    }

    fn tree(&mut self) {
        let ink = self.main_ink(0.33, [1.4, 1.4]);
        let bark = Ink::plain([0.42, 0.27, 0.14]);
        let light = Ink { colour: mix(ink.colour, [0.8, 0.95, 0.4], 0.25), ..ink };
        let wide = self.vary(0.68);
        let trunk = self.vary(0.12);
        self.part(Part::Limb, Shape::Box { centre: [0.0, 0.6], half: [trunk, 0.36], round: 0.0 }, bark);
        if self.stream.chance(0.4) {
            // A conifer: two tiers.
            self.part(Part::Body, Shape::triangle([-wide, 0.45], [0.0, -0.55], [wide, 0.45]), ink);
            self.part(Part::Top, Shape::triangle([-wide * 0.72, -0.1], [0.0, -0.95], [wide * 0.72, -0.1]), light);
        } else {
            self.part(Part::Body, Shape::Ellipse { centre: [0.0, -0.02], radii: [wide, 0.46] }, ink);
            self.part(Part::Top, Shape::Ellipse { centre: [0.03, -0.45], radii: [wide * 0.72, 0.42] }, light);
        }
        let fruit = Ink::plain(self.stray(0.98, 0.8, 0.9));
        for [x, y] in [[-0.3, 0.12], [0.26, 0.22], [0.12, -0.3]] {
            let centre = [self.vary(x), self.vary(y)];
            self.part(Part::Detail, Shape::Ellipse { centre, radii: [0.11, 0.11] }, fruit);
        }
    }

    fn boat(&mut self) {
        let ink = self.main_ink(0.06, [0.0, 2.4]);
        let (long, keel) = (self.vary(0.92), self.vary(0.6));
        let deck = 0.32;
        self.part(
            Part::Limb,
            Shape::Box { centre: [0.0, -0.3], half: [0.055, 0.66], round: 0.0 },
            Ink::plain([0.4, 0.27, 0.15]),
        );
        let cloth = Ink::plain(self.stray(0.13, 0.12, 0.95));
        let (boom, jib) = (self.vary(0.72), self.vary(0.52));
        self.part(Part::Top, Shape::triangle([0.09, 0.2], [0.09, -0.92], [boom, 0.2]), cloth);
        self.part(Part::Top, Shape::triangle([-0.09, 0.2], [-jib, 0.2], [-0.09, -0.7]), cloth);
        self.part(Part::Body, Shape::Quad([[-long, deck], [long, deck], [keel, 0.8], [-keel, 0.8]]), ink);
        for x in [-0.4, 0.0, 0.4] {
            let port = Shape::Ellipse { centre: [x, 0.54], radii: [0.1, 0.1] };
            self.part(Part::Detail, port, Ink::plain([0.95, 0.9, 0.6]));
        }
    }

    fn eye(&mut self, centre: [f32; 2], radius: f32) {
        self.part(Part::Detail, Shape::Ellipse { centre, radii: [radius; 2] }, Ink::plain([0.97; 3]));
        self.part(Part::Detail, Shape::Ellipse { centre, radii: [radius * 0.5; 2] }, Ink::plain([0.05; 3]));
    }

    fn part(&mut self, part: Part, shape: Shape, ink: Ink) {
        let (nearer, relief) = match part {
            Part::Background | Part::Body => (0.0, 0.08),
            Part::Top => (0.01, 0.05),
            Part::Limb => (-0.01, 0.03),
            Part::Detail => (0.09, 0.01),
        };
        self.canvas.paint(&self.frame, &shape, &ink, part, self.depth - nearer, relief);
    }

    /// A length within some per cent of `typical`.
    fn vary(&mut self, typical: f32) -> f32 {
        let spread = f64::from(0.06 + 0.12 * self.difficulty);
        typical * self.stream.range(1.0 - spread, 1.0 + spread) as f32
    }

    /// A colour near the typical one. How near depends on the difficulty: at 1 any hue is possible.
    fn stray(&mut self, hue: f32, saturation: f32, value: f32) -> Colour {
        let any = self.stream.chance(f64::from(0.6 * self.difficulty));
        let (shift, wild) = (self.stream.normal() as f32, self.stream.uniform() as f32);
        let hue = if any { wild } else { hue + shift * (0.02 + 0.06 * self.difficulty) };
        let saturation = saturation * self.stream.range(0.8, 1.15) as f32;
        hsv(hue, saturation.min(1.0), value * self.stream.range(0.8, 1.1) as f32)
    }

    /// The body's colour and pattern: each class has its habit, which difficulty loosens.
    fn main_ink(&mut self, hue: f32, habit: [f32; 2]) -> Ink {
        let colour = self.stray(hue, 0.75, 0.85);
        let second =
            if self.stream.chance(0.5) { mix(colour, [1.0; 3], 0.6) } else { mix(colour, [0.05, 0.05, 0.1], 0.5) };
        let (kind, turn) = (self.stream.uniform() as f32, self.stream.range(0.0, std::f64::consts::TAU) as f32);
        let any = 0.5 * self.difficulty;
        let texture = if kind < any * 0.4 {
            Texture::Dots(1.6)
        } else if kind < any {
            Texture::Stripes([2.0 * turn.cos(), 2.0 * turn.sin()])
        } else if kind < 0.5 + 0.5 * any {
            Texture::Stripes(habit)
        } else {
            Texture::Plain
        };
        Ink { colour, second, texture }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_by_hand() {
        for (hue, colour) in [(0.0, [1.0, 0.0, 0.0]), (1.0 / 3.0, [0.0, 1.0, 0.0]), (2.0 / 3.0, [0.0, 0.0, 1.0])] {
            for (a, b) in hsv(hue, 1.0, 1.0).iter().zip(colour) {
                assert!((a - b).abs() < 1e-5, "{hue}");
            }
        }
        assert_eq!(hsv(0.4, 0.0, 0.5), [0.5; 3]);
    }
}
