//! Baseline: the best constant prediction of each score, from the labels of the training split.
//!
//! | kind of task | score | constant |
//! |---|---|---|
//! | classification | all | the most frequent class (the first one on a tie) |
//! | multi-label | `label_accuracy` | the more frequent value of each label (no on a tie or without labels) |
//! | | `macro_f1` | yes, but for labels that are never yes |
//! | | `exact_match` | the most frequent row among those that are fully labelled |
//! | segmentation | `miou`, `pixel_accuracy` | the class of the most pixels everywhere (the first one on a tie) |
//! | | `dice_image` | the foreground class with the largest mean Dice over its images |
//! | | `dice/CLASS`, `iou/CLASS`, `dice_image/CLASS` | that class everywhere |
//! | dense, regression | `rmse`, `r2` | the mean |
//! | | `mae` | the median |
//! | | `abs_rel` | the median weighted with 1 / label |
//! | | `rounded_accuracy` | the most frequent number |
//!
//! One class everywhere has an IoU above 0 for itself alone, its share of the pixels: the largest class has the best mean.
//! Scores come from the same accumulators as the model's: [`Baseline::scores`] takes the labels that the model is scored on.

use std::collections::BTreeMap;

use mtl_task::{Target, TaskKind};

use crate::error::divide;
use crate::metric_set::{MetricSet, Prediction, kind_of_target};
use crate::multi_label::check_binary;
use crate::{Error, Score};

/// Counts of training labels, and the constant predictions derived from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    kind: TaskKind,
    /// Classification: images of each class. Multi-label: count of yes of each label. Segmentation: pixels of each class.
    yes: Vec<u64>,
    /// Multi-label: count of no of each label.
    no: Vec<u64>,
    /// Multi-label: how often each fully labelled row occurs.
    rows: BTreeMap<Vec<bool>, u64>,
    /// Segmentation: of each class the images that have it, and the sum of their Dice if it is predicted everywhere.
    dice: Vec<(u64, f64)>,
    /// Numbers: how often each occurs, by [`order`].
    values: BTreeMap<u32, u64>,
    sum: f64,
    n: u64,
}

/// A constant prediction.
#[derive(Clone, Debug, PartialEq)]
enum Constant {
    Class(usize),
    Row(Vec<bool>),
    Value(f32),
}

/// Scores of the constant predictions of a [`Baseline`] on the labels of a data set.
#[derive(Clone, Debug)]
pub struct BaselineScores<'a> {
    baseline: &'a Baseline,
    /// Each constant prediction that is the best for a score; that of the primary score first.
    constants: Vec<(Constant, MetricSet)>,
}

impl Baseline {
    /// A baseline without labels.
    pub fn new(kind: &TaskKind) -> Self {
        let outputs = kind.outputs();
        Self {
            kind: kind.clone(),
            yes: vec![0; outputs],
            no: vec![0; outputs],
            rows: BTreeMap::new(),
            dice: vec![(0, 0.0); outputs],
            values: BTreeMap::new(),
            sum: 0.0,
            n: 0,
        }
    }

    /// Counts labels; a mask is that of one image. They must be those of the training split: counts of the test split would
    /// leak its labels.
    ///
    /// # Errors
    /// A target of another kind, a class outside the range, a label that is neither 0, 1 nor NaN, an infinite value.
    pub fn learn(&mut self, train: &Target) -> Result<(), Error> {
        self.check_kind(train)?;
        match train {
            Target::Class(labels) => {
                let known = labels.iter().enumerate().filter(|&(_, &label)| label != Target::NO_CLASS);
                let found = self.counted(known.map(|(index, &label)| (index, i64::from(label))))?;
                self.yes.iter_mut().zip(found).for_each(|(count, found)| *count += found);
            }
            Target::MultiLabel(values) => {
                let labels = self.yes.len();
                divide(values.len(), labels, "labels")?;
                check_binary(values)?;
                for (cell, &value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                    let counts = if value == 1.0 { &mut self.yes } else { &mut self.no };
                    counts[cell % labels] += 1;
                }
                for row in values.chunks_exact(labels.max(1)).filter(|row| !row.iter().any(|value| value.is_nan())) {
                    *self.rows.entry(row.iter().map(|&value| value == 1.0).collect()).or_default() += 1;
                }
            }
            Target::Mask(pixels) => {
                let known = pixels.iter().enumerate().filter(|&(_, &pixel)| pixel != Target::NO_PIXEL);
                let found = self.counted(known.map(|(index, &pixel)| (index, i64::from(pixel))))?;
                let all: u64 = found.iter().sum();
                for ((count, (images, dice)), found) in self.yes.iter_mut().zip(&mut self.dice).zip(found) {
                    *count += found;
                    *images += u64::from(found > 0);
                    *dice += if found > 0 { 2.0 * found as f64 / (all + found) as f64 } else { 0.0 };
                }
            }
            Target::Dense(values) | Target::Value(values) => {
                if let Some(index) = values.iter().position(|value| value.is_infinite()) {
                    let hint = "labels are finite, or NaN where missing";
                    return Err(Error::NonFinite { what: "label", index, value: values[index], hint });
                }
                for &value in values.iter().filter(|value| !value.is_nan()) {
                    self.sum += f64::from(value);
                    *self.values.entry(order(value)).or_default() += 1;
                }
            }
        }
        self.n += train.present() as u64;
        Ok(())
    }

    /// Empty scores of the constant predictions; `None` without training labels.
    pub fn scores(&self) -> Option<BaselineScores<'_>> {
        if self.n == 0 {
            return None;
        }
        let mut constants: Vec<(Constant, MetricSet)> = Vec::new();
        let mut add = |score: &str| {
            let constant = self.constant(score);
            if constants.iter().all(|(known, _)| *known != constant) {
                constants.push((constant, MetricSet::new(&self.kind)));
            }
        };
        match &self.kind {
            TaskKind::Classification { .. } => add("accuracy"),
            TaskKind::MultiLabel { .. } => ["label_accuracy", "macro_f1", "exact_match"].into_iter().for_each(add),
            TaskKind::Segmentation { classes } => {
                ["miou", "dice_image"].into_iter().for_each(&mut add);
                classes.iter().for_each(|class| add(&format!("dice/{class}")));
            }
            TaskKind::Dense { .. } => ["rmse", "mae", "abs_rel"].into_iter().for_each(add),
            TaskKind::Regression { .. } => ["rmse", "mae", "rounded_accuracy"].into_iter().for_each(add),
        }
        Some(BaselineScores { baseline: self, constants })
    }

    /// The constant prediction for the primary score, in the shape of `like`; `None` without training labels.
    ///
    /// # Errors
    /// A target of another kind.
    pub fn predict(&self, like: &Target) -> Result<Option<Prediction>, Error> {
        self.check_kind(like)?;
        Ok((self.n > 0).then(|| self.constant(crate::primary_score(&self.kind)).predict(like)))
    }

    /// Description for tables: ``always `rust` ``; `None` without training labels.
    pub fn describe(&self) -> Option<String> {
        (self.n > 0).then(|| match &self.kind {
            TaskKind::Classification { classes } => {
                format!("always `{}`", classes.get(largest(&self.yes)).map_or("", String::as_str))
            }
            TaskKind::MultiLabel { .. } => {
                "the more frequent value of each label; macro_f1: yes; exact_match: the most frequent row".to_owned()
            }
            TaskKind::Segmentation { classes } => match largest(&self.yes) {
                0 => "all background; of one class: all that class".to_owned(),
                class => format!("all `{}`; of one class: all that class", classes[class]),
            },
            TaskKind::Dense { unit } | TaskKind::Regression { unit } => {
                let words = |value: f32| format!("{} {unit}", significant(value)).trim_end().to_owned();
                format!("mean {}; mae: median {}", words(self.mean()), words(self.median(|_| 1.0)))
            }
        })
    }

    /// The best constant prediction for a score.
    fn constant(&self, score: &str) -> Constant {
        let more_frequent = || self.yes.iter().zip(&self.no).map(|(yes, no)| yes > no).collect();
        match &self.kind {
            TaskKind::Classification { .. } => Constant::Class(largest(&self.yes)),
            TaskKind::MultiLabel { .. } => Constant::Row(match score {
                "macro_f1" => self.yes.iter().map(|&yes| yes > 0).collect(),
                "exact_match" => {
                    let most = self.rows.iter().rev().max_by_key(|(_, count)| **count);
                    most.map_or_else(more_frequent, |(row, _)| row.clone())
                }
                _ => more_frequent(),
            }),
            TaskKind::Segmentation { classes } => Constant::Class(match (score, score.split_once('/')) {
                (_, Some((_, name))) => classes.iter().position(|class| class == name).unwrap_or(0),
                ("dice_image", None) => {
                    let mean = |class: usize| self.dice[class].1 / self.dice[class].0.max(1) as f64;
                    (1..classes.len()).rev().max_by(|&a, &b| mean(a).total_cmp(&mean(b))).unwrap_or(0)
                }
                _ => largest(&self.yes),
            }),
            TaskKind::Dense { .. } | TaskKind::Regression { .. } => Constant::Value(match score {
                "mae" => self.median(|_| 1.0),
                "abs_rel" => self.median(|value| if value > 0.0 { 1.0 / f64::from(value) } else { 0.0 }),
                "rounded_accuracy" => {
                    self.values.iter().rev().max_by_key(|(_, count)| **count).map_or(0.0, |(&key, _)| value_of(key))
                }
                _ => self.mean(),
            }),
        }
    }

    /// How often each class occurs.
    fn counted(&self, labels: impl Iterator<Item = (usize, i64)>) -> Result<Vec<u64>, Error> {
        let classes = self.yes.len();
        let mut found = vec![0; classes];
        for (index, value) in labels {
            let class = usize::try_from(value).ok().and_then(|class| found.get_mut(class));
            *class.ok_or(Error::Class { what: "label", index, value, classes })? += 1;
        }
        Ok(found)
    }

    fn mean(&self) -> f32 {
        (self.sum / self.n as f64) as f32
    }

    /// The number with half of the weight below it; between two such numbers their middle.
    fn median(&self, weight: impl Fn(f32) -> f64) -> f32 {
        let weights = || self.values.iter().map(|(&key, &count)| (value_of(key), count as f64 * weight(value_of(key))));
        let half = weights().map(|(_, weight)| weight).sum::<f64>() / 2.0;
        let (mut below, mut lower) = (0.0, None);
        for (value, weight) in weights().filter(|(_, weight)| *weight > 0.0) {
            if let Some(lower) = lower {
                return (f64::from(lower) / 2.0 + f64::from(value) / 2.0) as f32;
            }
            below += weight;
            if below > half {
                return value;
            }
            lower = (below == half).then_some(value);
        }
        lower.unwrap_or_else(|| self.mean())
    }

    fn check_kind(&self, target: &Target) -> Result<(), Error> {
        let (expected, found) = (self.kind.name(), kind_of_target(target));
        if expected == found { Ok(()) } else { Err(Error::Kind { expected, found }) }
    }
}

impl BaselineScores<'_> {
    /// Adds the labels of `images` images.
    ///
    /// # Errors
    /// A target of another kind; the errors of the accumulator of this kind.
    pub fn add(&mut self, truth: &Target, images: usize) -> Result<(), Error> {
        self.baseline.check_kind(truth)?;
        self.constants.iter_mut().try_for_each(|(constant, scores)| scores.add(truth, &constant.predict(truth), images))
    }

    /// The defined scores, each of the constant prediction that is the best for it; in the order of the model's scores.
    pub fn scores(&self) -> Vec<Score> {
        let order: Vec<String> = match self.constants.first() {
            Some((_, first)) => first.scores().into_iter().map(|score| score.name).collect(),
            None => Vec::new(),
        };
        let place = |score: &Score| order.iter().position(|name| *name == score.name).unwrap_or(order.len());
        let of_constant = |(constant, scores): &(Constant, MetricSet)| {
            scores
                .scores()
                .into_iter()
                .filter(|score| self.baseline.constant(&score.name) == *constant)
                .collect::<Vec<_>>()
        };
        let mut all: Vec<Score> = self.constants.iter().flat_map(of_constant).collect();
        all.sort_by_key(place);
        all
    }
}

impl Constant {
    /// In the shape of `like`, which is of its kind.
    fn predict(&self, like: &Target) -> Prediction {
        let images = |labels: usize| match self {
            Self::Class(class) => Prediction::Class(vec![*class as u32; labels]),
            Self::Row(row) => Prediction::MultiLabel(row.iter().copied().cycle().take(labels).collect()),
            Self::Value(value) => Prediction::Value(vec![*value; labels]),
        };
        match (self, like) {
            (Self::Class(class), Target::Mask(pixels)) => Prediction::Mask(vec![*class as u8; pixels.len()]),
            (Self::Value(value), Target::Dense(values)) => Prediction::Dense(vec![*value; values.len()]),
            (_, Target::Class(labels)) => images(labels.len()),
            (_, Target::Mask(pixels)) => images(pixels.len()),
            (_, Target::MultiLabel(values) | Target::Dense(values) | Target::Value(values)) => images(values.len()),
        }
    }
}

/// The place of the largest count, the first of equal ones.
fn largest(counts: &[u64]) -> usize {
    (0..counts.len()).rev().max_by_key(|&at| counts[at]).unwrap_or(0)
}

/// A key in the order of the numbers; both zeros have one.
fn order(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

fn value_of(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

/// About four significant digits.
fn significant(value: f32) -> String {
    let digits = if value == 0.0 { 0 } else { (3 - value.abs().log10().floor() as i32).clamp(0, 9) as usize };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests;
