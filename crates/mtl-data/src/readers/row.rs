//! Rows of a data set of image files: one image and one label per task, from names and tables alone.

use std::path::PathBuf;

use crate::dataset::Subset;
use crate::image::polygon::Outline;
use crate::row_notes::RowNotes;

/// A row's label for one task.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Label {
    Class(usize),
    /// One cell per label of a multi-label task.
    YesNo(Vec<Option<bool>>),
    /// One or more mask files; several are united.
    Mask(Vec<PathBuf>),
    /// The image's own alpha channel.
    Alpha,
    /// Outlines with their mask value; none are a mask of background.
    Outlines(Vec<(u8, Outline)>),
    Depth(PathBuf),
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
        let labels = self.labels.iter().flat_map(|label| match label {
            Label::Mask(paths) => paths.as_slice(),
            Label::Depth(path) => std::slice::from_ref(path),
            Label::Class(_) | Label::YesNo(_) | Label::Alpha | Label::Outlines(_) | Label::Missing => &[],
        });
        std::iter::once(&self.image).chain(labels)
    }
}
