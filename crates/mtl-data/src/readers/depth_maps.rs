//! Sentences about depth maps: their numbers, their unit, and how many pixels are not measured.

use mtl_task::TaskKind;

use super::OpenOptions;
use crate::facts::{FileContent, FileFacts};
use crate::reading::Reading;

/// Says how the depth maps among `files` are read.
pub(super) fn say_depth<'a>(files: impl Iterator<Item = &'a FileFacts>, options: &OpenOptions, reading: &mut Reading) {
    let (mut maps, mut pixels, mut known, mut ends) = (0, 0, 0, None::<[f32; 2]>);
    for facts in files {
        let FileContent::Depth { facts, .. } = &facts.content else { continue };
        maps += 1;
        pixels += facts.pixels;
        known += facts.known;
        ends = match (ends, facts.range) {
            (Some(a), Some(b)) => Some([a[0].min(b[0]), a[1].max(b[1])]),
            (a, b) => a.or(b),
        };
    }
    if maps == 0 {
        return;
    }
    let OpenOptions { depth_invalid: invalid, depth_scale: scale, depth_unit: unit, .. } = options;
    let count = if maps == 1 { "1 depth map".to_owned() } else { format!("{maps} depth maps") };
    let Some([low, high]) = ends else {
        reading.warn(format!("{count}: no pixel is measured (data.open.depth_invalid = {invalid:?})"));
        return;
    };
    let missing = 100.0 * (pixels - known) as f64 / pixels as f64;
    let invalid: Vec<String> = invalid.iter().map(f64::to_string).collect();
    let invalid = match invalid.len() {
        0 => "no number means \"not measured\"".to_owned(),
        _ => format!("{} means \"not measured\", {missing:.2} % of the pixels", invalid.join(" or ")),
    };
    let stored = if *scale == 1.0 { "as stored".to_owned() } else { format!("the stored numbers times {scale}") };
    let unit_words = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    let remedy = if unit.is_empty() { "; data.open.depth_scale and depth_unit give them a unit" } else { "" };
    reading.guess(format!("{count}: values from {low} to {high}{unit_words} ({stored}); {invalid}{remedy}"));
    if (f64::from(high) - 65_535.0 * scale).abs() <= 1e-6 * f64::from(high).abs() {
        reading.warn(format!(
            "{count}: the largest stored number is 65535; if it means \"not measured\", set data.open.depth_invalid = [0, 65535]"
        ));
    }
    if low < 0.0 {
        reading.warn(format!(
            "{count}: the smallest value is {low}; if numbers below 0 mean \"not measured\", list them in data.open.depth_invalid"
        ));
    }
    if unit == TaskKind::RELATIVE && high > 1.0 {
        reading.warn(format!(
            "{count}: data.open.depth_unit = \"relative\" is for values from 0 to 1, and the largest is {high}: set depth_scale, \
             or another unit"
        ));
    }
}
