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

use super::row::{Label, Row};
use super::scan::{ScannedRow, Scanner, size_mismatch};
use super::{OpenOptions, walk};
use crate::dataset::{Dataset, Labels, Sample, Schema, Subset};
use crate::error::{Error, Skipped};
use crate::facts::{DecodedFacts, FileContent, FileFacts, LabelFacts, RowFacts, Wanted};
use crate::image::fingerprint::{Fingerprint, SMALL, hash};
use crate::image::mask::Code;
use crate::image::palette::Palette;
use crate::image::polygon::{self, Outline};
use crate::image::{area, decode, mask, palette, resize};
use crate::reading::Reading;
use crate::row_notes::RowNotes;
use crate::size::Size;

/// Where the meaning of mask values comes from.
pub(super) enum Meaning {
    Known(Palette),
    /// Zero and one other value, 1 or 255.
    Binary,
    /// From all masks together.
    Discover,
}

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

/// `palette.csv` in one of the folders, if it exists.
pub(super) fn palette_file(folders: &[&Path]) -> Result<Option<Palette>, Error> {
    let file = folders.iter().map(|folder| folder.join("palette.csv")).find(|path| path.is_file());
    file.map(|path| Palette::read(&path)).transpose()
}

/// How many rows with broken files may be skipped; see [`OpenOptions::max_broken`].
fn allowed_broken(rows: usize, share: f64) -> usize {
    if share == 0.0 { 0 } else { ((rows as f64 * share) as usize).max(1) }
}

impl Draft {
    pub(super) fn build(mut self, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
        if self.rows.is_empty() {
            let reason = "no PNG, JPEG, WebP, BMP or GIF where this layout has them".into();
            return Err(Error::Empty { path: self.root, reason });
        }
        let colours = matches!(&self.meaning, Meaning::Known(palette) if palette.has_colours());
        let known = matches!(self.meaning, Meaning::Known(_));
        let scanner = Scanner {
            verify: options.verify,
            decode_masks: !known || options.verify,
            colours,
            known: options.known.as_deref(),
            reused: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
        };
        let mut facts: Vec<ScannedRow> = self.rows.par_iter().map(|row| scanner.row(row)).collect();
        let palette = self.settle_palette(&mut facts)?;
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
        let (mut grey, mut alpha, mut transparent) = (true, true, false);
        for (row, scanned) in self.rows.into_iter().zip(facts).filter(|(_, scanned)| scanned.broken.is_empty()) {
            grey &= scanned.image().is_none_or(|image| image.grey);
            alpha &= scanned.image().is_some_and(|image| image.alpha);
            transparent |= scanned.transparent();
            files.extend(scanned.image.map(|facts| (row.image.clone(), facts)));
            files.extend(scanned.labels);
            kept.push(row);
        }
        let mut palette = palette;
        if self.alpha_as_mask && alpha && transparent {
            self.tasks.push(mask_task("mask"));
            kept.iter_mut().for_each(|row| row.labels.push(Label::Alpha));
            palette = Palette::binary(1);
        }
        for task in &mut self.tasks {
            if let TaskKind::Segmentation { classes } = &mut task.kind {
                *classes = palette.classes().to_vec();
            }
        }
        if matches!(self.meaning, Meaning::Discover) && palette.classes().len() > 2 {
            let classes = palette.classes().join(", ");
            self.reading.guess(format!(
                "the masks' values are taken as {} classes: {classes}; a palette.csv (`value,name`) next to the images \
                 names them, and any other value is then an error",
                palette.classes().len()
            ));
        }
        if self.tasks.is_empty() {
            self.reading.guess("no labels were found: only tasks without labels (generation) can be trained");
        }
        let channels = options.channels.unwrap_or(if grey { 1 } else { 3 });
        let schema = Schema { name: walk::dataset_name(&self.root), channels, tasks: self.tasks };
        let (root, mut reading) = (self.root, self.reading);
        let rows_files = kept.iter().flat_map(Row::files);
        let left = self.left.into_iter().map(|(path, reason)| {
            reading.leave(reason, &path);
            path
        });
        let mut used: BTreeSet<PathBuf> = left.collect();
        used.extend(rows_files.cloned().chain(broken.iter().map(|skipped| skipped.path.clone())).chain(self.tables));
        if self.count_rest {
            walk::leave_rest(&root, &used, &mut reading)?;
        }
        Ok(Box::new(ImageFiles { root, schema, rows: kept, files, palette, skipped: broken, reading }))
    }

    /// Gives mask values their classes and marks rows with unknown values as broken.
    fn settle_palette(&self, facts: &mut [ScannedRow]) -> Result<Palette, Error> {
        let sound = || facts.iter().filter(|scanned| scanned.broken.is_empty()).flat_map(ScannedRow::masks);
        let set = |codes: &[(Code, u64)]| codes.iter().map(|(code, _)| *code).collect::<BTreeSet<_>>();
        let values: BTreeSet<Code> = sound().flat_map(|(_, codes)| codes.iter().map(|(code, _)| *code)).collect();
        let palette = match &self.meaning {
            Meaning::Known(palette) => palette.clone(),
            Meaning::Binary if values.contains(&Code::grey(255)) => Palette::binary(255),
            Meaning::Binary => Palette::binary(1),
            Meaning::Discover => Palette::discover(&values).map_err(|reason| {
                let first = sound().find(|(_, codes)| Palette::discover(&set(codes)).is_err());
                Error::Mask { path: first.map_or(&self.root, |(path, _)| path).clone(), reason }
            })?,
        };
        for scanned in facts {
            let unknown = |(path, codes): (&PathBuf, &Vec<(Code, u64)>)| {
                let mut unknown = set(codes);
                unknown.retain(|&code| palette.class(code).is_none());
                let reason = palette.unknown_message(&unknown);
                (!unknown.is_empty()).then(|| Skipped { path: path.clone(), reason })
            };
            let broken: Vec<Skipped> = scanned.masks().filter_map(unknown).collect();
            scanned.broken.extend(broken);
        }
        Ok(palette)
    }
}

struct ImageFiles {
    root: PathBuf,
    schema: Schema,
    rows: Vec<Row>,
    /// Facts about every file of every row.
    files: BTreeMap<PathBuf, FileFacts>,
    palette: Palette,
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
                ([_], Some(FileContent::Mask { codes, .. })) if !codes.is_empty() => {
                    let (mut pixels, mut unlabelled) = (vec![0; classes], 0);
                    for (code, count) in codes {
                        match self.palette.class(*code).and_then(|class| pixels.get_mut(usize::from(class))) {
                            Some(pixels) => *pixels += count,
                            None => unlabelled += count,
                        }
                    }
                    LabelFacts::Mask { pixels, unlabelled }
                }
                _ => LabelFacts::of(&self.mask(paths, native(), native())?, &task.kind),
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
            Label::Outlines(outlines) => LabelFacts::of(&Self::drawn(outlines, native(), native()), &task.kind),
            Label::Depth(path) => match content(path) {
                Some(FileContent::Depth(facts)) => LabelFacts::Dense(*facts),
                _ => LabelFacts::of(&Self::depth(path, native(), native())?, &task.kind),
            },
        })
    }

    fn mask(&self, paths: &[PathBuf], image: Size, size: Size) -> Result<Target, Error> {
        let mut united: Option<Vec<u8>> = None;
        for path in paths {
            let fail = |reason| Error::Mask { path: path.clone(), reason };
            let bytes = decode::read_file(path)?;
            let (codes, mask_size) = mask::codes(&bytes, self.palette.has_colours())
                .map_err(|problem| Error::Image { path: path.clone(), problem })?;
            if mask_size != image {
                return Err(fail(size_mismatch("mask", mask_size, image)));
            }
            let classes = self.palette.apply(&codes).map_err(fail)?;
            match &mut united {
                Some(all) => palette::unite(all, &classes),
                None => united = Some(classes),
            }
        }
        let classes = united.unwrap_or_else(|| vec![Target::NO_PIXEL; image.height * image.width]);
        Ok(palette::target(&classes, image, size))
    }

    /// The mask of outlines; their values are classes.
    fn drawn(outlines: &[(u8, Outline)], image: Size, size: Size) -> Target {
        let mut classes = vec![0; image.pixels()];
        outlines.iter().for_each(|(class, outline)| polygon::fill(&mut classes, image, outline, *class));
        palette::target(&classes, image, size)
    }

    fn depth(path: &Path, image: Size, size: Size) -> Result<Target, Error> {
        let (values, depth_size) = mask::depth(&decode::read_file(path)?)
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
            Label::Mask(_) | Label::Alpha | Label::Outlines(_) | Label::Depth(_) => Labels::Pixels,
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

    fn sample(&self, row: usize, size: Size) -> Result<Sample, Error> {
        let row = &self.rows[row];
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
                Label::Mask(paths) => self.mask(paths, native, size)?,
                Label::Alpha => {
                    let alpha = decode::alpha_mask(&image).ok_or_else(|| Error::Mask {
                        path: row.image.clone(),
                        reason: "the image has lost its alpha channel since the data set was opened".into(),
                    })?;
                    palette::target(&alpha, native, size)
                }
                Label::Outlines(outlines) => Self::drawn(outlines, native, size),
                Label::Depth(path) => Self::depth(path, native, size)?,
                Label::Missing => task.kind.missing(1, size.height, size.width),
            });
        }
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
                let (planes, _) = decode::load(path, 3, SMALL)?;
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
