//! Training from the first step to the last, and going on where a run stopped.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use mtl_data::sources::spread;
use mtl_metrics::Prediction;
use mtl_task::Target;
use mtl_tensor::Tensor;

use crate::checkpoint::{Checkpoint, State, write_atomically};
use crate::config::{Config, Stage};
use crate::conflict::summary_of;
use crate::error::{Error, Result, words};
use crate::evaluate::{baselines, outputs, score};
use crate::event::{Event, Observer};
use crate::model::Model;
use crate::pictures::{Tile, compared, write_grid};
use crate::plan::Plan;
use crate::record::Recorder;
use crate::run_dir::{self, RunDir};
use crate::session::Session;
use crate::{environment, generation, joint, settings, start};

/// Test images shown with their predictions.
const SHOWN: usize = 8;

/// Trains as configured, in a new run folder. `stop` is looked at after every step; once it is true everything is saved
/// and [`Error::Interrupted`] comes back.
///
/// # Errors
/// Anything in [`Error`]; whatever had been saved stays readable.
pub fn train(config: Config, observers: &mut [&mut dyn Observer], stop: &AtomicBool) -> Result<PathBuf> {
    let mut plan = Plan::new(config)?;
    let device = mtl_tensor::device::parse(&plan.config.device).map_err(|error| Error::setting("device", &error))?;
    let model = Model::new(&plan.config, &plan.schema, &device)?;
    // The balancer is built again by the stage; here it only has to be possible.
    plan.config.balancer.build(&crate::step::balanced_tasks(&model))?;
    let begin = Begin::anew(&mut plan, &model)?;
    let name = plan.config.output.name.clone().unwrap_or_else(|| plan.schema.data.clone());
    let dir = RunDir::create(&plan.config.output.dir, &name)?;
    let schema = serde_json::to_vec_pretty(&plan.schema).map_err(|error| Error::Config(error.to_string()))?;
    // `config.toml` last, because it makes the folder a run: whoever finds it finds the rest.
    let described = write_atomically(&dir.join("schema.json"), &schema)
        .and_then(|()| dir.describe(&settings::to_toml(&plan.config)?));
    if let Err(error) = described {
        // Nothing is in it yet: a full disk must not leave a folder that is no run.
        let _ = std::fs::remove_dir_all(dir.path());
        return Err(error.advise(|| "choose another folder with `--set output.dir=DIR`".into()));
    }
    go(plan, model, device, dir, begin, observers, stop)
}

/// Goes on with an interrupted run, bit for bit as if it had never stopped.
///
/// # Errors
/// As [`train`]. A run that is finished is only scored again.
pub fn resume(run: &Path, observers: &mut [&mut dyn Observer], stop: &AtomicBool) -> Result<PathBuf> {
    run_dir::check(run)?;
    let dir = RunDir::open(run)?;
    let mut plan = Plan::new(settings::read_resolved(&run.join("config.toml"))?)?;
    let saved = crate::trained::read_schema(run)?;
    if saved != plan.schema {
        let problem = "the data has changed since the run began (other images, tasks, classes or labels); a run goes on only with the data it began with";
        return Err(Error::DataMismatch(format!("{}: {problem}", run.display())));
    }
    let device = mtl_tensor::device::parse(&plan.config.device).map_err(|error| Error::setting("device", &error))?;
    let model = Model::new(&plan.config, &plan.schema, &device)?;
    let mut begin = if crate::checkpoint::any(&run.join("checkpoints")) {
        Begin::at_last(run, &model)?
    } else {
        // Stopped before anything was saved: the settings say all there is.
        Begin::anew(&mut plan, &model)?
    };
    begin.resumed = true;
    // A run is worth more than its papers.
    begin.warnings.extend(environment::resumed(run, &begin.state).err().map(|error| error.to_string()));
    go(plan, model, device, dir, begin, observers, stop)
}

/// Where a process begins to work on a run; the model already has its weights.
struct Begin {
    state: State,
    /// The rest of the checkpoint, if some of its stage is done.
    restored: Option<Checkpoint>,
    resumed: bool,
    /// Nothing is saved yet.
    unsaved: bool,
    warnings: Vec<String>,
}

impl Begin {
    fn anew(plan: &mut Plan, model: &Model) -> Result<Self> {
        let start = start::weights(plan, model)?;
        plan.notes.extend(start.notes);
        let state = State::at_start(plan.config.stages[0]);
        Ok(Self { state, restored: None, resumed: false, unsaved: true, warnings: start.warnings })
    }

    fn at_last(run: &Path, model: &Model) -> Result<Self> {
        let (checkpoint, path, warning) = Checkpoint::load_named(&run.join("checkpoints"), "last")?;
        model.params.load(&checkpoint.weights).map_err(|error| Error::Checkpoint { path, problem: words(&error) })?;
        let state = checkpoint.state.clone();
        // Of a start there are weights, but nothing that a stage would go on with.
        let restored = (state.step > 0 || state.stage_finished).then_some(checkpoint);
        Ok(Self { state, restored, resumed: true, unsaved: false, warnings: warning.into_iter().collect() })
    }
}

/// Runs every stage that is not behind. Where a file cannot be written, says how the run can go on.
fn go(
    plan: Plan,
    model: Model,
    device: mtl_tensor::Device,
    dir: RunDir,
    begin: Begin,
    observers: &mut [&mut dyn Observer],
    stop: &AtomicBool,
) -> Result<PathBuf> {
    let run = dir.path().to_owned();
    stages(plan, model, device, dir, begin, observers, stop).map_err(|error| {
        let saved = crate::checkpoint::any(&run.join("checkpoints"));
        match error {
            Error::Diverged { what, stage, step, advice } => {
                let kept = if saved { "the last good checkpoint is kept" } else { "nothing had been saved yet" };
                Error::Diverged { what, stage, step, advice: format!("; {kept}{advice}") }
            }
            other if saved => other.advise(|| {
                format!("what was saved before is untouched, `mtl resume {}` goes on from it", run.display())
            }),
            other => {
                other.advise(|| format!("nothing had been saved yet, `mtl resume {}` starts again", run.display()))
            }
        }
    })
}

fn stages(
    plan: Plan,
    model: Model,
    device: mtl_tensor::Device,
    dir: RunDir,
    begin: Begin,
    observers: &mut [&mut dyn Observer],
    stop: &AtomicBool,
) -> Result<PathBuf> {
    let Begin { state, restored, resumed, unsaved, warnings } = begin;
    let recorder = Recorder::open(&dir, state.metrics_bytes)?;
    let baselines = baselines(&plan)?;
    let mut s = Session {
        plan,
        model,
        baselines,
        dir,
        device,
        state,
        restored: restored.filter(|checkpoint| !checkpoint.state.stage_finished),
        recorder,
        observers,
        stop,
        clock: (Instant::now(), 0.0),
        balancer: mtl_balance::State::new(),
    };
    let event = Event::Started {
        run: s.dir.path().to_owned(),
        data: s.plan.schema.data.clone(),
        size: (s.plan.schema.height, s.plan.schema.width),
        parameters: s.model.params.count(),
        labels: s.plan.labels.clone(),
        notes: s.plan.notes.clone(),
        resumed,
    };
    s.tell(&event);
    for message in warnings {
        s.tell(&Event::Warning { message });
    }
    if unsaved && s.plan.config.model.from.is_some() {
        // From here on the run no longer needs the one it begins with, which may change or go.
        s.save(None, &[], false)?;
    }
    for stage in s.plan.config.stages.clone() {
        let behind = resumed && (stage < s.state.stage || (stage == s.state.stage && s.state.stage_finished));
        if behind {
            continue;
        }
        let ended = match stage {
            Stage::Joint => joint::run(&mut s),
            Stage::Vae | Stage::Gan => generation::run(&mut s, stage),
        };
        ended.map_err(|error| match error {
            Error::NotFinite { task } => {
                crate::step::diverged(format!("the prediction of task `{task}`"), stage.name(), s.state.step)
            }
            other => other,
        })?;
    }
    let columns: Vec<Option<usize>> = s.plan.columns.iter().copied().map(Some).collect();
    let scores = if s.plan.split.test.is_empty() {
        Vec::new()
    } else {
        let test = s.plan.loader(&s.plan.split.test, s.plan.config.joint.batch, false, "test")?;
        score(&s.model, &test, &columns, Some(&s.baselines), s.plan.config.joint.mirrored, &s.device)?
    };
    let took = Duration::from_secs_f64(s.state.earlier_s + s.state.stage_s);
    let run = s.dir.path().to_owned();
    if let Err(error) = show_predictions(&mut s) {
        s.tell(&Event::Warning { message: format!("the pictures of predictions are missing: {error}") });
    }
    // A log that could not be written has told nothing to sum up.
    let pairs = summary_of(&s.dir.join("metrics.jsonl")).unwrap_or_default();
    if !pairs.is_empty() {
        s.tell(&Event::Conflicts { pairs });
    }
    s.tell(&Event::Finished { run: run.clone(), scores, took });
    Ok(run)
}

/// `predictions/TASK.png`: image | truth | prediction for pixel tasks, images in a green (right) or red (wrong) frame for
/// class tasks.
fn show_predictions(s: &mut Session<'_, '_>) -> Result<()> {
    let (height, width) = (s.plan.schema.height, s.plan.schema.width);
    for (at, task) in s.plan.schema.tasks.clone().iter().enumerate() {
        let labelled = |row: &&usize| s.plan.dataset.labels(**row)[s.plan.columns[at]] != mtl_data::Labels::Missing;
        let pixel_task =
            matches!(task.kind, mtl_task::TaskKind::Segmentation { .. } | mtl_task::TaskKind::Dense { .. });
        let shown = if pixel_task { SHOWN } else { SHOWN * SHOWN };
        let rows: Vec<usize> = s.plan.split.test.iter().filter(labelled).copied().collect();
        let rows: Vec<usize> = spread(&*s.plan.dataset, &rows).into_iter().take(shown).collect();
        if rows.is_empty() {
            continue;
        }
        let batch = mtl_data::loader::batch_of(&*s.plan.dataset, &rows, s.plan.schema.size())?;
        let images = Tensor::from_slice(&batch.images, batch.shape.to_vec(), &s.device)?;
        let outputs = outputs(&s.model, &images, s.plan.config.joint.mirrored)?;
        let (truth, predicted) = (&batch.targets[s.plan.columns[at]], &outputs.predictions[at]);
        let mut grid = Vec::new();
        for (row, tile) in crate::pictures::tiles(&images)?.into_iter().enumerate() {
            if let Some(pair) = compared(truth, predicted, row, height, width) {
                grid.push(tile);
                grid.extend(pair);
            } else {
                grid.push(tile.framed(if agrees(truth, predicted, row, rows.len()) {
                    [0, 158, 115]
                } else {
                    [213, 94, 0]
                }));
            }
        }
        let columns = if pixel_task { 6 } else { SHOWN };
        let path = s.dir.join(format!("predictions/{}.png", file_name(&task.name)));
        write_grid(&path, &grid, columns)?;
        s.tell(&Event::Picture { path });
    }
    let rows: Vec<usize> = spread(&*s.plan.dataset, &s.plan.split.test).into_iter().take(SHOWN).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let batch = mtl_data::loader::batch_of(&*s.plan.dataset, &rows, s.plan.schema.size())?;
    let images = Tensor::from_slice(&batch.images, batch.shape.to_vec(), &s.device)?;
    if let Some(drawn) = outputs(&s.model, &images, false)?.reconstruction {
        let pairs = crate::pictures::tiles(&images)?.into_iter().zip(crate::pictures::tiles(&drawn)?);
        let grid: Vec<Tile> = pairs.flat_map(|(image, drawn)| [image, drawn]).collect();
        let path = s.dir.join("predictions/reconstruction.png");
        write_grid(&path, &grid, 8)?;
        s.tell(&Event::Picture { path });
    }
    Ok(())
}

/// Whether a decision about a whole image is right; for several labels, all of those that are known.
fn agrees(truth: &Target, predicted: &Prediction, at: usize, images: usize) -> bool {
    match (truth, predicted) {
        (Target::Class(truth), Prediction::Class(predicted)) => truth[at] == predicted[at] as i32,
        (Target::MultiLabel(truth), Prediction::MultiLabel(predicted)) => {
            let labels = truth.len() / images.max(1);
            let range = at * labels..(at + 1) * labels;
            truth[range.clone()]
                .iter()
                .zip(&predicted[range])
                .all(|(truth, &yes)| truth.is_nan() || (*truth > 0.5) == yes)
        }
        _ => false,
    }
}

/// A task's name as a file name.
pub(crate) fn file_name(task: &str) -> String {
    task.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' }).collect()
}
