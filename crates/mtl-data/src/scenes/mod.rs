//! Built-in data: procedurally drawn scenes with exact labels for three tasks.
//!
//! Every row is one picture of one object and three labels that are true by construction:
//!
//! | task | kind | label |
//! |---|---|---|
//! | `class` | classification | fish, bird, car, house, tree or boat |
//! | `parts` | segmentation | background, body, top, limb, detail |
//! | `depth` | dense, relative | 0 at the camera, 1 at the far end of the ground |
//!
//! A top is a head, roof, cabin, crown, sail or fin; a limb a leg, wing, wheel, tail, trunk, door or mast; a detail an
//! eye, beak, window, porthole or fruit.
//!
//! # How a scene comes about
//! With `d` the difficulty, from back to front:
//! 1. Ground: one of four (meadow, sea, sand, studio), independent of the class; a soft horizon at 50 to 75 % of the height,
//!    colours shifted by up to `0.10 d`, a soft texture of amplitude `0.12 d`. Its depth falls from 1.0 at the upper
//!    edge to 0.7 at the lower one.
//! 2. Object: the class is drawn evenly, proportions vary by `6 + 12 d` per cent, size by `1 - 0.45 d`, position
//!    so that the object stays in the picture almost entirely, rotation by `4 + 16 d` degrees, mirrored every second
//!    time. Bodies have the class's typical hue and, every second time, its typical stripes; with probability `0.6 d`
//!    the hue is any hue, with `0.5 d` the pattern any pattern: colour and texture hint at the class, the
//!    arrangement of the parts decides it. Its depth is 0.55 to 0.3, larger objects being nearer; every
//!    part has a relief of its own.
//! 3. Occluder: with probability `0.9 d` a post, leaf, ball or board in front of the object, depth 0.02 to 0.14;
//!    background in the mask.
//! 4. Exposure: fog of share `1.5 d u^3` (`u` uniform; at most 0.92), gain `1 +- 0.35 d`, colour cast `+- 0.1 d`,
//!    sensor noise of standard deviation `28 d` of 255.
//!
//! Shapes are drawn analytically at the requested size (no picture is ever resized): labels are those of the pixel's
//! centre, edges in the image are anti-aliased. The scene of a row is a function of the seed and the row alone, so data
//! sets of different `count` share their first rows, and the scene is the same one at every square size.
//!
//! Class and parts inform each other: a triangle is a roof, a fin or a sail, depending on the other parts.

mod canvas;
mod objects;
mod surroundings;

use mtl_rng::Seed;
use mtl_task::{Target, Task, TaskKind};
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Labels, Sample, Schema};
use crate::facts::{LabelFacts, RowFacts, Wanted};
use crate::image::fingerprint::{SMALL, hash};
use crate::size::Size;
use canvas::Frame;
use objects::Painter;

/// The kinds of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Oval, with a tail and a fin.
    Fish,
    /// Stands on two legs, with a beak.
    Bird,
    /// A cabin on a body on wheels.
    Car,
    /// A roof on walls with a door.
    House,
    /// A crown (round or two-tiered) on a trunk.
    Tree,
    /// Two sails over a hull.
    Boat,
}

impl Class {
    /// All of them, in the order of the default [`Config::classes`].
    pub const ALL: [Self; 6] = [Self::Fish, Self::Bird, Self::Car, Self::House, Self::Tree, Self::Boat];

    /// The name in tables and configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fish => "fish",
            Self::Bird => "bird",
            Self::Car => "car",
            Self::House => "house",
            Self::Tree => "tree",
            Self::Boat => "boat",
        }
    }
}

/// Names of the parts, in mask-value order.
pub const PARTS: [&str; 5] = ["background", "body", "top", "limb", "detail"];

/// Which scenes to draw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Number of rows. Default 2,000: enough to learn from in a minute, few enough to stay in any cache.
    pub count: usize,
    /// Height and width, in pixels, unless a size is requested. Default 64. Scenes have no native resolution; at 32
    /// the smallest details are two pixels wide.
    pub size: usize,
    /// From 0 (large, clean, every class in its own colours) to 1 (small, hidden, foggy, noisy, in any colour). Default
    /// 0.5: a small convolutional network trained on 1,500 scenes of 32x32 has an accuracy of 0.93 and a mIoU of 0.71 after
    /// 300 steps of 32, 0.98 and 0.77 after 600.
    pub difficulty: f64,
    /// The classes that occur, in label order. Default: all six.
    pub classes: Vec<Class>,
    /// Seed of the scenes. Default 0. It is separate from the run's seed, so that runs with different seeds see the same
    /// data.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { count: 2000, size: 64, difficulty: 0.5, classes: Class::ALL.to_vec(), seed: 0 }
    }
}

/// A value in [`Config`] that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("scenes.{key} = {value}: {advice}")]
pub struct Error {
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// The allowed values.
    pub advice: &'static str,
}

/// The data set; see the module's documentation.
#[derive(Clone, Debug)]
pub struct Scenes {
    config: Config,
    schema: Schema,
}

impl Scenes {
    /// Scenes as configured. Scenes are drawn on request.
    ///
    /// # Errors
    /// A count or size of 0, a difficulty outside `[0, 1]`, no classes or one class twice.
    pub fn new(config: Config) -> Result<Self, Error> {
        let wrong = |key, value: String, advice| Err(Error { key, value, advice });
        if config.count == 0 {
            return wrong("count", "0".into(), "at least one scene is needed");
        }
        if config.size == 0 {
            return wrong("size", "0".into(), "scenes are at least 1 pixel wide (32 to 256 are sensible)");
        }
        if !(0.0..=1.0).contains(&config.difficulty) {
            return wrong("difficulty", config.difficulty.to_string(), "must lie between 0 (easy) and 1 (hard)");
        }
        let repeated = (1..config.classes.len()).any(|i| config.classes[..i].contains(&config.classes[i]));
        if config.classes.is_empty() || repeated {
            return wrong("classes", format!("{:?}", config.classes), "name at least one class, and each only once");
        }
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let classes: Vec<&str> = config.classes.iter().map(|class| class.name()).collect();
        let schema = Schema {
            name: "scenes".into(),
            channels: 3,
            tasks: vec![
                Task::new("class", TaskKind::Classification { classes: names(&classes) }),
                Task::new("parts", TaskKind::Segmentation { classes: names(&PARTS) }),
                Task::new("depth", TaskKind::Dense { unit: "relative".into() }),
            ],
        };
        Ok(Self { config, schema })
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// [`Config::size`], square.
    pub fn native_size(&self) -> Size {
        Size { height: self.config.size, width: self.config.size }
    }

    /// The label of `row`: the first draw of its stream.
    fn class(&self, row: usize) -> usize {
        self.stream(row).below(self.config.classes.len())
    }

    fn stream(&self, row: usize) -> mtl_rng::Stream {
        Seed::new(self.config.seed).stream("scene", &[row as u64])
    }

    fn draw(&self, row: usize, size: Size) -> Sample {
        let Size { height, width } = size;
        let difficulty = self.config.difficulty as f32;
        let mut stream = self.stream(row);
        let class = stream.below(self.config.classes.len());
        let mut canvas = surroundings::ground(height, width, difficulty, &mut stream);

        // In units of half the shorter side, so that objects keep their proportions in wide pictures.
        let half = height.min(width) as f32 / 2.0;
        let mut draw = |low: f64, high: f64| stream.range(low, high) as f32;
        let shrink = draw(0.0, 1.0);
        let size = 0.9 * (1.0 - 0.45 * difficulty * shrink);
        let mut place = |side: usize| {
            let room = (side as f32 / 2.0 - 0.95 * size * half).max(0.0);
            side as f32 / 2.0 + room * draw(-1.0, 1.0)
        };
        let frame = Frame {
            centre: [place(width), place(height)],
            scale: size * half,
            angle: draw(-1.0, 1.0) * (4.0 + 16.0 * difficulty).to_radians(),
            flip: draw(0.0, 1.0) < 0.5,
        };
        let depth = 0.3 + 0.25 * shrink;
        let stream = &mut stream;
        Painter { canvas: &mut canvas, frame, depth, stream, difficulty }.object(self.config.classes[class]);
        surroundings::occluder(&mut canvas, &frame, difficulty, stream);

        let image = surroundings::expose(&canvas, difficulty, stream);
        let targets = vec![Target::Class(vec![class as i32]), Target::Mask(canvas.mask), Target::Dense(canvas.depth)];
        Sample { image, targets }
    }
}

impl Dataset for Scenes {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn len(&self) -> usize {
        self.config.count
    }

    fn row_name(&self, row: usize) -> String {
        format!("scene-{row:06}")
    }

    fn labels(&self, row: usize) -> Vec<Labels> {
        vec![Labels::Class(self.class(row)), Labels::Pixels, Labels::Pixels]
    }

    fn sample(&self, row: usize, size: Size) -> Result<Sample, crate::error::Error> {
        Ok(self.draw(row, size))
    }

    /// Equal scenes have equal hashes, so there is no fingerprint; labels are those of 32 x 32 pixels.
    fn facts(&self, row: usize, wanted: Wanted) -> Result<RowFacts, crate::error::Error> {
        let content = if wanted.content { self.content_hash(row)? } else { None };
        let sample = wanted.labels.then(|| self.draw(row, SMALL));
        let labels = sample.iter().flat_map(|sample| self.schema.tasks.iter().zip(&sample.targets));
        let labels = labels.map(|(task, target)| LabelFacts::of(target, &task.kind)).collect();
        Ok(RowFacts { content, fingerprint: None, labels })
    }

    /// Hash of the scene's inputs, equal for all sizes.
    fn content_hash(&self, row: usize) -> Result<Option<u64>, crate::error::Error> {
        let Config { difficulty, classes, seed, .. } = &self.config;
        Ok(Some(hash(format!("scene {seed} {row} {difficulty} {classes:?}").as_bytes())))
    }
}

#[cfg(test)]
mod tests;
