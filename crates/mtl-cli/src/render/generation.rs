//! Scores of a run's generators.

use mtl_metrics::generation::GenerationScore;
use mtl_train::{GenerationEvaluation, NetworkScores};

use super::table::bordered;

/// A table with a line per network and score: each generator's value, and the floor, that of real training images.
pub fn generators(found: &GenerationEvaluation) -> String {
    let names = found.generators.iter().map(|generator| generator.generator.clone());
    let head = ["network".to_owned(), "score".to_owned()].into_iter().chain(names);
    let columns = found.generators.len();
    let mut table = bordered(head.chain(["real images".to_owned()]).collect::<Vec<_>>(), 2..3 + columns);
    let first = found.generators.first().map_or(&[][..], |generator| &generator.networks[..]);
    for network in first {
        for (index, score) in network.scores.iter().enumerate() {
            let of = |networks: &[NetworkScores]| {
                let own = networks.iter().find(|other| other.network == network.network);
                let same = own.and_then(|own| own.scores.iter().find(|other| other.name == score.name));
                same.map_or_else(|| "-".to_owned(), value)
            };
            let mut row = vec![if index == 0 { network.network.clone() } else { String::new() }, name(score)];
            row.extend(found.generators.iter().map(|generator| of(&generator.networks)));
            row.push(of(&found.floor));
            table.add_row(row);
        }
    }
    let mut last = |label: &str, value: &dyn Fn(&mtl_metrics::generation::Memorisation) -> f64, real: f64| {
        let mut row = vec![String::new(), label.to_owned()];
        row.extend(found.generators.iter().map(|generator| format!("{:.3}", value(&generator.memorisation))));
        row.push(format!("{real:.3}"));
        table.add_row(row);
    };
    if let Some(memorisation) = found.generators.first().map(|generator| &generator.memorisation) {
        last("copies of training images \u{2193}", &|found| found.copies, memorisation.real_copies);
        last("distance to training / held-out", &|found| found.ratio, memorisation.real_ratio);
    }
    table.trim_fmt()
}

/// Lines about the evaluator and its accuracy on samples.
pub fn classifiers(found: &GenerationEvaluation) -> Vec<String> {
    let Some(evaluator) = &found.evaluator else { return Vec::new() };
    let mut lines = vec![format!(
        "evaluator: classifier of `{}`, trained on {} real images, accuracy {:.3} on {} held-out ones (sha256 {})",
        evaluator.task,
        found.training,
        evaluator.accuracy.value,
        evaluator.accuracy.n,
        &evaluator.sha256[..12.min(evaluator.sha256.len())]
    )];
    for generator in &found.generators {
        let Some(classifier) = &generator.classifier else { continue };
        let mut line = format!(
            "{}: the evaluator assigns {:.3} of {} samples to the class they were sampled for",
            generator.generator, classifier.samples.value, classifier.samples.n
        );
        if let Some(score) = &classifier.trained_on_samples {
            line += &format!(
                "; the same classifier trained on samples alone has accuracy {:.3} on {} held-out images (CAS)",
                score.value, score.n
            );
        }
        lines.push(line);
    }
    lines
}

/// The line about the weights of Inception-v3.
pub fn inception(found: &GenerationEvaluation) -> Option<String> {
    let inception = found.inception.as_ref()?;
    let hash = &inception.sha256[..12.min(inception.sha256.len())];
    Some(format!("inception: {} (sha256 {hash}); images resized {}", inception.file.display(), inception.resize))
}

/// Name with its direction, and the number of classes of a mean over classes.
fn name(score: &GenerationScore) -> String {
    let classes = score.classes.map_or(String::new(), |classes| format!(" ({} of {})", classes.scored, classes.all));
    format!("{} {}{classes}", score.name, score.direction.arrow())
}

fn value(score: &GenerationScore) -> String {
    let spread = score.spread.map_or(String::new(), |spread| format!(" \u{b1} {spread:.4}"));
    format!("{:.4}{spread}", score.value)
}
