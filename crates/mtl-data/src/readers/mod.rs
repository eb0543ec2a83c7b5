//! Readers: folders to data sets, one file per layout and one line in [`READERS`] each.
//!
//! [`open`] takes the first reader that recognises the folder, most specific first. Tasks are inferred from the labels.
//! Every image and mask is decoded once when a folder of files is opened (in parallel: 1,400 photos of 256 x 128 in about a
//! second on two cores), so that broken files are found before training starts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mtl_registry::{Entry, find};
use mtl_task::{Task, TaskKind};
use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::Error;
use crate::inventory::Inventory;
use crate::reading::Reading;

mod cifar10;
mod files;
mod folder;
mod idx;
mod names;
mod nnunet;
mod oxford_pet;
mod packed;
#[cfg(feature = "parquet")]
mod parquet;
mod row;
mod scan;
mod table;
mod voc;
mod walk;
mod yolo;

pub(crate) use walk::images_below;

/// How to open a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenOptions {
    /// Name of the reader, one of [`READERS`]. Default: none, the folder decides.
    pub reader: Option<String>,
    /// 1 for grey images, 3 for colour. Default: none, 1 if no image has a coloured pixel, else 3.
    pub channels: Option<usize>,
    /// Decode every image and mask file once when opening. Default: true. Without, files are judged by their headers:
    /// a damaged one stops the run when it is first needed, and images count as grey only if they are stored so.
    pub verify: bool,
    /// Share of rows with missing or broken files that may be skipped (at least one row may, unless this is 0).
    /// Default: 0.01; more is a sign of a damaged copy.
    pub max_broken: f64,
    /// An inventory of an earlier opening: files that have not changed since are not read again. No key of configuration
    /// files.
    #[serde(skip)]
    pub known: Option<Arc<Inventory>>,
    /// Tasks of the model that the data are opened for: one class folder, or a column with one value, of such a name is a
    /// task. No key of configuration files.
    #[serde(skip)]
    pub expected: Option<Arc<Vec<Task>>>,
}

impl OpenOptions {
    /// The kind of the task that is expected under a name.
    fn expects(&self, task: &str) -> Option<&TaskKind> {
        self.expected.as_ref()?.iter().find(|known| known.name == task).map(|known| &known.kind)
    }

    /// The multi-label task that is expected with a label of this name.
    fn expects_label(&self, name: &str) -> Option<&str> {
        let has = |task: &&Task| matches!(&task.kind, TaskKind::MultiLabel { labels } if labels.iter().any(|label| label == name));
        self.expected.as_ref()?.iter().find(has).map(|task| task.name.as_str())
    }

    /// Whether a folder is a class that is expected.
    fn expects_class(&self, name: &str) -> bool {
        let is_class = |task: &Task| matches!(&task.kind, TaskKind::Classification { classes } if classes.iter().any(|class| class == name));
        self.expected.as_ref().is_some_and(|tasks| tasks.iter().any(is_class))
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { reader: None, channels: None, verify: true, max_broken: 0.01, known: None, expected: None }
    }
}

/// A data set, or the reason why it cannot be opened.
pub type Opened = Result<Box<dyn Dataset>, Error>;

/// The two functions of a reader.
#[derive(Clone, Copy, Debug)]
pub struct ReaderFns {
    /// True if the folder has this layout. Cheap: names and first lines only.
    pub detect: fn(&Path) -> bool,
    /// Reads it.
    pub open: fn(&Path, &OpenOptions) -> Opened,
}

/// All readers, in the order in which they are tried.
pub const READERS: &[Entry<ReaderFns>] = &[
    Entry {
        name: "manifest",
        summary: "manifest.csv (or metadata, labels, train ...): image[,mask][,depth][,split],<task>...; blank cell: no label",
        item: table::READER,
    },
    Entry {
        name: "oxford-pet",
        summary: "Oxford-IIIT Pet: images/*.jpg, annotations/list.txt, annotations/trimaps/*.png if present",
        item: oxford_pet::READER,
    },
    #[cfg(feature = "parquet")]
    Entry {
        name: "parquet",
        summary: "hub layout: {train,test}-*.parquet with a struct of image bytes and an integer label",
        item: parquet::READER,
    },
    Entry {
        name: "cifar10",
        summary: "CIFAR-10 binary version: data_batch_*.bin, test_batch.bin",
        item: cifar10::READER,
    },
    Entry { name: "idx", summary: "MNIST and similar: *-images-idx3-ubyte, *-labels-idx1-ubyte", item: idx::READER },
    Entry {
        name: "yolo",
        summary: "YOLO segmentation: images/**/*, labels/**/*.txt with outlines, names in data.yaml",
        item: yolo::READER,
    },
    Entry {
        name: "voc",
        summary: "PASCAL VOC: JPEGImages/*, SegmentationClass/*, ImageSets/Segmentation/*.txt as subsets",
        item: voc::READER,
    },
    Entry {
        name: "nnunet",
        summary: "nnU-Net: imagesTr/*_0000.png, labelsTr/*.png; imagesTs and labelsTs as the test subset",
        item: nnunet::READER,
    },
    Entry {
        name: "folder",
        summary: "<class>/*, images/* with masks/*, or x.png with x_mask.png; train/, val/, test/ around or below; alpha as mask",
        item: folder::READER,
    },
];

/// Opens the data set at `path` (a folder, or a manifest file).
///
/// # Errors
/// Anything that makes the data unusable; see [`Error`].
pub fn open(path: &Path, options: &OpenOptions) -> Opened {
    check(options)?;
    std::fs::metadata(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let mut reading = Reading::default();
    let (folder, detected) = unwrapped(path, options, &mut reading)?;
    let reader = match &options.reader {
        Some(name) => find("reader", READERS, name)?,
        None => detected.ok_or_else(|| unrecognised(path))?,
    };
    let mut dataset = (reader.item.open)(&folder, options)?;
    if let Some(own) = dataset.reading_mut() {
        reading.extend(std::mem::take(own));
        reader.name.clone_into(&mut reading.reader);
        *own = reading;
    }
    Ok(dataset)
}

/// The images at a path: the file itself, or those in the folder and all folders below it, in sorted order. Other files are
/// counted in `reading`.
///
/// # Errors
/// A folder that cannot be read.
pub fn images_in(path: &Path, reading: &mut Reading) -> Result<Vec<PathBuf>, Error> {
    if path.is_dir() {
        let images = walk::images_below(path)?;
        walk::leave_rest(path, &images.iter().cloned().collect(), reading)?;
        return Ok(images);
    }
    if walk::is_image(path) {
        return Ok(vec![path.to_owned()]);
    }
    reading.leave("no image", path);
    Ok(Vec::new())
}

fn check(options: &OpenOptions) -> Result<(), Error> {
    if let Some(channels) = options.channels
        && !matches!(channels, 1 | 3)
    {
        return Err(Error::Option {
            key: "channels",
            value: channels.to_string(),
            reason: "1 (grey) or 3 (colour)".into(),
        });
    }
    if !(0.0..=1.0).contains(&options.max_broken) {
        return Err(Error::Option {
            key: "max_broken",
            value: options.max_broken.to_string(),
            reason: "a share from 0 to 1".into(),
        });
    }
    Ok(())
}

/// Steps into folders that hold one folder of folders and no image, as unpacked archives often do: it is no class. Files beside
/// it are counted. With the first reader that recognises the folder it ends in.
fn unwrapped(
    path: &Path,
    options: &OpenOptions,
    reading: &mut Reading,
) -> Result<(PathBuf, Option<&'static Entry<ReaderFns>>), Error> {
    let mut at = path.to_owned();
    loop {
        let detected = READERS.iter().find(|reader| (reader.item.detect)(&at));
        // The reader of plain folders recognises everything with an image, wrapping folders too.
        if !at.is_dir() || detected.is_some_and(|reader| reader.name != "folder") {
            return Ok((at, detected));
        }
        let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) =
            walk::entries(&at)?.into_iter().partition(|path| path.is_dir());
        let mut with_images = folders.iter().filter(|folder| walk::any_image(folder) || folders.len() == 1);
        let (Some(only), None) = (with_images.next(), with_images.next()) else { return Ok((at, detected)) };
        let is_part = names::is_images(&walk::name(only), false) || names::is_masks(&walk::name(only), false);
        let described = files.iter().any(|path| walk::name(path) == "palette.csv" || walk::is_image_name(path));
        if is_part || described || options.expects_class(&walk::name(only)) || walk::folders(only)?.is_empty() {
            return Ok((at, detected));
        }
        files.iter().for_each(|path| reading.leave("beside the folder of images", path));
        reading.guess(format!("the only folder of images, {}/, is entered: it is no class", walk::name(only)));
        at = only.clone();
    }
}

fn unrecognised(path: &Path) -> Error {
    let entries = walk::entries(path).unwrap_or_default();
    if path.is_dir() && entries.is_empty() {
        return Error::Empty { path: path.to_owned(), reason: "the folder is empty".into() };
    }
    let shown = entries.iter().take(6).map(|entry| match walk::entries(entry) {
        Ok(inside) if inside.is_empty() => format!("{}/ (empty)", walk::name(entry)),
        Ok(_) => format!("{}/", walk::name(entry)),
        Err(_) => walk::name(entry),
    });
    let shown: Vec<String> = shown.collect();
    let reason = if path.is_dir() {
        format!("it holds {}{}", shown.join(", "), if entries.len() > 6 { " ..." } else { "" })
    } else {
        "it is a file (a folder, or a manifest ending in .csv, is expected)".into()
    };
    let layouts: Vec<String> =
        READERS.iter().map(|reader| format!("  {:<11} {}", reader.name, reader.summary)).collect();
    Error::NoReader { path: path.to_owned(), reason, layouts: layouts.join("\n") }
}
