//! Whole runs on tiny scenes: guarantees of runs, through the public interface.

mod finetuned;
mod generated;
mod generating;
mod generation;
mod label_quality;
mod metrics;
mod moved;
mod numbers;
mod other_data;
mod predicting;
mod resuming;
mod routes;
mod runs;
mod sources;
mod warm_start;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use mtl_train::config::{Config, load};
use mtl_train::event::{Event, Observer};

/// A run that takes seconds: 48 scenes of 32x32, networks a few channels wide.
fn tiny(dir: &Path, more: &[&str]) -> Config {
    let out = format!("output.dir=\"{}\"", dir.display());
    let mut overrides: Vec<String> = [
        "size=32",
        "data.scenes.count=48",
        "data.scenes.size=32",
        "data.loader.workers=2",
        "model.trunk.resnet.widths=[8,8,16]",
        "model.trunk.resnet.blocks=1",
        "objectives.reconstruction.generator.images=4",
        "generators.vae.vae.decoder.latent=8",
        "generators.gan.gan.decoder.latent=8",
        "stages.joint.batch=8",
        "stages.vae.batch=8",
        "stages.gan.batch=8",
        "budget.steps=6",
        "stages.vae.steps=3",
        "stages.gan.steps=3",
        "stages.joint.validations=2",
        "output.pictures=2",
    ]
    .map(str::to_owned)
    .to_vec();
    overrides.push(out);
    overrides.extend(more.iter().map(|text| (*text).to_owned()));
    load::load("small", None, &overrides).unwrap()
}

/// Trains without observers; returns the run folder.
fn trained(config: Config) -> PathBuf {
    mtl_train::train(config, &mut [], &AtomicBool::new(false)).unwrap().run
}

/// The settings for a run that takes its initial weights from `run`.
fn init_from(run: &Path, more: &[&str]) -> Config {
    let base = mtl_train::store::read_config(run).unwrap();
    let more: Vec<String> = more.iter().map(|text| (*text).to_owned()).collect();
    load::load_from(run, base, None, &more).unwrap()
}

/// Sets the stop flag after a step of a stage, as Ctrl-C would.
struct StopAt<'a> {
    stage: &'static str,
    step: u64,
    flag: &'a AtomicBool,
}

impl Observer for StopAt<'_> {
    fn event(&mut self, event: &Event) {
        if let Event::Step { stage, step, .. } = event
            && (stage.as_str(), *step) == (self.stage, self.step)
        {
            self.flag.store(true, Ordering::Relaxed);
        }
    }
}

/// The SHA-256 a checkpoint's manifest gives for a file.
fn hash(run: &Path, name: &str, file: &str) -> String {
    let text = std::fs::read_to_string(run.join("checkpoints").join(name).join("MANIFEST.json")).unwrap();
    let at = text.find(&format!("\"{file}\"")).unwrap();
    let rest = &text[at..];
    rest[rest.find("sha256").unwrap() + 10..][..64].to_owned()
}

/// The lines of `metrics.jsonl`, without the keys that depend on the clock.
fn metrics(run: &Path) -> String {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().filter(|line| !line.contains("took_s")).collect::<Vec<_>>().join("\n")
}
