//! Labels that are probably wrong, from predictions for images that a model was not trained on.
//!
//! *Classes* by confident learning (Northcutt, Jiang, Chuang 2021, arXiv:1911.00068): a class is confident for an image if its
//! probability is at least the mean probability of that class over the images labelled with it. An image whose most probable
//! confident class is not its label is a suspect; suspects are ranked by the margin between the two probabilities. *Masks* by the
//! soft minimum, over pixels, of the probability of the given class (Lad, Mueller 2023, arXiv:2307.05080): a ranking only.

/// An image whose label is probably wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suspect {
    /// Position among the images that were judged.
    pub at: usize,
    /// The given class.
    pub given: usize,
    /// The class that it more probably has.
    pub suggested: usize,
    /// Probability of the given class.
    pub given_probability: f64,
    /// Probability of the suggested class.
    pub suggested_probability: f64,
}

/// Suspects, the surest first. `labels`: a class per image, `None` where it is missing; `probabilities`: a row of `classes` per
/// image.
///
/// # Panics
/// If `probabilities` has not `classes` numbers per label: a programming error.
pub fn suspects(labels: &[Option<usize>], probabilities: &[f64], classes: usize) -> Vec<Suspect> {
    assert_eq!(probabilities.len(), labels.len() * classes, "a probability per image and class");
    let rows = || labels.iter().zip(probabilities.chunks_exact(classes.max(1)));
    let mut means = vec![(0.0, 0_u32); classes];
    for (label, row) in rows() {
        if let Some(class) = label {
            means[*class].0 += row[*class];
            means[*class].1 += 1;
        }
    }
    let threshold = |class: usize| match means[class] {
        (_, 0) => f64::INFINITY,
        (sum, count) => sum / f64::from(count),
    };
    let suspect = |(at, (label, row)): (usize, (&Option<usize>, &[f64]))| {
        let given = (*label)?;
        let confident = (0..classes).filter(|&class| row[class] >= threshold(class));
        let suggested = confident.max_by(|&a, &b| row[a].total_cmp(&row[b]))?;
        let (given_probability, suggested_probability) = (row[given], row[suggested]);
        (suggested != given && suggested_probability > given_probability).then_some(Suspect {
            at,
            given,
            suggested,
            given_probability,
            suggested_probability,
        })
    };
    let mut found: Vec<Suspect> = rows().enumerate().filter_map(suspect).collect();
    let margin = |one: &Suspect| one.given_probability - one.suggested_probability;
    found.sort_by(|a, b| margin(a).total_cmp(&margin(b)).then(a.at.cmp(&b.at)));
    found
}

/// Two classes that the predictions do not tell apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Confused {
    /// The classes.
    pub classes: [usize; 2],
    /// Images of either.
    pub images: usize,
    /// Mean recall of the two where only they are to be distinguished: 0.5 is chance.
    pub balanced_accuracy: f64,
    /// 95 % confidence interval of [`Confused::balanced_accuracy`]: normal approximation, with two images added to each class
    /// (Agresti and Caffo 2000).
    pub interval: [f64; 2],
}

/// Pairs of classes with at least `least` images each whose balanced accuracy is at most `worst`, the worst first.
pub fn confused(
    labels: &[Option<usize>],
    probabilities: &[f64],
    classes: usize,
    least: usize,
    worst: f64,
) -> Vec<Confused> {
    let mut found = Vec::new();
    for a in 0..classes {
        for b in a + 1..classes {
            let mut right = [0_usize; 2];
            let mut count = [0_usize; 2];
            for (label, row) in labels.iter().zip(probabilities.chunks_exact(classes)) {
                let Some(side) = [a, b].iter().position(|&class| *label == Some(class)) else { continue };
                count[side] += 1;
                right[side] += usize::from((row[b] > row[a]) == (side == 1));
            }
            if count.iter().any(|&images| images < least.max(1)) {
                continue;
            }
            let recall = |side: usize| right[side] as f64 / count[side] as f64;
            let balanced_accuracy = (recall(0) + recall(1)) / 2.0;
            if balanced_accuracy <= worst {
                let interval = interval(right, count);
                found.push(Confused { classes: [a, b], images: count[0] + count[1], balanced_accuracy, interval });
            }
        }
    }
    found.sort_by(|a, b| a.balanced_accuracy.total_cmp(&b.balanced_accuracy));
    found
}

/// 95 % interval of the mean of two proportions.
fn interval(right: [usize; 2], count: [usize; 2]) -> [f64; 2] {
    let share = |side: usize| (right[side] as f64 + 1.0) / (count[side] as f64 + 2.0);
    let variance = |side: usize| share(side) * (1.0 - share(side)) / (count[side] as f64 + 2.0);
    let (mean, half) = ((share(0) + share(1)) / 2.0, 0.98 * (variance(0) + variance(1)).sqrt());
    [(mean - half).max(0.0), (mean + half).min(1.0)]
}

/// Temperature of the soft minimum, as in the paper.
const TEMPERATURE: f64 = 0.1;

/// Quality of one mask, 0 to 1, from the probabilities of the given class of its labelled pixels; `None` without any.
pub fn mask_quality(given: impl Iterator<Item = f64> + Clone) -> Option<f64> {
    let weight = |p: f64| ((1.0 - p) / TEMPERATURE).exp();
    let (sum, weights) = given.fold((0.0, 0.0), |(sum, weights), p| (sum + p * weight(p), weights + weight(p)));
    (weights > 0.0).then(|| sum / weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspects_by_hand() {
        // Thresholds: class 0 (0.9 + 0.8 + 0.1) / 3 = 0.6, class 1 (0.9 + 0.7) / 2 = 0.8.
        let labels = [Some(0), Some(0), Some(0), Some(1), Some(1), None];
        let probabilities = [0.9, 0.1, 0.8, 0.2, 0.1, 0.9, 0.1, 0.9, 0.3, 0.7, 0.1, 0.9];
        let found = suspects(&labels, &probabilities, 2);
        let expected = Suspect { at: 2, given: 0, suggested: 1, given_probability: 0.1, suggested_probability: 0.9 };
        assert_eq!(found, [expected]);
        assert!(suspects(&[Some(0)], &[0.2, 0.8], 2).is_empty(), "a class that nobody has is not suggested");
    }

    #[test]
    fn classes_at_chance_are_confused() {
        let labels = [Some(0), Some(0), Some(1), Some(1), Some(2), Some(2)];
        let same = [0.45, 0.55, 0.0, 0.55, 0.45, 0.0, 0.45, 0.55, 0.0, 0.55, 0.45, 0.0];
        let probabilities = [&same[..], &[0.0, 0.0, 1.0, 0.0, 0.0, 1.0]].concat();
        let found = confused(&labels, &probabilities, 3, 2, 0.6);
        // By hand: 2 of 4 in each class with two added, 0.98 * sqrt(2 * 0.25 / 4).
        let half = 0.98 * 0.125_f64.sqrt();
        let expected =
            Confused { classes: [0, 1], images: 4, balanced_accuracy: 0.5, interval: [0.5 - half, 0.5 + half] };
        assert_eq!(found, [expected]);
        assert!(confused(&labels, &probabilities, 3, 3, 0.6).is_empty());
    }

    #[test]
    fn one_wrong_region_lowers_a_mask() {
        let good = mask_quality(std::iter::repeat_n(0.95, 100)).unwrap();
        let bad = mask_quality((0..100).map(|at| if at < 10 { 0.02 } else { 0.95 })).unwrap();
        assert!((good - 0.95).abs() < 1e-9 && bad < 0.05, "{good} {bad}");
        assert_eq!(mask_quality(std::iter::empty()), None);
    }
}
