//! Masks that are framed differently from their images: shifted, scaled or cropped.
//!
//! Borders of a mask lie on edges of its image. Over the whole data set, the strength of the image's edges under the masks'
//! borders is compared with that under shifted and scaled copies of them. The best copy is chosen on one half of the images
//! and tested on the other. A border that is drawn a little outside of every object is no such fault: small shifts and scales
//! are not reported, nor those that fit no better than wider or narrower objects. Where EXIF turns images, the masks are also
//! compared with copies that are turned alike.
//!
//! Cost: at most 200 images, decoded at 128 x 128, and about 0.3 s.

use std::path::Path;

use mtl_task::{Target, TaskKind};
use rayon::prelude::*;

use crate::dataset::{Dataset, Labels};
use crate::facts::FileContent;
use crate::image::picture::first_three;
use crate::image::resize;
use crate::size::Size;

/// Images and masks are compared at this side, in pixels.
const SIDE: usize = 128;
const SIZE: Size = Size { height: SIDE, width: SIDE };
/// Images that are looked at, and the fewest.
const MOST: usize = 200;
const FEWEST: usize = 12;
/// Points of a mask's borders.
const POINTS: usize = 300;
/// Largest shift, in pixels, and steps of the coarse search.
const SHIFT: i32 = 24;
const SHIFT_STEP: usize = 4;
const SCALES: [f32; 15] = [0.6, 0.67, 0.74, 0.8, 0.86, 0.91, 0.96, 1.0, 1.04, 1.1, 1.16, 1.25, 1.35, 1.5, 1.67];
/// Smallest shift (share of the side) and scale that are reported.
const LEAST_SHIFT: f32 = 0.03;
const LEAST_SCALE: f32 = 0.08;
/// A copy must fit better than the mask itself: by this factor, and by this many standard errors of the paired differences.
const LEAST_RATIO: f64 = 1.3;
const LEAST_ERRORS: f64 = 5.0;
/// And better than wider or narrower objects.
const LEAST_OVER_WIDER: f64 = 1.15;

/// How a mask would have to be changed: scaled about the centre, then shifted.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Change {
    scale: f32,
    x: f32,
    y: f32,
}

const SAME: Change = Change { scale: 1.0, x: 0.0, y: 0.0 };

/// Edges of one image and border points of its mask.
struct Pair {
    /// Strength of edges, mean 0 and variance 1.
    edges: Vec<f32>,
    /// From the centre.
    points: Vec<[f32; 2]>,
    /// From each point one pixel out of the object; 0 between two objects.
    outwards: Vec<[f32; 2]>,
}

impl Pair {
    /// Mean strength of the edges under the changed border; 0 outside of the image.
    fn fit(&self, change: Change) -> f64 {
        let Change { scale, x, y } = change;
        let strength = self.points.iter().map(|point| self.edge(point[0] * scale + x, point[1] * scale + y));
        f64::from(strength.sum::<f32>()) / self.points.len() as f64
    }

    /// The same where every object is wider by some pixels.
    fn fit_wider(&self, by: f32) -> f64 {
        let points = self.points.iter().zip(&self.outwards);
        let strength = points.map(|([x, y], [out_x, out_y])| self.edge(x + by * out_x, y + by * out_y));
        f64::from(strength.sum::<f32>()) / self.points.len() as f64
    }

    /// The edge at a point from the centre.
    fn edge(&self, x: f32, y: f32) -> f32 {
        let half = SIDE as f32 / 2.0;
        let (x, y) = ((x + half) as i32, (y + half) as i32);
        let inside = |v: i32| (0..SIDE as i32).contains(&v);
        if inside(x) && inside(y) { self.edges[y as usize * SIDE + x as usize] } else { 0.0 }
    }
}

/// A sentence for every segmentation task whose masks fit their images better when they are shifted or scaled.
pub fn warnings(dataset: &dyn Dataset) -> Vec<String> {
    let tasks = dataset.schema().tasks.iter().enumerate();
    let masks = tasks.filter(|(_, task)| matches!(task.kind, TaskKind::Segmentation { .. }));
    let found = masks.filter_map(|(at, task)| {
        let labelled = |row: &usize| dataset.labels(*row)[at] == Labels::Pixels;
        let rows: Vec<usize> = (0..dataset.len()).filter(labelled).collect();
        let rows: Vec<usize> = rows.iter().step_by(rows.len().div_ceil(MOST).max(1)).copied().collect();
        let pairs: Vec<Pair> = rows.par_iter().filter_map(|&row| pair(dataset, row, at)).collect();
        if let Some(count) = better_turned(dataset, at) {
            return Some(format!(
                "the masks of `{}` may be drawn on the images as they are stored: over {count} images that EXIF turns, their \
                 borders lie on the images' edges better when they are turned like their images. Set \
                 data.open.masks_as_stored = true, and look at a contact sheet of the data",
                task.name
            ));
        }
        let (change, count) = better(&pairs)?;
        Some(format!(
            "the masks of `{}` may be framed differently from their images: over {count} images, their borders lie on the \
             images' edges better when the masks are {}. Look at a contact sheet of the data",
            task.name,
            words(change)
        ))
    });
    found.collect()
}

/// The number of images that EXIF turns, if their masks fit better when they are turned alike.
fn better_turned(dataset: &dyn Dataset, task: usize) -> Option<usize> {
    let files = dataset.files();
    let turned: Vec<(&Path, u8)> = files
        .iter()
        .filter_map(|(path, facts)| match &facts.content {
            FileContent::Image(image) if image.orientation > 1 => Some((*path, image.orientation)),
            _ => None,
        })
        .collect();
    if turned.len() < FEWEST {
        return None;
    }
    let labelled = (0..dataset.len()).filter(|&row| dataset.labels(row)[task] == Labels::Pixels);
    let code = |row: usize| {
        let name = dataset.row_name(row);
        turned.iter().find(|(path, _)| path.ends_with(&name)).map(|(_, code)| (row, *code))
    };
    let rows: Vec<(usize, u8)> = labelled.filter_map(code).take(MOST).collect();
    let fits: Vec<(f64, f64)> = rows
        .par_iter()
        .filter_map(|&(row, code)| {
            let mut pair = pair(dataset, row, task)?;
            let own = pair.fit(SAME);
            pair.points.iter_mut().for_each(|point| *point = upright(*point, code));
            Some((own, pair.fit(SAME)))
        })
        .collect();
    (fits.len() >= FEWEST && is_better(&fits)).then_some(fits.len())
}

/// Where a point of a stored image, seen from its centre, is in the upright one.
fn upright([x, y]: [f32; 2], orientation: u8) -> [f32; 2] {
    match orientation {
        2 => [-x, y],
        3 => [-x, -y],
        4 => [x, -y],
        5 => [y, x],
        6 => [-y, x],
        7 => [-y, -x],
        8 => [y, -x],
        _ => [x, y],
    }
}

/// Whether the second fit of each pair is better than the first, over all.
fn is_better(fits: &[(f64, f64)]) -> bool {
    let count = fits.len() as f64;
    let (own, changed) = fits.iter().fold((0.0, 0.0), |(own, changed), (a, b)| (own + a, changed + b));
    let mean = (changed - own) / count;
    let variance = fits.iter().map(|(a, b)| (b - a - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let errors = mean / (variance / count).sqrt().max(1e-9);
    changed >= LEAST_RATIO * own.max(0.0) && changed > 0.0 && errors >= LEAST_ERRORS
}

fn words(change: Change) -> String {
    let percent = |pixels: f32| format!("{:.0} %", 100.0 * pixels.abs() / SIDE as f32);
    let mut parts = Vec::new();
    if (change.scale - 1.0).abs() >= LEAST_SCALE / 2.0 {
        parts.push(format!("scaled by {:.2} about the centre", change.scale));
    }
    if change.x.abs() >= LEAST_SHIFT * SIDE as f32 / 2.0 {
        let side = if change.x > 0.0 { "right" } else { "left" };
        parts.push(format!("shifted by {} of the width to the {side}", percent(change.x)));
    }
    if change.y.abs() >= LEAST_SHIFT * SIDE as f32 / 2.0 {
        let side = if change.y > 0.0 { "down" } else { "up" };
        parts.push(format!("shifted by {} of the height {side}", percent(change.y)));
    }
    parts.join(", ")
}

fn pair(dataset: &dyn Dataset, row: usize, task: usize) -> Option<Pair> {
    let sample = dataset.sample(row, SIZE).ok()?;
    let Target::Mask(mask) = sample.targets.get(task)? else { return None };
    let grey = match dataset.schema().channels {
        1 => sample.image.clone(),
        channels => resize::luma(&first_three(&sample.image, channels, SIZE)),
    };
    let half = SIDE as f32 / 2.0;
    let mut points = Vec::new();
    for y in 0..SIDE - 1 {
        for x in 0..SIDE - 1 {
            let (here, right, below) = (mask[y * SIDE + x], mask[y * SIDE + x + 1], mask[(y + 1) * SIDE + x]);
            let out = |other: u8| f32::from(u8::from(other == 0)) - f32::from(u8::from(here == 0));
            if here != right {
                points.push(([x as f32 + 1.0 - half, y as f32 + 0.5 - half], [out(right), 0.0]));
            }
            if here != below {
                points.push(([x as f32 + 0.5 - half, y as f32 + 1.0 - half], [0.0, out(below)]));
            }
        }
    }
    let (points, outwards): (Vec<_>, Vec<_>) =
        points.iter().step_by(points.len().div_ceil(POINTS).max(1)).copied().unzip();
    (!points.is_empty()).then(|| Some(Pair { edges: edges(&grey)?, points, outwards }))?
}

/// Differences of neighbours, averaged over 3 x 3 pixels; `None` for a flat image.
fn edges(grey: &[u8]) -> Option<Vec<f32>> {
    let value = |y: usize, x: usize| f32::from(grey[y.min(SIDE - 1) * SIDE + x.min(SIDE - 1)]);
    let mut strength = vec![0.0; SIDE * SIDE];
    for y in 0..SIDE {
        for x in 0..SIDE {
            let dx = value(y, x + 1) - value(y, x.saturating_sub(1));
            let dy = value(y + 1, x) - value(y.saturating_sub(1), x);
            // The root keeps a few hard edges from outweighing all others.
            strength[y * SIDE + x] = (dx * dx + dy * dy).sqrt().sqrt();
        }
    }
    let smooth = |at: usize| {
        let (y, x) = (at / SIDE, at % SIDE);
        let near = |v: usize| v.saturating_sub(1)..(v + 2).min(SIDE);
        let (mut sum, mut count) = (0.0, 0.0);
        for y in near(y) {
            for x in near(x) {
                sum += strength[y * SIDE + x];
                count += 1.0;
            }
        }
        sum / count
    };
    let smoothed: Vec<f32> = (0..SIDE * SIDE).map(smooth).collect();
    let mean = smoothed.iter().sum::<f32>() / smoothed.len() as f32;
    let variance = smoothed.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / smoothed.len() as f32;
    (variance > 1e-6).then(|| smoothed.iter().map(|v| (v - mean) / variance.sqrt()).collect())
}

/// The change that fits better than none, and the number of images that say so.
fn better(pairs: &[Pair]) -> Option<(Change, usize)> {
    if pairs.len() < FEWEST {
        return None;
    }
    let chosen: Vec<&Pair> = pairs.iter().step_by(2).collect();
    let tested: Vec<&Pair> = pairs.iter().skip(1).step_by(2).collect();
    let score = |change: Change| chosen.iter().map(|pair| pair.fit(change)).sum::<f64>();
    let best_of = |changes: Vec<Change>| {
        let scores: Vec<f64> = changes.par_iter().map(|&change| score(change)).collect();
        let best = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(at, _)| at);
        best.map(|at| changes[at])
    };
    let shifts = || (-SHIFT..=SHIFT).step_by(SHIFT_STEP);
    let coarse = SCALES.iter().flat_map(|&scale| {
        shifts().flat_map(move |x| shifts().map(move |y| Change { scale, x: x as f32, y: y as f32 }))
    });
    let near = best_of(coarse.collect())?;
    let fine = (-3..=3).flat_map(|scale| {
        (-3..=3).flat_map(move |x| {
            (-3..=3).map(move |y| Change {
                scale: near.scale + scale as f32 * 0.01,
                x: near.x + x as f32,
                y: near.y + y as f32,
            })
        })
    });
    let best = best_of(fine.collect())?;
    let far = |shift: f32| shift.abs() >= LEAST_SHIFT * SIDE as f32;
    if !(far(best.x) || far(best.y) || (best.scale - 1.0).abs() >= LEAST_SCALE) {
        return None;
    }
    let fits: Vec<(f64, f64)> = tested.iter().map(|pair| (pair.fit(SAME), pair.fit(best))).collect();
    let changed: f64 = fits.iter().map(|(_, changed)| changed).sum();
    let wider = (-12..=12).map(|by| tested.iter().map(|pair| pair.fit_wider(by as f32)).sum::<f64>());
    if changed < LEAST_OVER_WIDER * wider.fold(0.0, f64::max) {
        return None;
    }
    is_better(&fits).then_some((best, pairs.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Sample, Schema};
    use crate::error::Error;
    use crate::scenes::{Config, Scenes};

    /// Scenes whose masks are changed.
    struct Changed(Scenes, Change);

    impl Dataset for Changed {
        fn schema(&self) -> &Schema {
            self.0.schema()
        }
        fn len(&self) -> usize {
            self.0.len()
        }
        fn row_name(&self, row: usize) -> String {
            self.0.row_name(row)
        }
        fn labels(&self, row: usize) -> Vec<Labels> {
            self.0.labels(row)
        }
        fn sample(&self, row: usize, size: Size) -> Result<Sample, Error> {
            let mut sample = self.0.sample(row, size)?;
            for target in &mut sample.targets {
                if let Target::Mask(mask) = target {
                    let whole = mask.clone();
                    let (half_x, half_y) = (size.width as f32 / 2.0, size.height as f32 / 2.0);
                    // Where a changed pixel comes from.
                    let from = |at: usize| {
                        let back = |v: usize, half: f32, shift: f32, side: usize| {
                            let v = (v as f32 + 0.5 - half - shift * side as f32 / SIDE as f32) / self.1.scale + half;
                            (v >= 0.0 && v < side as f32).then_some(v as usize)
                        };
                        let x = back(at % size.width, half_x, self.1.x, size.width)?;
                        let y = back(at / size.width, half_y, self.1.y, size.height)?;
                        Some(whole[y * size.width + x])
                    };
                    *mask = (0..whole.len()).map(|at| from(at).unwrap_or(0)).collect();
                }
            }
            Ok(sample)
        }
    }

    fn said(change: Change) -> String {
        let config = Config { count: 60, size: 96, ..Config::default() };
        warnings(&Changed(Scenes::new(config).unwrap(), change)).join("\n")
    }

    #[test]
    fn shifted_and_scaled_masks_are_found_and_right_ones_are_not() {
        assert_eq!(said(SAME), "");
        let shifted = said(Change { scale: 1.0, x: 10.0, y: 0.0 });
        assert!(shifted.contains("shifted by 8 % of the width to the left"), "{shifted}");
        let scaled = said(Change { scale: 1.25, x: 0.0, y: 0.0 });
        assert!(scaled.contains("scaled by 0.8") || scaled.contains("scaled by 0.79"), "{scaled}");
    }
}
