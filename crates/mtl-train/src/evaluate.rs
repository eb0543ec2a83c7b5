//! Scores on held-out images, next to those of the best constant prediction.

use mtl_data::{Dataset, Labels, Size, loader::Loader};
use mtl_metrics::{Baseline, Direction, MetricSet, Prediction, Psnr, Score};
use mtl_task::{Target, Task, TaskKind};
use mtl_tensor::{Ctx, Device, Tensor, to_f64};
use mtl_trunk::Features;

use crate::error::{Error, Result};
use crate::event::TaskScores;
use crate::model::{ImageTask, Model, RECONSTRUCTION};
use crate::plan::Plan;

/// Images the constant prediction of a pixel task is learnt from, of each source in proportion.
const BASELINE_MASKS: usize = 256;

/// The trivial baseline of each task, from training labels alone.
///
/// # Errors
/// A training mask that cannot be read.
pub fn baselines(plan: &Plan) -> Result<Vec<Baseline>> {
    let mut baselines: Vec<Baseline> = plan.schema.tasks.iter().map(|task| Baseline::new(&task.kind)).collect();
    let mut decoded = vec![0; plan.columns.len()];
    for row in mtl_data::sources::spread(&*plan.dataset, &plan.split.train) {
        let labels = plan.dataset.labels(row);
        let mut targets = None;
        for ((baseline, &column), decoded) in baselines.iter_mut().zip(&plan.columns).zip(&mut decoded) {
            match &labels[column] {
                Labels::Class(class) => baseline.learn(&Target::Class(vec![*class as i32]))?,
                Labels::MultiLabel(cells) => {
                    let value = |cell: &Option<bool>| cell.map_or(f32::NAN, |yes| f32::from(u8::from(yes)));
                    baseline.learn(&Target::MultiLabel(cells.iter().map(value).collect()))?;
                }
                Labels::Pixels if *decoded < BASELINE_MASKS => {
                    *decoded += 1;
                    if targets.is_none() {
                        targets = Some(plan.dataset.sample(row, Size { height: 32, width: 32 })?.targets);
                    }
                    if let Some(targets) = &targets {
                        baseline.learn(&targets[column])?;
                    }
                }
                Labels::Pixels | Labels::Missing => {}
            }
        }
    }
    Ok(baselines)
}

/// What a model says about a batch.
#[derive(Debug)]
pub struct Outputs {
    /// Probabilities (or values) of each task, in schema order.
    pub probabilities: Vec<Tensor>,
    /// The decisions that follow.
    pub predictions: Vec<Prediction>,
    /// The image task's reconstruction, if there is one.
    pub reconstruction: Option<Tensor>,
}

/// Runs the model on images `[B, C, H, W]`, averaged over each image and its mirror image if `mirrored`.
///
/// # Errors
/// Shapes that do not fit.
pub fn outputs(model: &Model, images: &Tensor, mirrored: bool) -> Result<Outputs> {
    let cx = Ctx::eval();
    let features = model.trunk.forward(images, &cx)?;
    let turned = if mirrored { Some(model.trunk.forward(&mirror(images)?, &cx)?) } else { None };
    let mut probabilities = Vec::with_capacity(model.heads.len());
    let mut predictions = Vec::with_capacity(model.heads.len());
    for (_, head) in &model.heads {
        let one = |features: &Features| -> Result<Tensor> { Ok(head.probabilities(&head.forward(features, &cx)?)?) };
        let mut p = one(&features)?;
        if let Some(turned) = &turned {
            let other = one(turned)?;
            let other = if other.rank() == 4 { mirror(&other)? } else { other };
            p = ((p + other)? * 0.5)?;
        }
        predictions.push(head.predict(&p)?);
        probabilities.push(p);
    }
    let reconstruction = match (&model.image_task, &model.vae) {
        (Some(ImageTask::Autoencoder(head)), _) => Some(head.forward(&features)?),
        (Some(ImageTask::Vae), Some(vae)) => {
            let mu = vae.encode(&features)?.mu;
            // The decoder is told the class the model itself sees, never the label.
            let seen = match model.condition.map(|at| &predictions[at]) {
                Some(Prediction::Class(classes)) => classes.iter().map(|&class| class as i32).collect(),
                _ => vec![-1; images.dim(0)?],
            };
            Some(vae.decoder().forward(&mu, &seen)?)
        }
        _ => None,
    };
    Ok(Outputs { probabilities, predictions, reconstruction: reconstruction.map(|r| r.detach()) })
}

/// The mirror images: the last dimension backwards.
fn mirror(x: &Tensor) -> Result<Tensor> {
    let width = x.dim(3)? as u32;
    let backwards = Tensor::from_iter((0..width).rev(), x.device())?;
    Ok(x.detach().contiguous()?.index_select(&backwards, 3)?)
}

/// Scores every task on the rows of `loader`. `columns` says where each learnt task stands in the loader's targets, `None`
/// for a task that the data does not label.
///
/// # Errors
/// Images that cannot be read.
pub fn score(
    model: &Model,
    loader: &Loader,
    columns: &[Option<usize>],
    baselines: Option<&[Baseline]>,
    mirrored: bool,
    device: &Device,
) -> Result<Vec<TaskScores>> {
    let kinds: Vec<&TaskKind> = model.heads.iter().map(|(task, _)| &task.kind).collect();
    let mut found: Vec<MetricSet> = kinds.iter().map(|kind| MetricSet::new(kind)).collect();
    let mut trivial = found.clone();
    let mut psnr = Psnr::new();
    for batch in loader.epoch(0, 0)? {
        let batch = batch?;
        let images = Tensor::from_slice(&batch.images, batch.shape.to_vec(), device)?;
        let outputs = outputs(model, &images, mirrored)?;
        let count = batch.rows.len();
        for (at, column) in columns.iter().enumerate() {
            let Some(column) = *column else { continue };
            let truth = &batch.targets[column];
            found[at]
                .add(truth, &outputs.predictions[at], count)
                .map_err(|error| told(error, &model.heads[at].0.name))?;
            if let Some(constant) = baselines.map(|b| b[at].predict(truth)).transpose()?.flatten() {
                trivial[at].add(truth, &constant, count)?;
            }
        }
        if let Some(reconstruction) = &outputs.reconstruction {
            let drawn: Vec<f32> = to_f64(reconstruction)?.into_iter().map(|v| v.clamp(-1.0, 1.0) as f32).collect();
            psnr.add(&batch.images, &drawn, count).map_err(|error| told(error, RECONSTRUCTION))?;
        }
    }
    let mut all: Vec<TaskScores> = Vec::new();
    for (at, (task, _)) in model.heads.iter().enumerate() {
        if columns[at].is_none() {
            continue;
        }
        all.push(TaskScores {
            task: task.name.clone(),
            kind: task.kind.name(),
            scores: deciding_first(&task.kind, found[at].scores()),
            baseline: deciding_first(&task.kind, trivial[at].scores()),
            baseline_words: baselines.and_then(|b| b[at].describe()).unwrap_or_default(),
        });
    }
    let psnr = psnr.scores();
    if !psnr.is_empty() {
        let (task, words) = (RECONSTRUCTION.to_owned(), String::new());
        all.push(TaskScores { task, kind: "image", scores: psnr, baseline: Vec::new(), baseline_words: words });
    }
    Ok(all)
}

/// A prediction that is no number is the model's fault and not the data's.
fn told(error: mtl_metrics::Error, task: &str) -> Error {
    match error {
        mtl_metrics::Error::NonFinite { what, .. } if what != "label" => Error::NotFinite { task: task.to_owned() },
        other => other.into(),
    }
}

/// The score that decides for a kind of task.
fn deciding(kind: &TaskKind) -> &'static str {
    match kind {
        TaskKind::Classification { .. } => "accuracy",
        TaskKind::MultiLabel { .. } => "label_accuracy",
        TaskKind::Segmentation { .. } => "miou",
        TaskKind::Dense { .. } => "rmse",
    }
}

fn deciding_first(kind: &TaskKind, mut scores: Vec<Score>) -> Vec<Score> {
    // Stable: the others stay in their order.
    scores.sort_by_key(|score| score.name != deciding(kind));
    scores
}

/// How much of the way from the trivial baseline (0) to perfect (1) the deciding scores are, averaged over the labelled
/// tasks and each kept between -1 and 1 (where the baseline is nearly perfect the ratio says nothing). Without any label
/// the reconstruction's PSNR, 40 dB counting as 1. What early stopping and the choice of the best checkpoint go by.
pub fn skill(scores: &[TaskScores]) -> f64 {
    let skills: Vec<f64> = scores
        .iter()
        .filter_map(|task| {
            let (own, trivial) = (task.scores.first()?, task.baseline.first()?);
            let way = match own.direction {
                Direction::HigherIsBetter => (own.value - trivial.value) / (1.0 - trivial.value).max(0.01),
                Direction::LowerIsBetter => 1.0 - own.value / trivial.value.max(1e-6),
            };
            Some(way.clamp(-1.0, 1.0))
        })
        .collect();
    if skills.is_empty() {
        let psnr = scores.iter().find(|task| task.kind == "image").and_then(|task| task.scores.first());
        return psnr.map_or(0.0, |score| score.value / 40.0);
    }
    skills.iter().sum::<f64>() / skills.len().max(1) as f64
}

/// Where each learnt task stands in another data set's targets: by name, with the same classes in the same order.
///
/// # Errors
/// No task in common, or one of the same name with other classes.
pub fn match_tasks(tasks: &[Task], other: &dyn Dataset) -> Result<Vec<Option<usize>>> {
    let theirs = &other.schema().tasks;
    let mut columns = Vec::new();
    for task in tasks {
        let at = theirs.iter().position(|their| their.name == task.name);
        if let Some(at) = at
            && theirs[at].kind != task.kind
        {
            let problem = format!(
                "task `{}` is {} with {:?} in the model and {} with {:?} in the data; the two must be the same to be scored",
                task.name,
                task.kind.name(),
                task.kind.classes(),
                theirs[at].kind.name(),
                theirs[at].kind.classes()
            );
            return Err(Error::DataMismatch(problem));
        }
        columns.push(at);
    }
    if columns.iter().all(Option::is_none) {
        let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
        let problem = format!("the data labels none of the model's tasks ({})", names.join(", "));
        return Err(Error::DataMismatch(problem));
    }
    Ok(columns)
}
