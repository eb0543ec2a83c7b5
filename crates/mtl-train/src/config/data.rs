//! `[data]`: image folders, their split, augmentation and loading.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mtl_data::{OpenOptions, Sampling, augment, scenes, split};
use serde::{Deserialize, Serialize};

/// Image folders, split, augmentation and loading.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// A folder of images. Default: the built-in scenes, unless `sources` is given.
    pub path: Option<PathBuf>,
    /// Names of the tasks to train. Default: all with labels.
    pub tasks: Option<Vec<String>>,
    /// Several folders in place of `path`, each with the tasks it has labels for: `[[data.sources]]`.
    pub sources: Vec<SourceFolder>,
    /// How often each source is seen while training: `[data.sampling.temperature]`, `proportional`, `uniform` or
    /// `round_robin`. Default: `proportional`, every image once per epoch.
    pub sampling: Sampling,
    /// Reader options of all folders.
    pub open: OpenOptions,
    /// The built-in scenes.
    pub scenes: scenes::Config,
    /// Shares of the subsets.
    pub split: split::Config,
    /// Random views of the training images.
    pub augment: augment::Config,
    /// Loader threads and memory.
    pub loader: LoaderLimits,
}

/// One of several folders of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFolder {
    /// The folder.
    pub path: PathBuf,
    /// Name in messages. Default: the folder's name.
    #[serde(default)]
    pub name: Option<String>,
    /// Tasks to use, by the folder's own names; an empty list uses the images without labels. Default: all.
    #[serde(default)]
    pub tasks: Option<Vec<String>>,
    /// New names for its tasks (`rename = { class = "leaf" }`). Tasks with the same name and the same classes are merged.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
    /// Reader options. Default: those of `data.open`.
    #[serde(default)]
    pub open: Option<OpenOptions>,
}

impl SourceFolder {
    /// A folder with all its tasks.
    pub fn new(path: PathBuf) -> Self {
        Self { path, name: None, tasks: None, rename: BTreeMap::new(), open: None }
    }
}

/// Threads and memory of the loader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderLimits {
    /// Worker threads that decode and augment. Default 2.
    pub workers: usize,
    /// Decoded images kept in memory, MiB. Default 384.
    pub cache_mib: usize,
}

impl Default for LoaderLimits {
    fn default() -> Self {
        Self { workers: 2, cache_mib: 384 }
    }
}
