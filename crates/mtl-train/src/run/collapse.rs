//! Signs that a generator's training fails: an overfitting discriminator, samples without variety.
//!
//! At each validation: the gap `(D(train) - D(held-out)) / (D(train) - D(samples))` of a discriminator's mean scores, which is near
//! 0 for one that scores new images like training images, and near 1 for one that overfits to the training images
//! (Karras et al. 2020, arXiv 2006.06676); and distances between samples relative to those between validation images, over all
//! and per class.

use mtl_gen::Generator;
use mtl_metrics::generation::pairwise_distance;
use mtl_tensor::Device;
use mtl_trunk::Trunk;

use crate::error::Result;
use crate::eval::generation::images::Images;
use crate::eval::generation::random::RandomFeatures;
use crate::record::Signs;

/// Gap from which a discriminator overfits.
const OVERFITTING: f64 = 0.5;
/// Relative distance below which samples have too little variety, and below which they have collapsed.
const UNVARIED: f64 = 0.6;
const COLLAPSED: f64 = 0.3;
/// By how much a finding raises the probability of augmentation.
const RAISE: f64 = 0.1;
/// Images of a class that its variety is measured on, at least.
const MIN_PER_CLASS: usize = 8;

/// What follows from the signs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Findings {
    /// Warnings.
    pub warnings: Vec<String>,
    /// Whether augmentation should become more probable.
    pub raise: bool,
}

/// Variety of samples from their features and classes, and those of validation images.
///
/// # Errors
/// Features that are not finite.
pub(super) fn signs_of(real: (&RandomFeatures, &[i32]), samples: (&RandomFeatures, &[i32])) -> Result<Signs> {
    let (real_features, sample_features) = (real.0.joined()?, samples.0.joined()?);
    let ratio = |samples: Option<f64>, real: Option<f64>| match (samples, real) {
        (Some(samples), Some(real)) if real > 0.0 => Some(samples / real),
        _ => None,
    };
    let variety = ratio(pairwise_distance(&sample_features), pairwise_distance(&real_features)).unwrap_or(1.0);
    let classes = samples.1.iter().chain(real.1).copied().max().map_or(0, |most| (most + 1).max(0));
    let of =
        |labels: &[i32], class: i32| -> Vec<usize> { (0..labels.len()).filter(|&at| labels[at] == class).collect() };
    let mut least: Option<(usize, f64)> = None;
    for class in 0..classes {
        let (real_rows, sample_rows) = (of(real.1, class), of(samples.1, class));
        if real_rows.len().min(sample_rows.len()) < MIN_PER_CLASS {
            continue;
        }
        let found = ratio(
            pairwise_distance(&sample_features.select(&sample_rows)),
            pairwise_distance(&real_features.select(&real_rows)),
        );
        if let Some(found) = found.filter(|found| least.is_none_or(|(_, least)| *found < least)) {
            least = Some((class as usize, found));
        }
    }
    Ok(Signs { variety, least_varied: least, gap: None })
}

/// Whether samples have collapsed to few images.
pub(super) fn collapsed(signs: &Signs) -> bool {
    signs.variety < COLLAPSED
}

/// What follows from the signs. `classes` are the names of the classes.
pub(super) fn findings(signs: &Signs, classes: &[String]) -> Findings {
    let mut findings = Findings::default();
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    if let Some(gap) = signs.gap.filter(|gap| *gap > OVERFITTING) {
        findings.warnings.push(format!(
            "the discriminator overfits: its scores of held-out images are {} of the way from those of training images to those \
             of samples",
            percent(gap)
        ));
    }
    let single = signs.least_varied.filter(|(_, ratio)| *ratio < COLLAPSED);
    if signs.variety < UNVARIED {
        findings.warnings.push(format!(
            "samples have little variety: their distances from each other are {} of those of validation images",
            percent(signs.variety)
        ));
    } else if let Some((class, ratio)) = single {
        let name = classes.get(class).map_or_else(|| class.to_string(), Clone::clone);
        findings.warnings.push(format!(
            "samples of class `{name}` have little variety: their distances from each other are {} of those of its \
             validation images",
            percent(ratio)
        ));
    }
    findings.raise = !findings.warnings.is_empty();
    findings
}

/// Gap of a discriminator's mean scores. `None` if samples have no lower scores than training images.
///
/// # Errors
/// Images of another format.
pub(super) fn gap(
    generator: &dyn Generator,
    trunk: &dyn Trunk,
    [training, held_out, samples]: [&Images; 3],
    device: &Device,
) -> Result<Option<f64>> {
    let Some(discriminator) = generator.discriminator() else { return Ok(None) };
    let mean = |images: &Images| -> Result<f64> {
        let (mut sum, mut first) = (0.0, 0);
        for batch in images.batches(device) {
            let batch = batch?;
            let count = batch.dim(0)?;
            sum += discriminator.scores(trunk, &batch, &images.classes[first..first + count])?.iter().sum::<f64>();
            first += count;
        }
        Ok(sum / images.len().max(1) as f64)
    };
    let (training, held_out, samples) = (mean(training)?, mean(held_out)?, mean(samples)?);
    Ok((training > samples).then(|| (training - held_out) / (training - samples)))
}

/// Makes augmentation more probable, if it adapts. Returns a line that says so.
///
/// # Errors
/// A device that fails.
pub(super) fn raise_augmentation(generator: &dyn Generator) -> Result<Option<String>> {
    let Some(discriminator) = generator.discriminator() else { return Ok(None) };
    let raised = discriminator.raise_augmentation(RAISE)?;
    Ok(raised.map(|probability| format!("augmentation is now applied with probability {probability:.2}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_by_their_thresholds() {
        let classes = ["cat".to_owned(), "dog".to_owned()];
        let signs = |variety, least_varied, gap| Signs { variety, least_varied, gap };
        assert_eq!(findings(&signs(0.9, Some((1, 0.8)), Some(0.1)), &classes), Findings::default());
        let overfits = findings(&signs(0.9, None, Some(0.7)), &classes);
        assert!(overfits.raise && overfits.warnings[0].contains("70 %"));
        let few = signs(0.2, Some((1, 0.1)), None);
        let found = findings(&few, &classes);
        assert!(collapsed(&few) && found.warnings.len() == 1 && found.warnings[0].contains("20 %"));
        let one = signs(0.9, Some((1, 0.1)), None);
        let found = findings(&one, &classes);
        assert!(found.raise && !collapsed(&one) && found.warnings[0].contains("`dog`"));
    }
}
