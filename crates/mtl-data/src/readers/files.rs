//! Data sets of image files, as all readers of loose files build them.
//!
//! A reader fills a [`Draft`] from names and tables alone. [`Draft::build`] then reads every file once, skips the rows with
//! missing or broken files (within limits), and finds the mask values and whether all images are grey.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;

use mtl_task::{Target, Task, TaskKind};
use rayon::prelude::*;
use tracing::{debug, info, trace};

use super::depth_maps::say_depth;
use super::masks::{self, Meaning};
use super::row::{Label, Row};
use super::scan::{MaskReading, ScannedRow, Scanner, size_mismatch};
use super::summary::Summary;
use super::{OpenOptions, walk};
use crate::dataset::{Dataset, Labels, Sample, Schema, Subset};
use crate::error::{Error, Skipped};
use crate::facts::{DecodedFacts, FileContent, FileFacts, LabelFacts, RowFacts, Wanted};
use crate::image::depth::{Encoding, depth};
use crate::image::fingerprint::{Fingerprint, SMALL, hash};
use crate::image::palette::Palette;
use crate::image::polygon::{self, Outline};
use crate::image::runs::Runs;
use crate::image::{area, decode, mask, palette, resize};
use crate::reading::Reading;
use crate::row_notes::RowNotes;
use crate::size::Size;

/// A data set before any image file is opened: names, labels and rows from folder names and tables.
pub(super) struct Draft {
    pub root: PathBuf,
    /// A segmentation task's classes are filled in by [`Draft::build`].
    pub tasks: Vec<Task>,
    pub rows: Vec<Row>,
    pub meaning: Meaning,
    /// If every image has an alpha channel and some use it, it becomes the task `mask`.
    pub alpha_as_mask: bool,
    /// Whether all other files of the folder are counted as not read.
    pub count_rest: bool,
    /// Files that were read for names and labels.
    pub tables: Vec<PathBuf>,
    /// Files that belong to no row although the layout has a place for them, with the reason.
    pub left: BTreeMap<PathBuf, &'static str>,
    pub reading: Reading,
}

/// The task every reader with mask files declares.
pub(super) fn mask_task(name: &str) -> Task {
    Task::new(name, TaskKind::Segmentation { classes: Vec::new() })
}

/// How many rows with broken files may be skipped; see [`OpenOptions::max_broken`].
fn allowed_broken(rows: usize, share: f64) -> usize {
    if share == 0.0 { 0 } else { ((rows as f64 * share) as usize).max(1) }
}

impl Draft {
    pub(super) fn build(mut self, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
        if self.rows.is_empty() {
            let reason = "no PNG, JPEG, WebP, BMP, GIF, TIFF or PNM where this layout has them".into();
            return Err(Error::Empty { path: self.root, reason });
        }
        let colours = matches!(&self.meaning, Meaning::Known(palette) if palette.has_colours());
        let known = matches!(self.meaning, Meaning::Known(_));
        let encoding = options.depth_encoding();
        let masks = MaskReading { colours, as_stored: options.masks_as_stored, resize: options.resize_masks };
        let scanner = Scanner {
            verify: options.verify,
            decode_masks: !known || options.verify,
            masks,
            depth: &encoding,
            known: options.known.as_deref(),
            reused: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
        };
        let mut facts: Vec<ScannedRow> = self.rows.par_iter().map(|row| scanner.row(row)).collect();
        let mut palette = masks::settle(&self.meaning, &mut facts, &self.root, &mut self.reading)?;
        let rows = self.rows.len();
        let broken: Vec<Skipped> = facts.iter().flat_map(|facts| facts.broken.iter().cloned()).collect();
        let broken_rows = facts.iter().filter(|facts| !facts.broken.is_empty()).count();
        let allowed = allowed_broken(rows, options.max_broken);
        if broken_rows > allowed || broken_rows == rows {
            return Err(Error::TooManyBroken { path: self.root, broken, broken_rows, rows, allowed });
        }
        let path = self.root.display();
        let (reused, read) = (scanner.reused.into_inner(), scanner.read.into_inner());
        debug!(%path, rows, reused, read, "files scanned");
        for Skipped { path, reason } in &broken {
            trace!(path = %path.display(), reason, "file missing or broken");
        }
        if let Some(first) = broken.first() {
            info!(%path, rows, broken_rows, first = %first.path.display(), reason = first.reason, "rows skipped");
        }
        let mut kept = Vec::with_capacity(rows);
        let mut files = BTreeMap::new();
        let all: Vec<PathBuf> = self.rows.iter().flat_map(Row::files).cloned().collect();
        let mut images = Summary::default();
        for (row, scanned) in self.rows.into_iter().zip(facts).filter(|(_, scanned)| scanned.broken.is_empty()) {
            images.add(&row.image, &scanned);
            files.extend(scanned.image.map(|facts| (row.image.clone(), facts)));
            files.extend(scanned.labels);
            kept.push(row);
        }
        let largest = options.largest_value.or_else(|| images.largest());
        images.say(largest, options, &mut self.reading);
        if self.alpha_as_mask && images.alpha_is_mask(&mut self.reading) {
            self.tasks.push(mask_task("mask"));
            kept.iter_mut().for_each(|row| row.labels.push(Label::Alpha));
            palette = Palette::binary(1);
        }
        for task in &mut self.tasks {
            if let TaskKind::Segmentation { classes } = &mut task.kind {
                *classes = match &self.meaning {
                    Meaning::Layers(names) => std::iter::once("background".to_owned()).chain(names.clone()).collect(),
                    _ => palette.classes().to_vec(),
                };
            }
        }
        if self.tasks.is_empty() {
            self.reading.guess("no labels were found: only tasks without labels (generation) can be trained");
        }
        say_depth(files.values(), options, &mut self.reading);
        let channels = options.channels.unwrap_or(if images.grey { 1 } else { 3 });
        let schema = Schema { name: walk::dataset_name(&self.root), channels, tasks: self.tasks };
        let (root, mut reading) = (self.root, self.reading);
        let left = self.left.into_iter().map(|(path, reason)| {
            reading.leave(reason, &path);
            path
        });
        let mut used: BTreeSet<PathBuf> = left.collect();
        used.extend(all.into_iter().chain(self.tables));
        if self.count_rest {
            walk::leave_rest(&root, &used, &mut reading)?;
        }
        Ok(Box::new(ImageFiles {
            root,
            schema,
            rows: kept,
            files,
            palette,
            masks,
            encoding,
            largest,
            skipped: broken,
            reading,
        }))
    }
}

struct ImageFiles {
    root: PathBuf,
    schema: Schema,
    rows: Vec<Row>,
    /// Facts about every file of every row.
    files: BTreeMap<PathBuf, FileFacts>,
    palette: Palette,
    masks: MaskReading,
    /// End of the range of images of more than 8 bits.
    largest: Option<f32>,
    encoding: Encoding,
    skipped: Vec<Skipped>,
    reading: Reading,
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
        let mut classes = vec![0; image.pixels()];
        runs.iter().filter(|(_, runs)| runs.size == image).for_each(|(class, runs)| runs.fill(&mut classes, *class));
        palette::target(&classes, image, size)
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
        let labels = self.rows[row].labels.iter().map(|label| match label {
            Label::Class(class) => Labels::Class(*class),
            Label::YesNo(cells) if cells.iter().any(Option::is_some) => Labels::MultiLabel(cells.clone()),
            Label::Mask(_)
            | Label::Layers(_)
            | Label::Alpha
            | Label::Outlines(_)
            | Label::Runs(_)
            | Label::Depth(_) => Labels::Pixels,
            Label::Value(value) => Labels::Value(*value),
            Label::YesNo(_) | Label::Missing => Labels::Missing,
        });
        labels.collect()
    }

    fn subset(&self, row: usize) -> Option<Subset> {
        self.rows[row].subset
    }

    fn row_notes(&self, row: usize) -> Option<&RowNotes> {
        Some(&self.rows[row].notes)
    }

    fn sample(&self, at: usize, size: Size) -> Result<Sample, Error> {
        let row = &self.rows[at];
        let image = decode::decode(&decode::read_file(&row.image)?)
            .map_err(|problem| Error::Image { path: row.image.clone(), problem })?;
        let native = decode::size_of(&image);
        let mut targets = Vec::with_capacity(row.labels.len());
        for (task, label) in self.schema.tasks.iter().zip(&row.labels) {
            targets.push(match label {
                Label::Class(class) => Target::Class(vec![*class as i32]),
                Label::YesNo(cells) => Target::MultiLabel(
                    cells.iter().map(|cell| cell.map_or(f32::NAN, |yes| f32::from(u8::from(yes)))).collect(),
                ),
                Label::Mask(paths) => self.mask(at, paths, native, size)?,
                Label::Alpha => {
                    let alpha = decode::alpha_mask(&image).ok_or_else(|| Error::Mask {
                        path: row.image.clone(),
                        reason: "the image has lost its alpha channel since the data set was opened".into(),
                    })?;
                    palette::target(&alpha, native, size)
                }
                Label::Layers(layers) => self.layered(at, layers, native, size)?,
                Label::Outlines(outlines) => Self::drawn(outlines, native, size),
                Label::Runs(runs) => Self::filled(runs, native, size),
                Label::Depth(path) => self.depth(path, native, size)?,
                Label::Value(value) => Target::Value(vec![*value]),
                Label::Missing => task.kind.missing(1, size.height, size.width),
            });
        }
        let image = decode::eight_bits(image, self.largest);
        Ok(Sample { image: resize::planes(&image, self.schema.channels, size), targets })
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
                let (planes, _) = decode::load(path, 3, SMALL, self.largest)?;
                Some(Fingerprint::from_planes(&planes, 3, SMALL, content))
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
