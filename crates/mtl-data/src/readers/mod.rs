//! Readers: folders to data sets, one file per layout and one line in [`READERS`] each.
//!
//! [`open`] takes the first reader that recognises the folder, most specific first. Tasks are inferred from the labels.
//! Every image and mask is decoded once when a folder of files is opened (in parallel: 1,400 photos of 256 x 128 in about a
//! second on two cores), so that broken files are found before training starts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mtl_registry::{Entry, find};
use mtl_task::{Task, TaskKind};
use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::Error;
use crate::image::depth::Encoding;
use crate::image::header::MOST_CHANNELS;
use crate::inventory::Inventory;
use crate::progress::Progress;
use crate::reading::Reading;

mod cifar10;
mod class_list;
#[cfg(feature = "coco")]
mod coco;
mod depth_maps;
mod draft;
mod files;
mod folder;
mod idx;
mod masks;
mod names;
pub(crate) mod nnunet;
mod oxford_pet;
mod packed;
#[cfg(feature = "parquet")]
mod parquet;
mod patterns;
mod row;
mod scan;
mod subsets;
mod summary;
mod table;
mod voc;
mod walk;
mod wildcard;
mod yolo;

pub(crate) use walk::images_below;

/// How to open a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenOptions {
    /// Name of the reader, one of [`READERS`]. Default: none, the folder decides.
    pub reader: Option<String>,
    /// 1 for grey images, 3 for colour; 2 or 4 to 16 for TIFF and PNG files of so many channels (multi-spectral, radar). Default:
    /// none, 1 if no image has a coloured pixel, else 3.
    pub channels: Option<usize>,
    /// Decode every image and mask file once when opening. Default: true. Without, files are judged by their headers:
    /// a damaged one stops the run when it is first needed, and images count as grey only if they are stored so.
    pub verify: bool,
    /// Share of rows with missing or broken files that may be skipped (at least one row may, unless this is 0).
    /// Default: 0.01; more is a sign of a damaged copy.
    pub max_broken: f64,
    /// End of the range of images of more than 8 bits: 4095 for 12 bits. Default: none, from the largest value of all images (1,
    /// 255, 1023, 4095, 16383 or 65535).
    pub largest_value: Option<f32>,
    /// Masks were drawn on the stored image: they are turned as the EXIF of their image says. Default: false, masks are turned
    /// by their own EXIF.
    pub masks_as_stored: bool,
    /// Masks of another size than their image, with the same aspect ratio, are resized. Default: false, they are errors.
    pub resize_masks: bool,
    /// Pattern of the image files, relative to the folder (`scans/**/*.tif`). Default: none, the layout decides.
    pub images: Option<String>,
    /// Pattern of the mask files. Default: none, the layout decides.
    pub masks: Option<String>,
    /// The table of labels, relative to the folder, where several could be meant. Default: none, found by name.
    pub labels: Option<String>,
    /// Patterns of files and folders that are not looked at (`old/**`). Default: none.
    pub ignore: Vec<String>,
    /// Columns of a table that are to be regression tasks, such as a grade of whole numbers; `*` stands for any characters.
    /// Default: none, columns of measured numbers are.
    pub regression: Vec<String>,
    /// Columns of a table that are to be classifications, such as a column of a few decimals. Default: none, columns of words or
    /// of a few whole numbers are.
    pub classification: Vec<String>,
    /// Columns of 0 and 1, of which exactly one is 1 in every row, that are to be one classification: all names without `*`
    /// together, and those of each pattern with `*` (`kind_*`). Default: none, they are one multi-label task.
    pub one_hot: Vec<String>,
    /// Stored numbers of depth maps that mean "not measured". Default: `[0]`, as in the PNGs of NYU Depth and KITTI.
    pub depth_invalid: Vec<f64>,
    /// Depth of the stored number 1, in `depth_unit`, above 0. Default: 1, depths as stored. For millimetres in metres: 0.001.
    pub depth_scale: f64,
    /// Unit of depths, for tables. Default: none. `relative` is for depths scaled to 0..1 without a unit.
    pub depth_unit: String,
    /// An inventory of an earlier opening: files that have not changed since are not read again. No key of configuration
    /// files.
    #[serde(skip)]
    pub known: Option<Arc<Inventory>>,
    /// Tasks of the model that the data are opened for: one class folder, or a column with one value, of such a name is a
    /// task. No key of configuration files.
    #[serde(skip)]
    pub expected: Option<Arc<Vec<Task>>>,
    /// Watches the pass over the files. No key of configuration files.
    #[serde(skip)]
    pub progress: Progress,
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
        Self {
            reader: None,
            channels: None,
            verify: true,
            max_broken: 0.01,
            largest_value: None,
            masks_as_stored: false,
            resize_masks: false,
            images: None,
            masks: None,
            labels: None,
            ignore: Vec::new(),
            regression: Vec::new(),
            classification: Vec::new(),
            one_hot: Vec::new(),
            depth_invalid: vec![0.0],
            depth_scale: 1.0,
            depth_unit: String::new(),
            known: None,
            expected: None,
            progress: Progress::default(),
        }
    }
}

impl OpenOptions {
    fn depth_encoding(&self) -> Encoding {
        Encoding { invalid: self.depth_invalid.clone(), scale: self.depth_scale }
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
        summary: "hub layout: {train,test}-*.parquet with a column of encoded images and columns of labels",
        item: parquet::READER,
    },
    Entry {
        name: "cifar10",
        summary: "CIFAR-10 binary version: data_batch_*.bin, test_batch.bin",
        item: cifar10::READER,
    },
    Entry { name: "idx", summary: "MNIST and similar: *-images-idx3-ubyte, *-labels-idx1-ubyte", item: idx::READER },
    #[cfg(feature = "coco")]
    Entry {
        name: "coco",
        summary: "COCO: annotations/*.json (or _annotations.coco.json per subset) with polygons or run-length encoded masks",
        item: coco::READER,
    },
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
    Entry {
        name: "patterns",
        summary: "files that data.open.images and data.open.masks match, paired by path or stem",
        item: patterns::READER,
    },
];

/// Opens the data set at `path` (a folder, or a manifest file).
///
/// # Errors
/// Anything that makes the data unusable; see [`Error`].
pub fn open(path: &Path, options: &OpenOptions) -> Opened {
    check(options)?;
    std::fs::metadata(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let ignored =
        options.ignore.iter().map(|text| wildcard::Wildcard::new("ignore", text)).collect::<Result<_, _>>()?;
    walk::ignoring(path, ignored, || find_and_open(path, options))
}

fn find_and_open(path: &Path, options: &OpenOptions) -> Opened {
    let mut reading = Reading::default();
    let by_patterns = options.images.is_some() || options.masks.is_some();
    let forced = options.reader.as_deref().or(by_patterns.then_some("patterns"));
    let (mut folder, reader) = match (&options.labels, forced) {
        (Some(table), None) => (path.join(table), find("reader", READERS, "manifest")?),
        // A pattern is relative to the folder that was given.
        (_, Some("patterns")) => (path.to_owned(), find("reader", READERS, "patterns")?),
        (_, Some(name)) => (unwrapped(path, options, &mut reading)?.0, find("reader", READERS, name)?),
        (None, None) => {
            let (folder, detected) = unwrapped(path, options, &mut reading)?;
            (folder, detected.ok_or_else(|| unrecognised(path))?)
        }
    };
    if let (Some(table), Some(_)) = (&options.labels, forced) {
        folder = folder.join(table);
    }
    let mut dataset = (reader.item.open)(&folder, options)?;
    for pattern in &options.ignore {
        reading.guess(format!("files that data.open.ignore = \"{pattern}\" matches are not looked at"));
    }
    if let Some(own) = dataset.reading_mut() {
        reading.extend(std::mem::take(own));
        reader.name.clone_into(&mut reading.reader);
        *own = reading;
    }
    let columns = options.regression.iter().chain(&options.classification);
    if let (Some(first), Some(own), true) = (columns.min(), dataset.reading_mut(), reader.name != "manifest") {
        let name = reader.name;
        own.warn(format!(
            "data.open.regression and classification name columns of a table, such as `{first}`: `{name}` has none"
        ));
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
        && !(1..=MOST_CHANNELS).contains(&channels)
    {
        return Err(Error::Option {
            key: "channels",
            value: channels.to_string(),
            reason: format!("1 (grey), 3 (colour), or 2 to {MOST_CHANNELS} for files of so many channels"),
        });
    }
    if let (Some(table), true) = (&options.labels, options.images.is_some() || options.masks.is_some()) {
        return Err(Error::Option {
            key: "labels",
            value: table.clone(),
            reason: "a table names its images: leave out `images` and `masks`, or `labels`".into(),
        });
    }
    if let Some(largest) = options.largest_value
        && !(largest.is_finite() && largest > 0.0)
    {
        return Err(Error::Option {
            key: "largest_value",
            value: largest.to_string(),
            reason: "a number above 0, such as 4095 for 12 bits".into(),
        });
    }
    if !(0.0..=1.0).contains(&options.max_broken) {
        return Err(Error::Option {
            key: "max_broken",
            value: options.max_broken.to_string(),
            reason: "a share from 0 to 1".into(),
        });
    }
    if !(options.depth_scale > 0.0 && options.depth_scale.is_finite()) {
        return Err(Error::Option {
            key: "depth_scale",
            value: options.depth_scale.to_string(),
            reason: "above 0: the depth of the stored number 1".into(),
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
        let described = files.iter().any(|path| class_list::is_named(path) || walk::is_image_name(path));
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
    let mut rest = Reading::default();
    if walk::leave_rest(path, &BTreeSet::new(), &mut rest).is_ok()
        && let Some((kind, files)) =
            rest.unread.iter().filter(|(kind, _)| *kind != walk::NO_IMAGE).max_by_key(|(_, files)| files.count)
        && ["convert", "cut ", "unpack"].iter().any(|remedy| kind.contains(remedy))
    {
        let each = if kind.contains(", which is not read") { "files, each of them" } else { "" };
        let reason = format!("{} {each} {kind}", files.count).replace("  ", " ");
        return Error::Empty { path: path.to_owned(), reason };
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
