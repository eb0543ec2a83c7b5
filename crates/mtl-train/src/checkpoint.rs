//! Checkpoints: whole or absent, checked when read.
//!
//! A checkpoint is a folder `checkpoints/STAGE-STEP/` of safetensors files and `state.json`, with `MANIFEST.json` (sizes
//! and SHA-256) written last. It is made under a temporary name, every file synced, then renamed, then the parent synced:
//! a crash at any moment leaves the previous checkpoint readable and the new one either complete or not there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use mtl_tensor::{Tensor, serial};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::Stage;
use crate::error::{Error, Result, words};

/// Version of the layout; readers refuse newer ones politely.
pub const FORMAT_VERSION: u32 = 1;

/// Everything about a run's progress that is not a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The stage the run is in.
    pub stage: Stage,
    /// The stage is over: its averaged weights are the weights.
    pub stage_finished: bool,
    /// Steps done in this stage; with the seed, the position of every random stream.
    pub step: u64,
    /// Steps planned in this stage.
    pub steps: u64,
    /// Epoch of the next batch.
    pub epoch: u64,
    /// Number of the next batch in its epoch.
    pub batch: u64,
    /// Seconds this stage has run, over all sessions.
    pub stage_s: f64,
    /// Seconds of those spent waiting for data.
    pub waited_s: f64,
    /// Seconds of the stages before.
    pub earlier_s: f64,
    /// Best validation skill so far.
    pub best_skill: Option<f64>,
    /// Evaluations since then.
    pub since_best: u64,
    /// The balancer's memory where an earlier version kept it; now it is among the tensors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub balancer: BTreeMap<String, Vec<f64>>,
    /// Updates the weight average has taken in.
    pub ema_updates: u64,
    /// Length of `metrics.jsonl`: what was logged after this checkpoint is cut off when the run resumes from it.
    pub metrics_bytes: u64,
}

/// Tensors and state of one moment.
#[derive(Debug)]
pub struct Checkpoint {
    /// Parameters and running statistics, by name.
    pub weights: BTreeMap<String, Tensor>,
    /// Their averages, for the parts of the model that are being trained.
    pub averages: BTreeMap<String, Tensor>,
    /// Moments of the optimizers, by `optimizer/parameter/moment`, and the balancer's memory, by `balancer/key`.
    pub optimizers: BTreeMap<String, Tensor>,
    /// The rest.
    pub state: State,
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

/// SHA-256 as hexadecimal text.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file so that it is either the old or the new one: temporary name, sync, rename, sync of the folder.
///
/// # Errors
/// [`Error::Io`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("tmp");
    write_synced(&temporary, bytes)?;
    fs::rename(&temporary, path).map_err(Error::io("cannot write", path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| {
        // A file cut short by a full disk only takes space away from the next try.
        let _ = fs::remove_file(path);
        Error::io_of(bytes.len(), path)(source)
    })
}

fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("cannot sync", folder))
}

impl Checkpoint {
    /// Saves under `root` (a run's `checkpoints` folder) and points `last` at it, and `best` too if asked. Older
    /// checkpoints that neither name points at are removed, except the newest `keep`.
    ///
    /// # Errors
    /// [`Error::Io`]; what was there before is untouched.
    pub fn save(&self, root: &Path, best: bool, keep: usize) -> Result<PathBuf> {
        fs::create_dir_all(root).map_err(Error::io("cannot create", root))?;
        let name = format!(
            "{}-{:08}{}",
            self.state.stage.name(),
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
        // Only a repeated save of the very same moment (a resumed run) finds its name taken.
        let aside = set_aside(&target)?;
        fs::rename(&temporary, &target).map_err(Error::io("cannot write", &target))?;
        sync_folder(root)?;
        if let Some(aside) = aside {
            remove_folder(&aside)?;
        }
        // `best` first: a run that goes on from `last` must find the best weights that `last` knows of.
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
        let manifest = fs::read(folder.join(MANIFEST))
            .map_err(|error| problem(MANIFEST, format!("cannot be read ({error}); this is no complete checkpoint")))?;
        let manifest: Manifest =
            serde_json::from_slice(&manifest).map_err(|error| problem(MANIFEST, format!("is damaged ({error})")))?;
        if manifest.format_version == 0 {
            return Err(problem(MANIFEST, "is damaged: there is no format version 0".into()));
        }
        if manifest.format_version > FORMAT_VERSION {
            let newer = manifest.format_version;
            return Err(problem(
                MANIFEST,
                format!("has format version {newer}, this program knows {FORMAT_VERSION}: use a newer mtl"),
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
                return Err(problem(name, "is damaged: its SHA-256 is not the one in the manifest".into()));
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
            let problem = "there is none: the run has not saved anything yet; `mtl resume RUN` starts it again".into();
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

/// Frees a checkpoint's name, in one step; returns where what had it lies until its successor is in place.
fn set_aside(folder: &Path) -> Result<Option<PathBuf>> {
    let aside = folder.with_extension("old.tmp");
    remove_folder(&aside)?;
    match fs::rename(folder, &aside) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("cannot replace", folder)(error)),
        Ok(()) => Ok(Some(aside)),
    }
}

/// Removes a checkpoint so that a crash in between leaves no half of one under its name.
fn discard(folder: &Path) -> Result<()> {
    set_aside(folder)?.map_or(Ok(()), |aside| remove_folder(&aside))
}

/// Whether a run has saved anything, be it damaged by now.
pub(crate) fn any(root: &Path) -> bool {
    let named = |name: &str| root.join(name).is_symlink() || root.join(name).exists();
    named("last") || named("best") || complete(root).is_ok_and(|found| !found.is_empty())
}

/// Clears up after a process that was killed while it saved: a checkpoint that was complete, and lacked nothing but its
/// name, gets it; everything else with a temporary name is removed.
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

/// Makes `root/name` lead to `target`, by a link that is replaced in one step.
fn point(root: &Path, name: &str, target: &str) -> Result<()> {
    let (link, temporary) = (root.join(name), root.join(format!("{name}.tmp")));
    let _ = fs::remove_file(&temporary);
    if link.is_dir() && !link.is_symlink() {
        // A copy of the run that followed links has a folder here; what it holds has just been saved anew.
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
        // `keep` is counted over all; those a name points at stay whatever their age.
        if fs::canonicalize(&folder).is_ok_and(|path| !named.contains(&path)) {
            discard(&folder)?;
        }
    }
    Ok(())
}
