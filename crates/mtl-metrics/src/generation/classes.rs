//! Measures within classes: a generator that ignores its class label scores well over all images and badly here.

use super::features::Features;
use super::{ClassesScored, GenerationScore, GenerationScores, compare};
use crate::error::{Error, same_length};

/// Images of each kind that a class needs.
pub const MIN_PER_CLASS: usize = 20;

/// Means over classes of [`compare`] within each class, under the names `kid_within_classes` and so on. `labels` hold one class in
/// `0..classes` per image, negative where missing. A class with fewer than [`MIN_PER_CLASS`] images of either kind is left out;
/// every score says how many classes it is the mean of. A Frechet distance needs [`super::MIN_FOR_FRECHET`] images of each class
/// that is scored, or it is left out. Empty without any class.
///
/// # Errors
/// Labels of another length, a label outside the classes, different widths.
pub fn compare_classes(
    (real, real_labels): (&Features<'_>, &[i32]),
    (generated, generated_labels): (&Features<'_>, &[i32]),
    classes: usize,
) -> Result<Vec<GenerationScore>, Error> {
    for (features, labels) in [(real, real_labels), (generated, generated_labels)] {
        same_length(features.images(), labels.len())?;
        if let Some(index) = labels.iter().position(|label| usize::try_from(*label).is_ok_and(|at| at >= classes)) {
            return Err(Error::Class { what: "label", index, value: i64::from(labels[index]), classes });
        }
    }
    let of = |labels: &[i32], class: usize| -> Vec<usize> {
        (0..labels.len()).filter(|&at| labels[at] == class as i32).collect()
    };
    let mut found: Vec<GenerationScores> = Vec::new();
    for class in 0..classes {
        let (real_rows, generated_rows) = (of(real_labels, class), of(generated_labels, class));
        if real_rows.len().min(generated_rows.len()) >= MIN_PER_CLASS {
            found.push(compare(&real.select(&real_rows), &generated.select(&generated_rows))?);
        }
    }
    let Some(first) = found.first() else { return Ok(Vec::new()) };
    let mut means = Vec::new();
    for score in first.list() {
        let same: Vec<&GenerationScore> =
            found.iter().flat_map(GenerationScores::list).filter(|other| other.name == score.name).collect();
        if same.len() < found.len() {
            continue;
        }
        means.push(GenerationScore {
            name: format!("{}_within_classes", score.name),
            value: same.iter().map(|score| score.value).sum::<f64>() / same.len() as f64,
            spread: None,
            direction: score.direction,
            real: same.iter().map(|score| score.real).sum(),
            generated: same.iter().map(|score| score.generated).sum(),
            classes: Some(ClassesScored { scored: found.len(), all: classes }),
        });
    }
    Ok(means)
}
