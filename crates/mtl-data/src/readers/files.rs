//! A data set of image files: rows, facts about the files, and decoding of images and labels.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mtl_task::{Target, Task};

use super::row::{Label, Row};
use super::scan::{MaskReading, size_mismatch};
use super::walk;
use crate::dataset::{Dataset, Labels, Sample, Schema, Subset};
use crate::error::{Error, Skipped};
use crate::facts::{DecodedFacts, FileContent, FileFacts, LabelFacts, RowFacts, Wanted};
use crate::image::depth::{Encoding, depth};
use crate::image::fingerprint::{Fingerprint, SMALL, hash};
use crate::image::palette::Palette;
use crate::image::picture::{self, Picture, is_multi_channel};
use crate::image::polygon::{self, Outline};
use crate::image::runs::Runs;
use crate::image::{area, decode, mask, palette};
use crate::reading::Reading;
use crate::row_notes::RowNotes;
use crate::size::Size;

/// See the module.
pub(super) struct ImageFiles {
    pub root: PathBuf,
    pub schema: Schema,
    pub rows: Vec<Row>,
    /// Facts about every file of every row.
    pub files: BTreeMap<PathBuf, FileFacts>,
    pub palette: Palette,
    pub masks: MaskReading,
    /// End of the range of images of more than 8 bits.
    pub largest: Option<f32>,
    pub encoding: Encoding,
    pub skipped: Vec<Skipped>,
    pub reading: Reading,
}

impl ImageFiles {
    /// Facts found by decoding the row's image, if it was decoded when the data was opened.
    fn decoded(&self, row: usize) -> Option<&DecodedFacts> {
        match &self.files.get(&self.rows[row].image)?.content {
            FileContent::Image(image) => image.decoded.as_ref(),
            _ => None,
        }
    }

    /// Statistics of one label from the facts of its file; several masks of one image are united, which needs decoding.
    fn label_facts(&self, row: usize, label: &Label, task: &Task) -> Result<LabelFacts, Error> {
        let content = |path: &Path| self.files.get(path).map(|facts| &facts.content);
        let native = || self.native_size(row).unwrap_or(SMALL);
        let classes = task.kind.outputs();
        Ok(match label {
            Label::Missing => LabelFacts::Missing,
            Label::Class(class) => LabelFacts::Class(*class),
            Label::YesNo(cells) => LabelFacts::MultiLabel(cells.clone()),
            Label::Mask(paths) => match (&paths[..], paths.first().and_then(|path| content(path))) {
                ([_], Some(FileContent::Mask(mask))) if !mask.codes.is_empty() => {
                    let (mut pixels, mut unlabelled) = (vec![0; classes], 0);
                    for (code, count) in &mask.codes {
                        match self.palette.class(*code).and_then(|class| pixels.get_mut(usize::from(class))) {
                            Some(pixels) => *pixels += count,
                            None => unlabelled += count,
                        }
                    }
                    LabelFacts::Mask { pixels, unlabelled }
                }
                _ => LabelFacts::of(&self.mask(row, paths, native(), native())?, &task.kind),
            },
            Label::Alpha => match self.decoded(row) {
                Some(decoded) => {
                    let transparent = (native().pixels() as u64).saturating_sub(decoded.opaque);
                    LabelFacts::Mask { pixels: vec![transparent, decoded.opaque], unlabelled: 0 }
                }
                None => {
                    let path = &self.rows[row].image;
                    let image = decode::decode(&decode::read_file(path)?)
                        .map_err(|problem| Error::Image { path: path.clone(), problem })?;
                    decode::alpha_mask(&image).map_or(LabelFacts::Missing, |mask| LabelFacts::mask(&mask, classes))
                }
            },
            Label::Layers(layers) => LabelFacts::of(&self.layered(row, layers, native(), native())?, &task.kind),
            Label::Outlines(outlines) => LabelFacts::of(&Self::drawn(outlines, native(), native()), &task.kind),
            Label::Runs(runs) => LabelFacts::of(&Self::filled(runs, native(), native()), &task.kind),
            Label::Depth(path) => match content(path) {
                Some(FileContent::Depth { facts, .. }) => LabelFacts::Dense(*facts),
                _ => LabelFacts::of(&self.depth(path, native(), native())?, &task.kind),
            },
            Label::Value(value) => LabelFacts::Value(*value),
        })
    }

    fn mask(&self, row: usize, paths: &[PathBuf], image: Size, size: Size) -> Result<Target, Error> {
        let mut united: Option<Vec<u8>> = None;
        for path in paths {
            let classes = self.classes(row, path, image)?;
            match &mut united {
                Some(all) => palette::unite(all, &classes),
                None => united = Some(classes),
            }
        }
        let classes = united.unwrap_or_else(|| vec![Target::NO_PIXEL; image.height * image.width]);
        Ok(palette::target(&classes, image, size))
    }

    /// The mask of one binary file per class.
    fn layered(&self, row: usize, layers: &[(u8, PathBuf)], image: Size, size: Size) -> Result<Target, Error> {
        let mut classes = vec![0; image.pixels()];
        for (class, path) in layers {
            let inside = self.classes(row, path, image)?;
            classes.iter_mut().zip(inside).filter(|(_, inside)| *inside == 1).for_each(|(pixel, _)| *pixel = *class);
        }
        Ok(palette::target(&classes, image, size))
    }

    /// The classes of one mask file at the size of its image.
    fn classes(&self, row: usize, path: &Path, image: Size) -> Result<Vec<u8>, Error> {
        let orientation = self.files.get(&self.rows[row].image).and_then(|facts| match &facts.content {
            FileContent::Image(image) => Some(image.orientation),
            _ => None,
        });
        let fail = |reason| Error::Mask { path: path.to_owned(), reason };
        let mask = mask::read(&decode::read_file(path)?, self.palette.has_colours(), self.masks.turn(orientation))
            .map_err(|problem| Error::Image { path: path.to_owned(), problem })?;
        if let Some(reason) = self.masks.misfit("mask", mask.size, image, orientation.unwrap_or(1)) {
            return Err(fail(reason));
        }
        let classes = self.palette.apply(&mask.codes).map_err(fail)?;
        Ok(if mask.size == image { classes } else { area::majority(&classes, mask.size, image) })
    }

    /// The mask of run-length encoded parts; their values are classes.
    fn filled(runs: &[(u8, Runs)], image: Size, size: Size) -> Target {
        // All parts of one image have the size that the annotations give it.
        let from = runs.first().map_or(image, |(_, runs)| runs.size);
        let mut classes = vec![0; from.pixels()];
        runs.iter().filter(|(_, runs)| runs.size == from).for_each(|(class, runs)| runs.fill(&mut classes, *class));
        palette::target(&classes, from, size)
    }

    /// The mask of outlines; their values are classes.
    fn drawn(outlines: &[(u8, Outline)], image: Size, size: Size) -> Target {
        let mut classes = vec![0; image.pixels()];
        outlines.iter().for_each(|(class, outline)| polygon::fill(&mut classes, image, outline, *class));
        palette::target(&classes, image, size)
    }

    fn depth(&self, path: &Path, image: Size, size: Size) -> Result<Target, Error> {
        let (values, depth_size) = depth(&decode::read_file(path)?, &self.encoding)
            .map_err(|problem| Error::Image { path: path.to_owned(), problem })?;
        if depth_size != image {
            return Err(Error::Mask { path: path.to_owned(), reason: size_mismatch("depth map", depth_size, image) });
        }
        Ok(Target::Dense(area::mean(&values, image, size)))
    }
}

impl Dataset for ImageFiles {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn row_name(&self, row: usize) -> String {
        walk::relative(&self.rows[row].image, &self.root)
    }

    fn labels(&self, row: usize) -> Vec<Labels> {
        self.rows[row].labels.iter().map(Label::labels).collect()
    }

    fn subset(&self, row: usize) -> Option<Subset> {
        self.rows[row].subset
    }

    fn row_notes(&self, row: usize) -> Option<&RowNotes> {
        Some(&self.rows[row].notes)
    }

    fn sample(&self, at: usize, size: Size) -> Result<Sample, Error> {
        let row = &self.rows[at];
        let image = Picture::decode(&decode::read_file(&row.image)?, self.schema.channels)
            .map_err(|problem| Error::Image { path: row.image.clone(), problem })?;
        let native = image.size();
        let mut targets = Vec::with_capacity(row.labels.len());
        for (task, label) in self.schema.tasks.iter().zip(&row.labels) {
            targets.push(match label {
                Label::Mask(paths) => self.mask(at, paths, native, size)?,
                Label::Alpha => {
                    let alpha = image.alpha_mask().ok_or_else(|| Error::Mask {
                        path: row.image.clone(),
                        reason: "the image has lost its alpha channel since the data set was opened".into(),
                    })?;
                    palette::target(&alpha, native, size)
                }
                Label::Layers(layers) => self.layered(at, layers, native, size)?,
                Label::Outlines(outlines) => Self::drawn(outlines, native, size),
                Label::Runs(runs) => Self::filled(runs, native, size),
                Label::Depth(path) => self.depth(path, native, size)?,
                Label::Class(_) | Label::YesNo(_) | Label::Value(_) | Label::Missing => {
                    label.image_target().unwrap_or_else(|| task.kind.missing(1, size.height, size.width))
                }
            });
        }
        Ok(Sample { image: image.planes(self.schema.channels, size, self.largest), targets })
    }

    fn content_hash(&self, row: usize) -> Result<Option<u64>, Error> {
        if let Some(decoded) = self.decoded(row) {
            return Ok(decoded.fingerprint.content);
        }
        Ok(Some(hash(&decode::read_file(&self.rows[row].image)?)))
    }

    fn facts(&self, row: usize, wanted: Wanted) -> Result<RowFacts, Error> {
        let content = if wanted.content || wanted.fingerprint { self.content_hash(row)? } else { None };
        let fingerprint = match self.decoded(row) {
            _ if !wanted.fingerprint => None,
            Some(decoded) => Some(decoded.fingerprint.clone()),
            None => {
                let path = &self.rows[row].image;
                let channels = if is_multi_channel(self.schema.channels) { self.schema.channels } else { 3 };
                let (planes, _) = picture::load(path, channels, SMALL, self.largest)?;
                Some(Fingerprint::from_planes(&planes, channels, SMALL, content))
            }
        };
        let mut labels = Vec::new();
        if wanted.labels {
            for (task, label) in self.schema.tasks.iter().zip(&self.rows[row].labels) {
                labels.push(self.label_facts(row, label, task)?);
            }
        }
        Ok(RowFacts { content, fingerprint, labels })
    }

    fn files(&self) -> Vec<(&Path, &FileFacts)> {
        self.files.iter().map(|(path, facts)| (path.as_path(), facts)).collect()
    }

    fn largest_value(&self) -> Option<f32> {
        self.largest
    }

    fn native_size(&self, row: usize) -> Option<Size> {
        Some(self.files.get(&self.rows.get(row)?.image)?.size)
    }

    fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    fn reading(&self) -> Reading {
        self.reading.clone()
    }

    fn reading_mut(&mut self) -> Option<&mut Reading> {
        Some(&mut self.reading)
    }
}
