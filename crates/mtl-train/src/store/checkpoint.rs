//! Checkpoints: whole or absent, checked when read.
//!
//! A checkpoint is a folder `checkpoints/STAGE-STEP/` of safetensors files and `state.json`, with `MANIFEST.json` (sizes
//! and SHA-256) written last. It is written under a temporary name, every file synced, then renamed, then the parent synced:
//! a crash at any moment leaves the previous checkpoint readable and the new one either complete or absent.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mtl_tensor::{Tensor, serial};
use serde::{Deserialize, Serialize};

use super::atomic::{sha256, sync_folder, write_synced};
use crate::error::{Error, Result, words};
use crate::record::{Best, StageRecord};

/// Version of the layout; newer ones are an error.
pub const FORMAT_VERSION: u32 = 1;

/// Progress of a run: everything in a checkpoint that is not a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The stage the run is in.
    pub stage: String,
    /// Whether the stage has finished: the weights are then its averaged weights.
    pub stage_finished: bool,
    /// Steps done in this stage; with the seed, the position of every random stream.
    pub step: u64,
    /// Steps planned in this stage.
    pub steps: u64,
    /// Epoch of the next batch.
    pub epoch: u64,
    /// Number of the next batch in its epoch.
    pub batch: u64,
    /// Seconds of this stage, over all processes.
    pub stage_s: f64,
    /// Seconds of those spent waiting for data.
    pub waited_s: f64,
    /// Best validation of this stage so far.
    pub best: Option<Best>,
    /// Validations since then.
    pub since_best: u64,
    /// Validations in a row whose samples had collapsed.
    #[serde(default)]
    pub collapsed: u64,
    /// The stages before, finished.
    #[serde(default)]
    pub finished: Vec<StageRecord>,
    /// Number of updates of the weight average.
    pub ema_updates: u64,
    /// Length of `metrics.jsonl`; later lines are removed when the run resumes from this checkpoint.
    pub metrics_bytes: u64,
}

/// Tensors and state of a run at one step.
#[derive(Debug)]
pub struct Checkpoint {
    /// Parameters and running statistics, by name.
    pub weights: BTreeMap<String, Tensor>,
    /// Their averages, for the parts of the model that are being trained.
    pub averages: BTreeMap<String, Tensor>,
    /// State of the optimizers, by `optimizer/parameter/moment`, and of the balancer, by `balancer/key`.
    pub optimizers: BTreeMap<String, Tensor>,
    /// The rest.
    pub state: State,
}

impl State {
    /// The start of a stage.
    pub(crate) fn at_start(stage: &str) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            stage: stage.to_owned(),
            stage_finished: false,
            step: 0,
            steps: 0,
            epoch: 0,
            batch: 0,
            stage_s: 0.0,
            waited_s: 0.0,
            best: None,
            since_best: 0,
            collapsed: 0,
            finished: Vec::new(),
            ema_updates: 0,
            metrics_bytes: 0,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format_version: u32,
    files: BTreeMap<String, FileEntry>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct FileEntry {
    bytes: u64,
    sha256: String,
}

const TENSOR_FILES: [&str; 3] = ["model.safetensors", "average.safetensors", "optimizer.safetensors"];
const STATE: &str = "state.json";
const MANIFEST: &str = "MANIFEST.json";

impl Checkpoint {
    /// Saves under `root` (a run's `checkpoints` folder) and points `last` at it, and also `best` if requested.
    /// Older checkpoints that neither name points at are removed, except the newest `keep`.
    ///
    /// # Errors
    /// [`Error::Io`]; earlier checkpoints are untouched.
    pub fn save(&self, root: &Path, best: bool, keep: usize) -> Result<PathBuf> {
        fs::create_dir_all(root).map_err(Error::io("cannot create", root))?;
        let name = format!(
            "{}-{:08}{}",
            self.state.stage,
            self.state.step,
            if self.state.stage_finished { "-done" } else { "" }
        );
        let (temporary, target) = (root.join(format!("{name}.tmp")), root.join(&name));
        remove_folder(&temporary)?;
        fs::create_dir(&temporary).map_err(Error::io("cannot create", &temporary))?;
        let written = self.write_files(&temporary);
        if let Err(error) = written {
            let _ = fs::remove_dir_all(&temporary);
            return Err(error);
        }
        // The name exists only if a resumed run saves the same step again.
        let aside = set_aside(&target)?;
        fs::rename(&temporary, &target).map_err(Error::io("cannot write", &target))?;
        sync_folder(root)?;
        if let Some(aside) = aside {
            remove_folder(&aside)?;
        }
        // `best` first: a run that continues from `last` needs the best weights recorded in `last`.
        if best {
            point(root, "best", &name)?;
        }
        point(root, "last", &name)?;
        prune(root, keep)?;
        Ok(target)
    }

    fn write_files(&self, folder: &Path) -> Result<()> {
        let mut files = BTreeMap::new();
        let mut put = |name: &str, bytes: Vec<u8>| -> Result<()> {
            write_synced(&folder.join(name), &bytes)?;
            files.insert(name.to_owned(), FileEntry { bytes: bytes.len() as u64, sha256: sha256(&bytes) });
            Ok(())
        };
        for (name, tensors) in TENSOR_FILES.iter().zip([&self.weights, &self.averages, &self.optimizers]) {
            put(name, serial::to_bytes(tensors, &BTreeMap::new())?)?;
        }
        put(STATE, json(&self.state, folder)?)?;
        let manifest = Manifest { format_version: FORMAT_VERSION, files };
        write_synced(&folder.join(MANIFEST), &json(&manifest, folder)?)?;
        sync_folder(folder)
    }

    /// Reads a checkpoint and checks every byte against its manifest.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] naming the file that is missing, damaged or newer than this program.
    pub fn load(folder: &Path) -> Result<Self> {
        let problem = |file: &str, problem: String| Error::Checkpoint { path: folder.join(file), problem };
        let manifest = fs::read(folder.join(MANIFEST)).map_err(|error| {
            problem(MANIFEST, format!("cannot be read ({error}); this is not a complete checkpoint"))
        })?;
        let manifest: Manifest =
            serde_json::from_slice(&manifest).map_err(|error| problem(MANIFEST, format!("is damaged ({error})")))?;
        if manifest.format_version == 0 {
            return Err(problem(MANIFEST, "is damaged: format version 0 does not exist".into()));
        }
        if manifest.format_version > FORMAT_VERSION {
            let newer = manifest.format_version;
            return Err(problem(
                MANIFEST,
                format!("has format version {newer}, this program supports {FORMAT_VERSION}: use a newer mtl"),
            ));
        }
        let read = |name: &str| -> Result<Vec<u8>> {
            let entry = manifest.files.get(name).ok_or_else(|| problem(MANIFEST, format!("does not list {name}")))?;
            let bytes =
                fs::read(folder.join(name)).map_err(|error| problem(name, format!("cannot be read ({error})")))?;
            if bytes.len() as u64 != entry.bytes {
                return Err(problem(name, format!("is damaged: {} bytes instead of {}", bytes.len(), entry.bytes)));
            }
            if sha256(&bytes) != entry.sha256 {
                return Err(problem(name, "is damaged: its SHA-256 differs from the manifest".into()));
            }
            Ok(bytes)
        };
        let tensors = |name: &str| -> Result<BTreeMap<String, Tensor>> {
            serial::from_bytes(&read(name)?).map_err(|error| problem(name, words(&error)))
        };
        let state = serde_json::from_slice(&read(STATE)?).map_err(|error| problem(STATE, error.to_string()))?;
        let [weights, averages, optimizers] = TENSOR_FILES.map(tensors);
        Ok(Self { weights: weights?, averages: averages?, optimizers: optimizers?, state })
    }

    /// Reads the checkpoint that `name` (`last`, `best`) points at; if it is damaged, the newest readable one, with the
    /// first problem as a warning.
    ///
    /// # Errors
    /// No readable checkpoint at all.
    pub fn load_named(root: &Path, name: &str) -> Result<(Self, PathBuf, Option<String>)> {
        let first = match fs::canonicalize(root.join(name)) {
            Ok(path) => match Self::load(&path) {
                Ok(checkpoint) => return Ok((checkpoint, path, None)),
                Err(error) => error,
            },
            Err(error) => {
                let what = if root.join(name).is_symlink() { "its folder is gone" } else { "is missing" };
                let problem = format!("{what} ({error})");
                Error::Checkpoint { path: root.join(name), problem }
            }
        };
        if !any(root) {
            let problem = "no checkpoint: the run has not saved one yet; resuming it starts again".into();
            return Err(Error::Checkpoint { path: root.to_owned(), problem });
        }
        for folder in complete(root)?.into_iter().rev() {
            if let Ok(checkpoint) = Self::load(&folder) {
                let warning = format!("{first}; using {} instead", folder.display());
                return Ok((checkpoint, folder, Some(warning)));
            }
        }
        Err(first)
    }
}

fn json<T: Serialize>(value: &T, folder: &Path) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value)
        .map_err(|error| Error::Checkpoint { path: folder.to_owned(), problem: error.to_string() })
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("cannot replace", folder)(error)),
        _ => Ok(()),
    }
}

/// Renames an existing checkpoint in one step; returns its temporary name until its successor is in place.
fn set_aside(folder: &Path) -> Result<Option<PathBuf>> {
    let aside = folder.with_extension("old.tmp");
    remove_folder(&aside)?;
    match fs::rename(folder, &aside) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("cannot replace", folder)(error)),
        Ok(()) => Ok(Some(aside)),
    }
}

/// Removes a checkpoint such that a crash never leaves an incomplete one under its name.
fn discard(folder: &Path) -> Result<()> {
    set_aside(folder)?.map_or(Ok(()), |aside| remove_folder(&aside))
}

/// Whether a run has saved a checkpoint, damaged or not.
pub(crate) fn any(root: &Path) -> bool {
    let named = |name: &str| root.join(name).is_symlink() || root.join(name).exists();
    named("last") || named("best") || complete(root).is_ok_and(|found| !found.is_empty())
}

/// Cleans up after a process that was killed while saving: a complete checkpoint under a temporary name gets its final name;
/// everything else under a temporary name is removed.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn sweep(root: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(root) else { return Ok(()) };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|end| end == "tmp") {
            let is_folder = path.is_dir() && !path.is_symlink();
            let target = path.with_extension("");
            // The manifest is written last. Of a name that was set aside (`X.old.tmp`) the successor is `X.tmp`.
            if is_folder && path.join(MANIFEST).is_file() && target.extension().is_none() && !target.exists() {
                fs::rename(&path, &target).map_err(Error::io("cannot write", &target))?;
                continue;
            }
            let removed = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(Error::io("cannot remove", &path))?;
        }
    }
    Ok(())
}

/// Points the link `root/name` at `target`, in one step.
fn point(root: &Path, name: &str, target: &str) -> Result<()> {
    let (link, temporary) = (root.join(name), root.join(format!("{name}.tmp")));
    let _ = fs::remove_file(&temporary);
    if link.is_dir() && !link.is_symlink() {
        // A copy of the run that followed links has a folder here; its content was just saved again.
        discard(&link)?;
    }
    #[cfg(unix)]
    let made = std::os::unix::fs::symlink(target, &temporary);
    #[cfg(not(unix))]
    let made = std::os::windows::fs::symlink_dir(target, &temporary);
    made.and_then(|()| fs::rename(&temporary, &link)).map_err(Error::io("cannot write", &link))
}

/// All complete checkpoints, oldest first (by the time they were written, then by name).
fn complete(root: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(root).map_err(Error::io("cannot read", root))?;
    let mut found: Vec<(std::time::SystemTime, PathBuf)> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| !path.is_symlink() && path.extension().is_none())
        .filter_map(|path| Some((fs::metadata(path.join(MANIFEST)).ok()?.modified().ok()?, path)))
        .collect();
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn prune(root: &Path, keep: usize) -> Result<()> {
    let named: Vec<PathBuf> =
        ["last", "best"].iter().filter_map(|name| fs::canonicalize(root.join(name)).ok()).collect();
    let all = complete(root)?;
    let surplus = all.len().saturating_sub(keep);
    for folder in all.into_iter().take(surplus) {
        // `keep` counts all checkpoints; those that a name points at are always kept.
        if fs::canonicalize(&folder).is_ok_and(|path| !named.contains(&path)) {
            discard(&folder)?;
        }
    }
    Ok(())
}
