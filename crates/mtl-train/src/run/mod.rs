//! Training from the first step to the last, and resuming an interrupted run.

mod collapse;
mod generator;
mod image_counts;
mod joint;
mod samples;
mod session;
pub mod stage;
pub mod stages;
mod training_loop;
mod warm_start;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use mtl_data::check::{framing, sheet};
use mtl_model::Model;
use mtl_tensor::collective::SingleProcess;
use tracing::info_span;

use self::session::Session;
use self::stage::RunContext;
use crate::config::load;
use crate::data::{Plan, identity};
use crate::error::{Error, Remedy, Result, words};
use crate::eval::examples::write_predictions;
use crate::eval::pictures::write_png;
use crate::eval::score::{baselines, score};
use crate::event::{Event, Observer};
use crate::record::{RunRecord, TaskScores};
use crate::store::atomic::write_atomically;
use crate::store::checkpoint::{self, Checkpoint, State};
use crate::store::log::{self, Recorder};
use crate::store::run_dir::{self, RunDir};
use crate::store::{environment, open_device, read_config, read_schema, write_record, write_schema};

/// Trains as configured, in a new run folder. `stop` is read after every step; once it is true a checkpoint is saved and
/// [`Error::Interrupted`] is returned.
///
/// # Errors
/// Anything in [`Error`]; saved checkpoints stay readable.
pub fn train(config: crate::Config, observers: &mut [&mut dyn Observer], stop: &AtomicBool) -> Result<RunRecord> {
    stages::check(&config)?;
    let mut plan = Plan::new(config)?;
    let few_images = image_counts::check(&plan)?;
    let device = open_device(&plan.config.device)?;
    let model = Model::new(&plan.config.model(), &plan.schema, &device)?;
    let mut start = Start::fresh(&mut plan, &model)?;
    start.warnings.extend(few_images);
    let name = plan.config.output.name.clone().unwrap_or_else(|| run_dir::name_of(&plan.schema.data));
    let dir = RunDir::create(&plan.config.output.dir, &name)?;
    // `config.toml` last, because it makes the folder a run: with it, everything else is there.
    let described = write_schema(dir.path(), &plan.schema).and_then(|()| dir.describe(&load::to_toml(&plan.config)?));
    if let Err(error) = described {
        // The folder is empty so far: a full disk must not leave a folder that is not a run.
        let _ = std::fs::remove_dir_all(dir.path());
        return Err(error.advise(Remedy::OtherRunsFolder));
    }
    let inventory = dir.join("inventory.json");
    if let Err(error) = plan.inventory.write(&inventory) {
        // Without it, the next process reads all files again.
        start.warnings.push(Error::io("cannot write", inventory)(error).to_string());
    }
    let baselines = baselines(&plan)?;
    run_with_advice(
        RunContext { plan, model, baselines, dir, device, collective: Box::new(SingleProcess) },
        start,
        observers,
        stop,
    )
}

/// Resumes an interrupted run; the result is bit for bit that of an uninterrupted run.
///
/// # Errors
/// As [`train`]. A finished run is only scored again.
pub fn resume(run: &Path, observers: &mut [&mut dyn Observer], stop: &AtomicBool) -> Result<RunRecord> {
    resume_moved(run, &[], observers, stop)
}

/// Resumes a run whose data lies in the folders `data` now, in the order of the run's folders; none: where it was. Data is
/// recognised by its content, and the run keeps the new place.
///
/// # Errors
/// As [`resume`]; data that differs from that of the start, with counts.
pub fn resume_moved(
    run: &Path,
    data: &[PathBuf],
    observers: &mut [&mut dyn Observer],
    stop: &AtomicBool,
) -> Result<RunRecord> {
    run_dir::check(run)?;
    let dir = RunDir::open(run)?;
    let config = identity::replaced(read_config(run)?, data)?;
    identity::check_present(run, &config)?;
    let recorded = config.data.open.known.clone();
    let mut plan = Plan::new(config)?;
    identity::adopt(&mut plan, &read_schema(run)?, recorded.as_deref()).map_err(|differences| {
        let problem = format!(
            "the data has changed since the run started: {differences}; a run is resumed only with the data it started with: \
             undo these changes, or start a new run from its weights (model.init_from)"
        );
        Error::DataMismatch(format!("{}: {problem}", run.display()))
    })?;
    if !data.is_empty() {
        write_atomically(&dir.join("config.toml"), load::to_toml(&plan.config)?.as_bytes())?;
    }
    let device = open_device(&plan.config.device)?;
    let model = Model::new(&plan.config.model(), &plan.schema, &device)?;
    let mut start = if checkpoint::any(&run.join("checkpoints")) {
        Start::from_last(run, &model)?
    } else {
        // Stopped before anything was saved: the settings are all there is.
        Start::fresh(&mut plan, &model)?
    };
    start.resumed = true;
    if !data.is_empty() {
        start.warnings.extend(plan.inventory.write(&dir.join("inventory.json")).err().map(|error| error.to_string()));
    }
    // A failure to update env.json must not stop the run.
    start.warnings.extend(environment::resumed(run, &start.state).err().map(|error| error.to_string()));
    let baselines = baselines(&plan)?;
    run_with_advice(
        RunContext { plan, model, baselines, dir, device, collective: Box::new(SingleProcess) },
        start,
        observers,
        stop,
    )
}

/// The state that a process starts from; the model already has its weights.
struct Start {
    state: State,
    /// The rest of the checkpoint, if its stage is not finished.
    restored: Option<Checkpoint>,
    resumed: bool,
    /// Nothing is saved yet.
    unsaved: bool,
    warnings: Vec<String>,
}

impl Start {
    fn fresh(plan: &mut Plan, model: &Model) -> Result<Self> {
        let loaded = warm_start::load_weights(plan, model)?;
        plan.notes.extend(loaded.notes);
        let state = State::at_start(&plan.config.stages.run[0]);
        Ok(Self { state, restored: None, resumed: false, unsaved: true, warnings: loaded.warnings })
    }

    fn from_last(run: &Path, model: &Model) -> Result<Self> {
        let (checkpoint, path, warning) = Checkpoint::load_named(&run.join("checkpoints"), "last")?;
        model.params.load(&checkpoint.weights).map_err(|error| Error::Checkpoint { path, problem: words(&error) })?;
        let state = checkpoint.state.clone();
        // The checkpoint of a start has weights, but no state that a stage would resume from; nor has that of a finished stage.
        let restored = (state.step > 0 && !state.stage_finished).then_some(checkpoint);
        Ok(Self { state, restored, resumed: true, unsaved: false, warnings: warning.into_iter().collect() })
    }
}

/// Runs every stage; errors get the advice how the run can be resumed.
fn run_with_advice(
    context: RunContext,
    start: Start,
    observers: &mut [&mut dyn Observer],
    stop: &AtomicBool,
) -> Result<RunRecord> {
    let run = context.dir.path().to_owned();
    let _span = info_span!("run", folder = %run.display()).entered();
    run_stages(context, start, observers, stop).map_err(|error| {
        let saved = checkpoint::any(&run.join("checkpoints"));
        match error {
            Error::Diverged { what, stage, step, advice } => {
                let kept = if saved { "the last good checkpoint is kept" } else { "nothing had been saved yet" };
                Error::Diverged { what, stage, step, advice: format!("; {kept}{advice}") }
            }
            other => other.advise(Remedy::Resume { run, saved }),
        }
    })
}

fn run_stages(
    run: RunContext,
    start: Start,
    observers: &mut [&mut dyn Observer],
    stop: &AtomicBool,
) -> Result<RunRecord> {
    let Start { state, restored, resumed, unsaved, warnings } = start;
    let recorder = Recorder::open(&run.dir, state.metrics_bytes)?;
    let schema = &run.plan.schema;
    let event = Event::Started {
        run: run.dir.path().to_owned(),
        data: schema.data.clone(),
        images: run.plan.split.sizes().iter().sum(),
        size: (schema.height, schema.width),
        parameters: run.model.params.count(),
        labels: run.plan.labels.clone(),
        notes: run.plan.notes.clone(),
        resumed,
    };
    let mut s = Session { run, state, restored, recorder, observers, stop, clock: (Instant::now(), 0.0) };
    s.send(&event);
    s.warn(warnings);
    if !resumed {
        show_data(&mut s)?;
    }
    if unsaved && s.run.plan.config.model.init_from.is_some() {
        // From here on the run does not need the run it takes its weights from, which may change or be deleted.
        s.save(None, None, false)?;
    }
    let order = s.run.plan.config.stages.clone();
    for name in &order.run {
        if resumed && order.passed(name, &s.state.stage, s.state.stage_finished) {
            continue;
        }
        let mut stage = stages::build(name, &mut s.run)?;
        training_loop::run(&mut s, &mut *stage)?;
    }
    finish(s)
}

/// Draws a contact sheet of the data, and says where masks do not seem to fit their images.
fn show_data(s: &mut Session<'_, '_>) -> Result<()> {
    let dataset = Arc::clone(&s.run.plan.dataset);
    let path = s.run.dir.join("samples").join("data.png");
    let drawn = write_png(&path, &sheet::sheet(&*dataset, &sheet::examples(&*dataset))).map(|()| true);
    s.report_picture(path, drawn)?;
    let data = &s.run.plan.config.data;
    if data.path.is_some() || !data.sources.is_empty() {
        s.warn(framing::warnings(&*dataset));
    }
    Ok(())
}

/// Scores the test images, draws pictures, and writes `result.json`.
fn finish(mut s: Session<'_, '_>) -> Result<RunRecord> {
    let scores = test_scores(&s.run)?;
    match write_predictions(&s.run.plan, &s.run.model, s.run.dir.path(), &s.run.device) {
        Ok(pictures) => pictures.into_iter().for_each(|path| s.send(&Event::Picture { path })),
        Err(error) => s.warn([format!("the pictures of predictions are missing: {error}")]),
    }
    // Without a readable log there are no conflicts to sum up.
    let conflicts = log::conflicts(&s.run.dir.join("metrics.jsonl")).unwrap_or_default();
    if !conflicts.is_empty() {
        s.send(&Event::Conflicts { pairs: conflicts.clone() });
    }
    let record = RunRecord {
        run: s.run.dir.path().to_owned(),
        scores,
        conflicts,
        best: s.state.finished.iter().find_map(|stage| stage.best.clone().filter(|best| best.value.skill().is_some())),
        stages: s.state.finished.clone(),
        seconds: s.state.finished.iter().map(|stage| stage.seconds).sum(),
    };
    if let Err(error) = write_record(&record) {
        s.warn([format!("{error}: the run is complete, but has no result.json")]);
    }
    s.send(&Event::Finished(record.clone()));
    Ok(record)
}

/// Scores on the test subset; none without one.
fn test_scores(run: &RunContext) -> Result<Vec<TaskScores>> {
    let plan = &run.plan;
    if plan.split.test.is_empty() {
        return Ok(Vec::new());
    }
    let joint = &plan.config.stages.joint;
    let test = plan.loader(&plan.split.test, joint.batch, "test")?;
    let columns: Vec<Option<usize>> = plan.columns.iter().copied().map(Some).collect();
    score(&run.model, &test, &columns, Some(&run.baselines), joint.flip_tta, &run.device)
}
