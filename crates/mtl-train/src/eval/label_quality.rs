//! Labels of a data set that are probably wrong, as a trained run sees them on images it was not trained on.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use mtl_data::{Dataset, Labels, Loader, loader};
use mtl_metrics::label_quality::{confused, mask_quality, suspects};
use mtl_rng::Seed;
use mtl_task::{Target, TaskKind};
use mtl_tensor::{Tensor, to_f64};
use serde::Serialize;

use crate::data::{Plan, identity, size_of, sources};
use crate::error::Result;
use crate::store::LoadedRun;

/// Two classes are reported as not distinguished below this balanced accuracy, with so many images each.
const CONFUSED: f64 = 0.6;
const FEWEST: usize = 10;
/// Share of the masks that are listed.
const WORST_MASKS: f64 = 0.03;

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LabelQuality {
    /// Images that were judged, and all images.
    pub judged: usize,
    /// See `judged`.
    pub images: usize,
    /// Whether it is known which images the run was trained on; those are not judged.
    pub trained_on_known: bool,
    /// Suspicious labels, per task the surest first.
    pub suspects: Vec<SuspectLabel>,
    /// Classes that the run does not tell apart, one sentence per pair.
    pub confused: Vec<String>,
    /// What limits the result.
    pub notes: Vec<String>,
}

/// A label that is probably wrong.
#[derive(Clone, Debug, Serialize)]
pub struct SuspectLabel {
    /// Name of the row.
    pub image: String,
    /// The task.
    pub task: String,
    /// The label, and what it more probably should be.
    pub words: String,
    /// Probability of the label that was given; for masks their quality, 0 to 1.
    pub given_probability: f64,
}

/// Judges the labels of the data at `path` by the run.
///
/// # Errors
/// A run or data that cannot be read, or that do not fit each other.
pub fn label_quality(run: &Path, path: &Path, device: Option<&str>) -> Result<LabelQuality> {
    let trained = LoadedRun::load_with_inventory(run, device)?;
    let (config, schema) = (&trained.config, &trained.schema);
    let matched = sources::open_like(config, schema, path)?;
    let columns = matched.columns();
    let differences = matched.differences().to_vec();
    let dataset: Arc<dyn Dataset> = Arc::new(matched);
    let mut found = LabelQuality { images: dataset.len(), notes: differences, ..LabelQuality::default() };
    let own = Plan::new(config.clone()).ok().filter(|plan| plan.schema == *schema);
    let own = own.or_else(|| identity::moved(config, schema, path));
    found.trained_on_known = own.is_some();
    let mut learned = HashSet::new();
    match &own {
        Some(plan) => {
            for &row in &plan.split.train {
                learned.extend(plan.dataset.content_hash(row)?);
            }
        }
        None => found.notes.push(
            "the run's own data is gone or has changed: images it was trained on cannot be told, and their labels seem right"
                .into(),
        ),
    }
    let mut rows = Vec::new();
    for row in 0..dataset.len() {
        if dataset.content_hash(row)?.is_none_or(|hash| !learned.contains(&hash)) {
            rows.push(row);
        }
    }
    found.judged = rows.len();
    if rows.is_empty() {
        found.notes.push("the run was trained on all of these images: no label can be judged".into());
        return Ok(found);
    }
    judge(&trained, &dataset, &columns, rows, &mut found)?;
    Ok(found)
}

/// Probabilities and labels of one task.
#[derive(Default)]
struct Judged {
    probabilities: Vec<f64>,
    masks: Vec<Option<(f64, f64)>>,
}

fn judge(
    trained: &LoadedRun,
    dataset: &Arc<dyn Dataset>,
    columns: &[Option<usize>],
    rows: Vec<usize>,
    found: &mut LabelQuality,
) -> Result<()> {
    let (config, schema) = (&trained.config, &trained.schema);
    let plain = loader::Config::plain(config.stages.joint.batch);
    let loader = Loader::new(Arc::clone(dataset), rows.clone(), size_of(schema), plain, Seed::new(0))?;
    let mut judged: Vec<Judged> = schema.tasks.iter().map(|_| Judged::default()).collect();
    for batch in loader.epoch(0, 0)? {
        let batch = batch?;
        let images = Tensor::from_slice(&batch.images, batch.shape.to_vec(), &trained.device)?;
        let outputs = trained.model.outputs(&images, config.stages.joint.flip_tta)?;
        for (at, (probabilities, _)) in outputs.tasks().enumerate() {
            let Some(column) = columns[at] else { continue };
            match &batch.targets[column] {
                Target::Class(_) | Target::MultiLabel(_) => judged[at].probabilities.extend(to_f64(probabilities)?),
                Target::Mask(mask) => {
                    let classes = schema.tasks[at].kind.outputs();
                    judged[at].masks.extend(masks(&to_f64(probabilities)?, mask, classes, batch.rows.len()));
                }
                _ => {}
            }
        }
    }
    for ((task, column), judged) in schema.tasks.iter().zip(columns).zip(&judged) {
        let Some(column) = *column else { continue };
        let labels: Vec<Labels> = rows.iter().map(|&row| dataset.labels(row)[column].clone()).collect();
        let mut add = |at: usize, words: String, given_probability: f64| {
            found.suspects.push(SuspectLabel {
                image: dataset.row_name(rows[at]),
                task: task.name.clone(),
                words,
                given_probability,
            });
        };
        match &task.kind {
            TaskKind::Classification { classes } => {
                let class = |label: &Labels| match label {
                    Labels::Class(class) => Some(*class),
                    _ => None,
                };
                let labels: Vec<Option<usize>> = labels.iter().map(class).collect();
                found.notes.extend(strength(&task.name, &labels, &judged.probabilities, classes.len()));
                for one in suspects(&labels, &judged.probabilities, classes.len()) {
                    let (given, suggested) = (&classes[one.given], &classes[one.suggested]);
                    let words =
                        format!("labelled `{given}`, probably `{suggested}` ({:.2})", one.suggested_probability);
                    add(one.at, words, one.given_probability);
                }
                for pair in confused(&labels, &judged.probabilities, classes.len(), FEWEST, CONFUSED) {
                    let [a, b] = pair.classes.map(|class| &classes[class]);
                    found.confused.push(format!(
                        "`{}`: `{a}` and `{b}` are not told apart (balanced accuracy {:.2} on {} images; 0.5 is chance)",
                        task.name, pair.balanced_accuracy, pair.images
                    ));
                }
            }
            TaskKind::MultiLabel { labels: names } => {
                for (cell, name) in names.iter().enumerate() {
                    let yes = |label: &Labels| match label {
                        Labels::MultiLabel(cells) => cells[cell].map(usize::from),
                        _ => None,
                    };
                    let labels: Vec<Option<usize>> = labels.iter().map(yes).collect();
                    let of_cell = judged.probabilities.iter().skip(cell).step_by(names.len());
                    let both: Vec<f64> = of_cell.flat_map(|&p| [1.0 - p, p]).collect();
                    for one in suspects(&labels, &both, 2) {
                        let word = |class: usize| if class == 1 { "yes" } else { "no" };
                        let (given, other) = (word(one.given), word(one.suggested));
                        let words = format!(
                            "`{name}` is {given} ({:.2}), probably {other} ({:.2})",
                            one.given_probability, one.suggested_probability
                        );
                        add(one.at, words, one.given_probability);
                    }
                }
            }
            TaskKind::Segmentation { .. } => {
                let mut worst: Vec<(usize, (f64, f64))> =
                    judged.masks.iter().enumerate().filter_map(|(at, quality)| Some((at, (*quality)?))).collect();
                worst.sort_by(|a, b| a.1.0.total_cmp(&b.1.0).then(a.0.cmp(&b.0)));
                let shown = (worst.len() as f64 * WORST_MASKS).ceil() as usize;
                for (at, (quality, agreeing)) in worst.into_iter().take(shown) {
                    let words = format!(
                        "of {} masks among those that fit least: {:.0} % of its pixels agree",
                        judged.masks.len(),
                        100.0 * agreeing
                    );
                    add(at, words, quality);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// How far the run's answers agree with the labels: a weak run suspects many right ones.
fn strength(task: &str, labels: &[Option<usize>], probabilities: &[f64], classes: usize) -> Option<String> {
    let mut counts = vec![0_usize; classes];
    let mut agreeing = 0;
    for (label, row) in labels.iter().zip(probabilities.chunks_exact(classes.max(1))) {
        let Some(label) = *label else { continue };
        counts[label] += 1;
        agreeing += usize::from((0..classes).all(|class| row[class] <= row[label]));
    }
    let all = counts.iter().sum::<usize>();
    let most = *counts.iter().max()?;
    if all == 0 {
        return None;
    }
    let percent = |count: usize| 100.0 * count as f64 / all as f64;
    let weak = 2 * agreeing < all + most;
    let words = if weak { "; a run this weak suspects many right labels" } else { "" };
    Some(format!(
        "`{task}`: the run agrees with {:.0} % of these labels, the most frequent class with {:.0} %{words}",
        percent(agreeing),
        percent(most)
    ))
}

/// Quality and share of agreeing pixels of each mask in a batch; `None` for one without labelled pixels.
fn masks(probabilities: &[f64], mask: &[u8], classes: usize, count: usize) -> Vec<Option<(f64, f64)>> {
    let plane = mask.len() / count.max(1);
    let of_image = |image: usize| {
        let p = |class: usize, at: usize| probabilities[(image * classes + class) * plane + at];
        let labelled = (0..plane).filter(|&at| mask[image * plane + at] != Target::NO_PIXEL);
        let given = labelled.clone().map(|at| p(usize::from(mask[image * plane + at]), at));
        let agrees = |at: &usize| {
            let given = usize::from(mask[image * plane + at]);
            (0..classes).all(|class| p(class, *at) <= p(given, *at))
        };
        let share = labelled.clone().filter(agrees).count() as f64 / labelled.count().max(1) as f64;
        mask_quality(given).map(|quality| (quality, share))
    };
    (0..count).map(of_image).collect()
}
