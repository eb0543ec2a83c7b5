//! Class weights of the cross-entropy, against class imbalance.

use mtl_task::Task;

use crate::{Error, HeadInput, Result};

/// Largest weight before normalisation: a class of a few examples does not dominate the loss.
const MAX_WEIGHT: f64 = 10.0;

/// Weights in class order: `given`, or `(mean count / count)^power` from the training labels, at most 10 and with a mean of 1
/// over these labels, so that the loss keeps its scale. `None` where all are 1.
pub(crate) fn class_weights(
    task: &Task,
    given: &Option<Vec<f64>>,
    power: f64,
    input: &HeadInput,
) -> Result<Option<Vec<f64>>> {
    let classes = task.kind.outputs();
    let error = |problem: String| Err(Error::Config { task: task.name.clone(), problem });
    if let Some(given) = given {
        if given.len() != classes || given.iter().any(|w| !w.is_finite() || *w < 0.0) || given.iter().all(|w| *w == 0.0)
        {
            return error(format!("class_weights = {given:?}; {classes} weights of at least 0, not all 0, are needed"));
        }
        return Ok(Some(given.clone()));
    }
    if !(0.0..=1.0).contains(&power) {
        return error(format!(
            "class_weight_power = {power}; it must lie between 0 (equal weights) and 1 (inverse frequency)"
        ));
    }
    let Some(counts) = input.class_counts.as_ref().filter(|counts| counts.len() == classes && power > 0.0) else {
        return Ok(None);
    };
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return Ok(None);
    }
    let mean = total as f64 / classes as f64;
    let raw: Vec<f64> = counts.iter().map(|&count| (mean / count.max(1) as f64).powf(power).min(MAX_WEIGHT)).collect();
    let average = raw.iter().zip(counts).map(|(weight, &count)| weight * count as f64).sum::<f64>() / total as f64;
    Ok(Some(raw.into_iter().map(|weight| weight / average).collect()))
}

#[cfg(test)]
mod tests {
    use mtl_task::TaskKind;

    use super::*;

    #[test]
    fn by_hand() {
        let input = HeadInput { taps: vec![], height: 8, width: 8, class_counts: Some(vec![30, 10]), values: None };
        let task = Task::new("t", TaskKind::Classification { classes: vec!["a".into(), "b".into()] });
        // mean 20: raw 2/3 and 2; average (2/3 * 30 + 2 * 10) / 40 = 1
        let got = class_weights(&task, &None, 1.0, &input).unwrap().unwrap();
        assert!((got[0] - 2.0 / 3.0).abs() < 1e-12 && (got[1] - 2.0).abs() < 1e-12, "{got:?}");
        assert!(class_weights(&task, &None, 0.0, &input).unwrap().is_none());
        assert!(class_weights(&task, &Some(vec![1.0]), 0.0, &input).is_err());
        assert!(class_weights(&task, &None, 1.5, &input).is_err());
    }
}
