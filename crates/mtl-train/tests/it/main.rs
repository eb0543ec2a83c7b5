//! Whole runs on tiny scenes: what a run promises, checked from outside.

mod live;
mod metrics;
mod resuming;
mod routes;
mod runs;
mod sources;
mod start;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use mtl_train::config::{Config, Stage};
use mtl_train::event::{Event, Observer};
use mtl_train::settings;

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
        "model.reconstruction_images=4",
        "model.vae.decoder.latent=8",
        "model.gan.decoder.latent=8",
        "joint.batch=8",
        "vae.batch=8",
        "gan.batch=8",
        "budget.steps=6",
        "budget.vae_steps=3",
        "budget.gan_steps=3",
        "joint.evaluations=2",
        "output.pictures=2",
    ]
    .map(str::to_owned)
    .to_vec();
    overrides.push(out);
    overrides.extend(more.iter().map(|text| (*text).to_owned()));
    settings::load("small", None, &overrides).unwrap()
}

/// Pulls the stop flag after a step of a stage, as Ctrl-C would.
struct StopAt<'a> {
    stage: Stage,
    step: u64,
    flag: &'a AtomicBool,
}

impl Observer for StopAt<'_> {
    fn event(&mut self, event: &Event) {
        if let Event::Step { stage, step, .. } = event
            && (*stage, *step) == (self.stage, self.step)
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

/// The lines of `metrics.jsonl`, without those that tell the time.
fn metrics(run: &Path) -> String {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().filter(|line| !line.contains("took_s")).collect::<Vec<_>>().join("\n")
}
