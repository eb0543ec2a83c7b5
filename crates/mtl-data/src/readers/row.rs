//! Rows of a data set of image files: one image and one label per task, from names and tables alone.

use std::path::PathBuf;

use mtl_task::Target;

use crate::dataset::{Labels, Subset};
use crate::image::polygon::Outline;
use crate::image::runs::Runs;
use crate::row_notes::RowNotes;

/// A row's label for one task.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Label {
    Class(usize),
    /// One cell per label of a multi-label task.
    YesNo(Vec<Option<bool>>),
    /// One or more mask files; several are united.
    Mask(Vec<PathBuf>),
    /// One binary mask file per class; later ones cover earlier ones.
    Layers(Vec<(u8, PathBuf)>),
    /// The image's own alpha channel.
    Alpha,
    /// Outlines with their mask value; none are a mask of background.
    Outlines(Vec<(u8, Outline)>),
    /// Run-length encoded masks with their mask value; none are a mask of background.
    #[cfg_attr(not(feature = "coco"), allow(dead_code, reason = "only COCO has them"))]
    Runs(Vec<(u8, Runs)>),
    Depth(PathBuf),
    /// A number.
    Value(f32),
    Missing,
}

/// One image with its labels, before any file is opened.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub image: PathBuf,
    /// One per task.
    pub labels: Vec<Label>,
    /// The subset that the data set's authors assigned.
    pub subset: Option<Subset>,
    /// What a table says about the row besides.
    pub notes: RowNotes,
}

impl Row {
    /// The image and the files of its labels.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.image).chain(self.labels.iter().flat_map(Label::files))
    }
}

impl Label {
    /// The label without decoding: for stratification and counts.
    pub(super) fn labels(&self) -> Labels {
        match self {
            Self::Class(class) => Labels::Class(*class),
            Self::YesNo(cells) if cells.iter().any(Option::is_some) => Labels::MultiLabel(cells.clone()),
            Self::Value(value) => Labels::Value(*value),
            Self::Mask(_) | Self::Layers(_) | Self::Alpha | Self::Outlines(_) | Self::Runs(_) | Self::Depth(_) => {
                Labels::Pixels
            }
            Self::YesNo(_) | Self::Missing => Labels::Missing,
        }
    }

    /// The target of a label of the whole image, for a batch of 1; `None` for a label of pixels and a missing one.
    pub(super) fn image_target(&self) -> Option<Target> {
        match self {
            Self::Class(class) => Some(Target::Class(vec![*class as i32])),
            Self::YesNo(cells) => Some(Target::MultiLabel(
                cells.iter().map(|cell| cell.map_or(f32::NAN, |yes| f32::from(u8::from(yes)))).collect(),
            )),
            Self::Value(value) => Some(Target::Value(vec![*value])),
            _ => None,
        }
    }

    pub(super) fn files(&self) -> Vec<&PathBuf> {
        match self {
            Self::Mask(paths) => paths.iter().collect(),
            Self::Layers(layers) => layers.iter().map(|(_, path)| path).collect(),
            Self::Depth(path) => vec![path],
            Self::Class(_)
            | Self::YesNo(_)
            | Self::Alpha
            | Self::Outlines(_)
            | Self::Runs(_)
            | Self::Value(_)
            | Self::Missing => Vec::new(),
        }
    }
}
