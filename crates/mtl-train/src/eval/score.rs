//! Scores on held-out images, next to those of the baseline (the best constant prediction of each score).

use mtl_data::loader::Loader;
use mtl_metrics::{Baseline, BaselineScores, primary_first, skill_score};
use mtl_model::Model;
use mtl_tensor::{Device, Tensor};

use crate::data::Plan;
use crate::error::{Error, Result};
use crate::record::TaskScores;

/// The baseline of each task, from the labels of training images that are not generated.
///
/// # Errors
/// Labels that do not fit their task.
pub fn baselines(plan: &Plan) -> Result<Vec<Baseline>> {
    let mut baselines: Vec<Baseline> = plan.schema.tasks.iter().map(|task| Baseline::new(&task.kind)).collect();
    for row in plan.real_training_rows() {
        for (baseline, &column) in baselines.iter_mut().zip(&plan.columns) {
            baseline.learn(&plan.inventory.target(row, column))?;
        }
    }
    Ok(baselines)
}

/// Scores every objective on the rows of `loader`. `columns` are the positions of the model's tasks in the loader's targets,
/// `None` for a task that the data does not label.
///
/// # Errors
/// Images that cannot be read; [`Error::NonFinitePrediction`].
pub fn score(
    model: &Model,
    loader: &Loader,
    columns: &[Option<usize>],
    baselines: Option<&[Baseline]>,
    flip_tta: bool,
    device: &Device,
) -> Result<Vec<TaskScores>> {
    let mut found: Vec<_> = model.objectives.iter().map(|objective| objective.metrics()).collect();
    let mut constant: Vec<Option<BaselineScores<'_>>> =
        (0..found.len()).map(|at| baselines.and_then(|all| all.get(at)?.scores())).collect();
    for batch in loader.epoch(0, 0)? {
        let batch = batch?;
        let images = Tensor::from_slice(&batch.images, batch.shape.to_vec(), device)?;
        let outputs = model.outputs(&images, flip_tta)?;
        let count = batch.rows.len();
        for (at, output) in outputs.0.iter().enumerate() {
            let truth = columns.get(at).copied().flatten().map(|column| &batch.targets[column]);
            found[at]
                .add(truth, &batch.images, output, count)
                .map_err(|error| non_finite_is_model_error(error, model, at))?;
            if let (Some(truth), Some(constant)) = (truth, &mut constant[at]) {
                constant.add(truth, count)?;
            }
        }
    }
    let mut all = Vec::new();
    for (at, objective) in model.objectives.iter().enumerate() {
        let task = objective.labelled().map(|labelled| labelled.task);
        let scores = found[at].scores(task);
        if task.is_some() && columns[at].is_none() || task.is_none() && scores.is_empty() {
            continue;
        }
        all.push(TaskScores {
            task: objective.name().to_owned(),
            kind: task.map_or("image", |task| task.kind.name()).to_owned(),
            scores,
            baseline: task
                .zip(constant[at].as_ref())
                .map_or(Vec::new(), |(task, constant)| primary_first(&task.kind, constant.scores())),
            baseline_words: task.and(baselines).and_then(|all| all[at].describe()).unwrap_or_default(),
        });
    }
    Ok(all)
}

/// A prediction that is not a number is an error of the model and not of the data.
fn non_finite_is_model_error(error: mtl_model::Error, model: &Model, at: usize) -> Error {
    match error {
        mtl_model::Error::Metrics(mtl_metrics::Error::NonFinite { what, .. }) if what != "label" => {
            Error::NonFinitePrediction { task: model.objectives[at].name().to_owned() }
        }
        other => other.into(),
    }
}

/// Mean [skill score](skill_score) of the labelled tasks: 0 is the baseline, 1 perfect. Without any label, the PSNR of the
/// reconstruction divided by 40 dB. Early stopping and the best checkpoint depend on it.
pub fn mean_skill(scores: &[TaskScores]) -> f64 {
    let skills: Vec<f64> =
        scores.iter().filter_map(|task| Some(skill_score(task.scores.first()?, task.baseline.first()?))).collect();
    if skills.is_empty() {
        let psnr = scores.iter().find(|task| task.kind == "image").and_then(|task| task.scores.first());
        return psnr.map_or(0.0, |score| score.value / 40.0);
    }
    skills.iter().sum::<f64>() / skills.len() as f64
}
