//! Weights against unequal classes.

use crate::{Error, Place, Result};

/// Weights of `classes` classes: those given, or `(mean count / count)^balance`, at most 10 and with a mean of 1 over
/// the training labels, so that the loss keeps its scale. `None` where all are 1.
pub(crate) fn weights(
    task: &str,
    given: &Option<Vec<f64>>,
    balance: f64,
    classes: usize,
    place: &Place,
) -> Result<Option<Vec<f64>>> {
    let error = |problem: String| Err(Error::Config { task: task.to_owned(), problem });
    if let Some(given) = given {
        if given.len() != classes || given.iter().any(|w| !w.is_finite() || *w < 0.0) || given.iter().all(|w| *w == 0.0)
        {
            return error(format!("class_weights = {given:?}; {classes} weights of at least 0, not all 0, are needed"));
        }
        return Ok(Some(given.clone()));
    }
    if !(0.0..=1.0).contains(&balance) {
        return error(format!("balance = {balance}; it must lie between 0 (none) and 1 (inverse frequency)"));
    }
    let Some(counts) = place.class_counts.as_ref().filter(|counts| counts.len() == classes && balance > 0.0) else {
        return Ok(None);
    };
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return Ok(None);
    }
    let mean = total as f64 / classes as f64;
    let raw: Vec<f64> = counts.iter().map(|&count| (mean / count.max(1) as f64).powf(balance).min(10.0)).collect();
    let average = raw.iter().zip(counts).map(|(weight, &count)| weight * count as f64).sum::<f64>() / total as f64;
    Ok(Some(raw.into_iter().map(|weight| weight / average).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let place = Place { taps: vec![], height: 8, width: 8, class_counts: Some(vec![30, 10]) };
        // mean 20: raw 2/3 and 2; average (2/3 * 30 + 2 * 10) / 40 = 1
        let got = weights("t", &None, 1.0, 2, &place).unwrap().unwrap();
        assert!((got[0] - 2.0 / 3.0).abs() < 1e-12 && (got[1] - 2.0).abs() < 1e-12, "{got:?}");
        assert!(weights("t", &None, 0.0, 2, &place).unwrap().is_none());
        assert!(weights("t", &Some(vec![1.0]), 0.0, 2, &place).is_err());
    }
}
