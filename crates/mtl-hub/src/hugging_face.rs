//! Data sets of the Hugging Face Hub as parquet files (feature `hub`), through candle-datasets.
//!
//! The Hub keeps a copy of most data sets as `CONFIG/SPLIT/NNNN.parquet` in the branch `refs/convert/parquet`.
//! [`download`] puts these files into one folder as `SPLIT-NNNN.parquet`, which the reader `parquet` of mtl-data opens.
//!
//! The client reads `HF_ENDPOINT` and `HF_TOKEN` from the environment. There is no manifest, so nothing is known of a
//! file before it arrives: its SHA-256 is not compared, and the reader refuses what is
//! not a parquet file. Licence and citation are on the
//! data set's page.

use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::{HFClient, HFClientSync, HFRepositorySync, RepoTypeDataset, split_id};

use crate::download::{Lock, remove};
use crate::{Error, Outcome};

/// The branch with parquet files; `candle_datasets::hub::from_hub` reads the same.
const REVISION: &str = "refs/convert/parquet";

/// Settings of the client.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Address of the Hub, or of a mirror [default: `HF_ENDPOINT`, else `https://huggingface.co`].
    pub endpoint: Option<String>,
}

/// One parquet file: its name at the Hub and in our folder.
#[derive(Debug, PartialEq, Eq)]
struct Parquet {
    remote: String,
    local: String,
}

/// Downloads `OWNER/NAME` or `OWNER/NAME:CONFIG` to the new folder `dir/OWNER--NAME` or `dir/OWNER--NAME--CONFIG`.
///
/// Files wait in `FOLDER.archives` until all are there; the next call continues with the missing ones.
///
/// # Errors
/// [`Error::Hub`] for an unknown data set, one without parquet files, one with several configurations of which none is
/// chosen, and for every fault of the connection; [`Error::Busy`]; [`Error::Io`].
pub fn download(dataset: &str, dir: &Path, options: &Options) -> Result<Outcome, Error> {
    let (id, config) = match dataset.split_once(':') {
        Some((id, config)) => (id, Some(config)),
        None => (dataset, None),
    };
    let fail = |reason: String| Error::Hub { dataset: id.to_owned(), reason };
    let parts: Vec<&str> = id.split('/').chain(config).collect();
    if id.split('/').count() > 2 || !parts.iter().all(|part| is_plain(part)) {
        return Err(fail("the name must be OWNER/NAME or OWNER/NAME:CONFIG".into()));
    }
    let name = parts.join("--");
    let folder = dir.join(&name);
    let already_there = || Outcome { folder: folder.clone(), files: 0, already_there: true };
    if folder.is_dir() {
        return Ok(already_there());
    }
    let lock = Lock::take(dir, &name)?;
    if folder.is_dir() {
        return Ok(already_there());
    }
    let cache = dir.join(format!("{name}.archives"));
    let client = client(options, &cache).map_err(|error| fail(error.to_string()))?;
    let (owner, repository) = split_id(id);
    let repository = client.dataset(owner, repository);
    let info = repository.info().revision(REVISION).send().map_err(|error| fail(error.to_string()))?;
    let names = info.siblings.unwrap_or_default().into_iter().map(|sibling| sibling.rfilename);
    let (files, all) = select(names, config).map_err(fail)?;
    if all {
        // Also opens every file, so that a damaged one is found here.
        candle_datasets::hub::from_hub(&client, id.to_owned()).map_err(|error| fail(error.to_string()))?;
    }
    let unfinished = dir.join(format!("{name}.unpacking"));
    remove(&unfinished)?;
    fs::create_dir_all(&unfinished).map_err(Error::io("create", &unfinished))?;
    for file in &files {
        let cached = cached(&repository, &file.remote, all).map_err(|error| fail(error.to_string()))?;
        // The cache holds a link to the file.
        let path = cached.canonicalize().map_err(Error::io("read", &cached))?;
        let target = unfinished.join(&file.local);
        // A second name costs no space; some file systems only copy.
        if fs::hard_link(&path, &target).is_err() {
            fs::copy(&path, &target).map_err(Error::io("write", &target))?;
        }
    }
    fs::rename(&unfinished, &folder).map_err(Error::io("rename", &unfinished))?;
    remove(&cache)?;
    lock.release()?;
    Ok(Outcome { folder, files: files.len(), already_there: false })
}

fn client(options: &Options, cache: &Path) -> Result<HFClientSync, hf_hub::HFError> {
    let builder = HFClient::builder().cache_dir(cache);
    match &options.endpoint {
        Some(endpoint) => builder.endpoint(endpoint).build_sync(),
        None => builder.build_sync(),
    }
}

/// The file in the client's cache; downloads it first if it may be missing.
fn cached(
    repository: &HFRepositorySync<RepoTypeDataset>,
    name: &str,
    is_there: bool,
) -> Result<PathBuf, hf_hub::HFError> {
    repository.download_file().filename(name).revision(REVISION).local_files_only(is_there).send()
}

/// The parquet files of one configuration, and whether there is no other.
fn select(names: impl Iterator<Item = String>, wanted: Option<&str>) -> Result<(Vec<Parquet>, bool), String> {
    let (mut files, mut configs) = (Vec::new(), Vec::new());
    for remote in names.filter(|name| name.ends_with(".parquet")) {
        let parts: Vec<&str> = remote.split('/').collect();
        let [config, split, file] = parts[..] else {
            return Err(format!("{remote} is not CONFIG/SPLIT/FILE.parquet"));
        };
        if !parts.iter().all(|part| is_plain(part)) {
            return Err(format!("{remote} has unusual characters in its name: refused"));
        }
        if !configs.iter().any(|known| known == config) {
            configs.push(config.to_owned());
        }
        if wanted.is_none_or(|wanted| wanted == config) {
            let local = format!("{split}-{file}");
            files.push(Parquet { remote, local });
        }
    }
    match (configs.len(), wanted) {
        (0, _) => Err("it has no parquet files (the Hub converts data sets below 5 GB)".into()),
        (2.., None) => {
            Err(format!("it has several configurations; add one to the name as :CONFIG: {}", configs.join(", ")))
        }
        (_, Some(wanted)) if files.is_empty() => {
            Err(format!("it has no configuration {wanted}; there are: {}", configs.join(", ")))
        }
        (count, _) => Ok((files, count == 1)),
    }
}

/// Whether a name is safe in a path and in a URL.
fn is_plain(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('.')
        && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
mod tests;
