//! Labels of a data set that are probably wrong.
//!
//! Images that a run was not trained on are judged by its predictions. Classes of the others are judged by a linear probe on its
//! trunk's features, fitted without the image that it judges; the trunk has still seen that image with its label, so the probe
//! finds fewer wrong labels.

use std::path::Path;
use std::sync::Arc;

use mtl_data::{Dataset, Labels, Loader, loader};
use mtl_metrics::label_quality::{Suspect, confused, mask_quality, suspects};
use mtl_rng::Seed;
use mtl_task::{Target, Task, TaskKind};
use mtl_tensor::{Tensor, to_f64};
use serde::Serialize;

use super::leakage::TrainedOn;
use super::linear_probe::{FOLDS, Features};
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
    /// Images that the run was not trained on: judged by its predictions.
    pub judged: usize,
    /// Images that the run was trained on and that have a class: judged by a linear probe.
    pub judged_by_probe: usize,
    /// All images.
    pub images: usize,
    /// Whether it is known which images the run, and those whose weights it began with, were trained on.
    pub trained_on_known: bool,
    /// Suspicious labels, per task the surest first.
    pub suspects: Vec<SuspectLabel>,
    /// Classes that the linear probe does not tell apart, one sentence per pair.
    pub confused: Vec<String>,
    /// What limits the result.
    pub notes: Vec<String>,
}

/// Where the probability of a label comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judge {
    /// The run's prediction for an image that it was not trained on.
    Run,
    /// The linear probe, fitted without the image.
    Probe,
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
    /// The same for a caption below the image and its labels: `-> rust (0.96)`.
    pub short: String,
    /// Probability of the label that was given; for masks their quality, 0 to 1.
    pub given_probability: f64,
    /// How much more probable the other class is, 0 to 1; for masks 1 less their quality.
    pub margin: f64,
    /// Where the probability comes from.
    pub judge: Judge,
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
    let trained_on = TrainedOn::of(config, schema, own.as_ref())?;
    let doubts: Vec<String> = trained_on.doubts("the judged images").collect();
    found.trained_on_known = doubts.is_empty();
    if !doubts.is_empty() {
        found.notes.extend(doubts);
        found.notes.push("labels of images that were trained on seem right".into());
    }
    let mut learned = Vec::with_capacity(dataset.len());
    for row in 0..dataset.len() {
        learned.push(trained_on.learned(dataset.content_hash(row)?));
    }
    let rows: Vec<usize> = (0..dataset.len()).filter(|&row| !learned[row]).collect();
    found.judged = rows.len();
    if rows.is_empty() {
        found
            .notes
            .push("the run was trained on all of these images: its predictions cannot judge their labels".into());
    } else {
        judge(&trained, &dataset, &columns, rows, &mut found)?;
    }
    probe(&trained, &dataset, &columns, &learned, &mut found)?;
    // Of both judges together, the surest first.
    found.suspects.sort_by(|a, b| b.margin.total_cmp(&a.margin));
    Ok(found)
}

/// Judges classes, and yes and no, by a linear probe.
fn probe(
    trained: &LoadedRun,
    dataset: &Arc<dyn Dataset>,
    columns: &[Option<usize>],
    learned: &[bool],
    found: &mut LabelQuality,
) -> Result<()> {
    let is_class = |kind: &TaskKind| matches!(kind, TaskKind::Classification { .. } | TaskKind::MultiLabel { .. });
    let tasks: Vec<(&Task, usize)> =
        trained.schema.tasks.iter().zip(columns).filter_map(|(task, at)| Some((task, (*at)?))).collect();
    if !tasks.iter().any(|(task, _)| is_class(&task.kind)) {
        return Ok(());
    }
    let features = Features::of(trained, dataset)?;
    let mut judged = vec![false; dataset.len()];
    for (task, column) in tasks {
        let of_row: Vec<Labels> = (0..dataset.len()).map(|row| dataset.labels(row)[column].clone()).collect();
        for question in Question::of(task) {
            let labels: Vec<Option<usize>> = of_row.iter().map(|label| question.label(label)).collect();
            let name = format!("{}/{}", task.name, question.cell.unwrap_or(0));
            let Some(probed) = features.probe(&name, &labels, question.classes.len()) else {
                let what = question.name(task);
                found.notes.push(format!("{what}: too few labelled images for a linear probe of {FOLDS} folds"));
                continue;
            };
            if !probed.rare.is_empty() {
                let rare: Vec<&str> = probed.rare.iter().map(|&class| &*question.classes[class]).collect();
                let what = question.name(task);
                found.notes.push(format!("{what}: too few images for the linear probe: `{}`", rare.join("`, `")));
            }
            for (row, label) in probed.labels.iter().enumerate().filter(|(row, _)| learned[*row]) {
                judged[row] |= label.is_some();
            }
            let suspects = suspects(&probed.labels, &probed.probabilities, question.classes.len());
            for one in suspects.into_iter().filter(|one| learned[one.at]) {
                let (words, short) = (question.words(&one), question.short(&one));
                found.suspects.push(SuspectLabel {
                    image: dataset.row_name(one.at),
                    task: task.name.clone(),
                    words,
                    short,
                    given_probability: one.given_probability,
                    margin: one.suggested_probability - one.given_probability,
                    judge: Judge::Probe,
                });
            }
            let classes = question.classes.len();
            for pair in confused(&probed.labels, &probed.probabilities, classes, FEWEST, CONFUSED) {
                let [a, b] = pair.classes.map(|class| &question.classes[class]);
                found.confused.push(format!(
                    "{}: a linear probe confuses `{a}` and `{b}` in {:.0} % of {} images (95 % interval {:.0} to {:.0} %, 50 % is \
                     chance)",
                    question.name(task),
                    100.0 * (1.0 - pair.balanced_accuracy),
                    pair.images,
                    100.0 * (1.0 - pair.interval[1]),
                    100.0 * (1.0 - pair.interval[0])
                ));
            }
        }
    }
    found.judged_by_probe = judged.into_iter().filter(|judged| *judged).count();
    Ok(())
}

/// One choice between classes: a classification, or a label of a multi-label task.
struct Question<'a> {
    classes: Vec<String>,
    /// The label of a multi-label task, and its name.
    cell: Option<usize>,
    label: Option<&'a str>,
}

impl<'a> Question<'a> {
    fn of(task: &'a Task) -> Vec<Self> {
        match &task.kind {
            TaskKind::Classification { classes } => vec![Self { classes: classes.clone(), cell: None, label: None }],
            TaskKind::MultiLabel { labels } => labels
                .iter()
                .enumerate()
                .map(|(cell, label)| Self {
                    classes: vec!["no".into(), "yes".into()],
                    cell: Some(cell),
                    label: Some(label),
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    fn name(&self, task: &Task) -> String {
        self.label.map_or_else(|| format!("`{}`", task.name), |label| format!("`{label}` of `{}`", task.name))
    }

    /// The class of a row.
    fn label(&self, label: &Labels) -> Option<usize> {
        match (label, self.cell) {
            (Labels::Class(class), None) => Some(*class),
            (Labels::MultiLabel(cells), Some(cell)) => cells[cell].map(usize::from),
            _ => None,
        }
    }

    fn short(&self, one: &Suspect) -> String {
        let label = self.label.map_or_else(String::new, |label| format!("{label}: "));
        format!("-> {label}{} ({:.2})", self.classes[one.suggested], one.suggested_probability)
    }

    fn words(&self, one: &Suspect) -> String {
        let (given, suggested) = (&self.classes[one.given], &self.classes[one.suggested]);
        match self.label {
            None => format!("labelled `{given}`, probably `{suggested}` ({:.2})", one.suggested_probability),
            Some(name) => format!(
                "`{name}` is {given} ({:.2}), probably {suggested} ({:.2})",
                one.given_probability, one.suggested_probability
            ),
        }
    }
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
        let LabelQuality { suspects: found_suspects, notes: found_notes, .. } = found;
        let mut add = |at: usize, (words, short): (String, String), given_probability: f64, margin: f64| {
            found_suspects.push(SuspectLabel {
                image: dataset.row_name(rows[at]),
                task: task.name.clone(),
                words,
                short,
                given_probability,
                margin,
                judge: Judge::Run,
            });
        };
        match &task.kind {
            TaskKind::Classification { .. } | TaskKind::MultiLabel { .. } => {
                for question in Question::of(task) {
                    let labels: Vec<Option<usize>> = labels.iter().map(|label| question.label(label)).collect();
                    let probabilities = match question.cell {
                        None => {
                            found_notes.extend(strength(
                                &task.name,
                                &labels,
                                &judged.probabilities,
                                question.classes.len(),
                            ));
                            judged.probabilities.clone()
                        }
                        Some(cell) => {
                            let of_cell = judged.probabilities.iter().skip(cell).step_by(task.kind.outputs());
                            of_cell.flat_map(|&p| [1.0 - p, p]).collect()
                        }
                    };
                    for one in suspects(&labels, &probabilities, question.classes.len()) {
                        let margin = one.suggested_probability - one.given_probability;
                        add(one.at, (question.words(&one), question.short(&one)), one.given_probability, margin);
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
                    add(at, (words, format!("{:.0} % agree", 100.0 * agreeing)), quality, 1.0 - quality);
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
