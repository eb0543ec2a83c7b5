//! Data sets of image files: what all readers of loose files build.
//!
//! A reader fills a [`Draft`] from names and tables alone; [`Draft::build`] then looks into every file, drops the rows
//! with missing or broken ones (within limits), finds out what the mask values are and whether the images are grey.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mtl_task::{Target, Task, TaskKind};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{OpenOptions, walk};
use crate::dataset::{Dataset, Error, Labels, Part, Sample, Schema, Size, Skipped};
use crate::mask::Code;
use crate::palette::Palette;
use crate::{decode, mask, palette, resize};

/// A row's label for one task.
#[derive(Clone, Debug)]
pub(super) enum Label {
    Class(usize),
    /// One cell a label of a multi-label task.
    YesNo(Vec<Option<bool>>),
    /// One or more mask files; several are united.
    Mask(Vec<PathBuf>),
    /// The image's own alpha channel.
    Alpha,
    Depth(PathBuf),
    Missing,
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub image: PathBuf,
    /// One a task.
    pub labels: Vec<Label>,
    pub part: Option<Part>,
}

/// Where the meaning of mask values comes from.
pub(super) enum Meaning {
    Known(Palette),
    /// Zero and one other value, 1 or 255.
    Binary,
    /// From all masks together.
    Discover,
}

/// What a reader knows before any image file is opened.
pub(super) struct Draft {
    pub root: PathBuf,
    /// A segmentation task's classes are filled in by [`Draft::build`].
    pub tasks: Vec<Task>,
    pub rows: Vec<Row>,
    pub meaning: Meaning,
    /// If every image has an alpha channel and some use it, it becomes the task `mask`.
    pub alpha_as_mask: bool,
    pub notes: Vec<String>,
}

/// The task every reader with mask files declares.
pub(super) fn mask_task(name: &str) -> Task {
    Task::new(name, TaskKind::Segmentation { classes: Vec::new() })
}

/// `palette.csv` in one of the folders, if there is one.
pub(super) fn palette_file(folders: &[&Path]) -> Result<Option<Palette>, Error> {
    let file = folders.iter().map(|folder| folder.join("palette.csv")).find(|path| path.is_file());
    file.map(|path| Palette::read(&path)).transpose()
}

/// How many rows with broken files may be skipped; see [`OpenOptions::max_broken`].
fn allowed_broken(rows: usize, share: f64) -> usize {
    if share == 0.0 { 0 } else { ((rows as f64 * share) as usize).max(1) }
}

/// What one row's files turned out to be.
struct Facts {
    size: Size,
    grey: bool,
    alpha: bool,
    transparent: bool,
    masks: Vec<(PathBuf, BTreeSet<Code>)>,
    broken: Vec<Skipped>,
}

impl Draft {
    pub(super) fn build(mut self, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
        if self.rows.is_empty() {
            let reason = "no PNG, JPEG, WebP, BMP or GIF where this layout has them".into();
            return Err(Error::Empty { path: self.root, reason });
        }
        let colours = matches!(&self.meaning, Meaning::Known(palette) if palette.has_colours());
        let known = matches!(self.meaning, Meaning::Known(_));
        let mut facts: Vec<Facts> =
            self.rows.par_iter().map(|row| look(row, options.verify, !known || options.verify, colours)).collect();
        let palette = self.settle_palette(&mut facts)?;
        let rows = self.rows.len();
        let broken: Vec<Skipped> = facts.iter().flat_map(|facts| facts.broken.iter().cloned()).collect();
        let broken_rows = facts.iter().filter(|facts| !facts.broken.is_empty()).count();
        let allowed = allowed_broken(rows, options.max_broken);
        if broken_rows > allowed || broken_rows == rows {
            return Err(Error::TooManyBroken { path: self.root, broken, broken_rows, rows, allowed });
        }
        let mut kept = Vec::with_capacity(rows);
        let mut sizes = Vec::with_capacity(rows);
        let (mut grey, mut alpha, mut transparent) = (true, true, false);
        for (row, facts) in self.rows.into_iter().zip(facts).filter(|(_, facts)| facts.broken.is_empty()) {
            kept.push(row);
            sizes.push(facts.size);
            grey &= facts.grey;
            alpha &= facts.alpha;
            transparent |= facts.transparent;
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
            self.notes.push(format!(
                "the masks' values are taken as {} classes: {classes}; a palette.csv (`value,name`) beside the images \
                 names them, and any other value is then an error",
                palette.classes().len()
            ));
        }
        if self.tasks.is_empty() {
            self.notes.push("no labels were found: only tasks without labels (generation) can be trained".into());
        }
        let channels = options.channels.unwrap_or(if grey { 1 } else { 3 });
        let schema = Schema { name: walk::dataset_name(&self.root), channels, tasks: self.tasks };
        let (root, notes) = (self.root, self.notes);
        Ok(Box::new(ImageFiles { root, schema, rows: kept, sizes, palette, skipped: broken, notes }))
    }

    /// Gives mask values their classes and marks rows with unknown values as broken.
    fn settle_palette(&self, facts: &mut [Facts]) -> Result<Palette, Error> {
        let sound = || facts.iter().filter(|facts| facts.broken.is_empty()).flat_map(|facts| &facts.masks);
        let values: BTreeSet<Code> = sound().flat_map(|(_, values)| values.iter().copied()).collect();
        let palette = match &self.meaning {
            Meaning::Known(palette) => palette.clone(),
            Meaning::Binary if values.contains(&Code::grey(255)) => Palette::binary(255),
            Meaning::Binary => Palette::binary(1),
            Meaning::Discover => Palette::discover(&values).map_err(|reason| {
                let guilty = sound().find(|(_, values)| Palette::discover(values).is_err());
                Error::Mask { path: guilty.map_or(&self.root, |(path, _)| path).clone(), reason }
            })?,
        };
        for facts in facts {
            for (path, values) in &facts.masks {
                let unknown: BTreeSet<Code> = values.iter().copied().filter(|&v| palette.class(v).is_none()).collect();
                if !unknown.is_empty() {
                    facts.broken.push(Skipped { path: path.clone(), reason: palette.unknown_words(&unknown) });
                }
            }
        }
        Ok(palette)
    }
}

/// Looks into all files of a row; problems are collected, not returned.
fn look(row: &Row, verify_images: bool, decode_masks: bool, colours: bool) -> Facts {
    let mut facts = Facts {
        size: Size { height: 0, width: 0 },
        grey: true,
        alpha: false,
        transparent: false,
        masks: Vec::new(),
        broken: Vec::new(),
    };
    let mut broken = Vec::new();
    let mut fail = |path: &Path, reason: String| broken.push(Skipped { path: path.to_owned(), reason });
    let mut image_size = None;
    match read(&row.image).and_then(|bytes| {
        let header = decode::inspect(&bytes).map_err(|problem| problem.to_string())?;
        let image = verify_images.then(|| decode::decode(&bytes)).transpose().map_err(|problem| problem.to_string())?;
        Ok((header, image))
    }) {
        Err(reason) => fail(&row.image, reason),
        Ok((header, image)) => {
            image_size = Some(header.size);
            facts.size = header.size;
            facts.alpha = header.alpha;
            facts.grey = image.as_ref().map_or(header.grey, decode::is_grey);
            facts.transparent = image
                .as_ref()
                .map_or(header.alpha, |image| decode::alpha_mask(image).is_some_and(|alpha| alpha.contains(&0)));
        }
    }
    let misfit =
        |size: Size, what: &str| image_size.filter(|image| *image != size).map(|image| size_words(what, size, image));
    for label in &row.labels {
        match label {
            Label::Mask(paths) => {
                for path in paths {
                    match look_at_mask(path, decode_masks, colours) {
                        Ok((size, values)) => {
                            misfit(size, "mask").into_iter().for_each(|reason| fail(path, reason));
                            facts.masks.push((path.clone(), values));
                        }
                        Err(reason) => fail(path, reason),
                    }
                }
            }
            Label::Depth(path) => {
                match read(path).and_then(|bytes| mask::depth(&bytes).map_err(|problem| problem.to_string())) {
                    Ok((_, size)) => misfit(size, "depth map").into_iter().for_each(|reason| fail(path, reason)),
                    Err(reason) => fail(path, reason),
                }
            }
            Label::Class(_) | Label::YesNo(_) | Label::Alpha | Label::Missing => {}
        }
    }
    facts.broken = broken;
    facts
}

fn look_at_mask(path: &Path, decode_it: bool, colours: bool) -> Result<(Size, BTreeSet<Code>), String> {
    let bytes = read(path)?;
    if !decode_it {
        let header = decode::inspect(&bytes).map_err(|problem| problem.to_string())?;
        return Ok((header.size, BTreeSet::new()));
    }
    let (codes, size) = mask::codes(&bytes, colours).map_err(|problem| problem.to_string())?;
    let mut values = BTreeSet::new();
    let mut last = None;
    for code in codes {
        if last != Some(code) {
            values.insert(code);
            last = Some(code);
        }
    }
    Ok((size, values))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    decode::read_file(path).map_err(|error| match error {
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => "there is no such file".into(),
        Error::Io { source, .. } => source.to_string(),
        Error::Image { problem, .. } => problem.to_string(),
        other => other.to_string(),
    })
}

struct ImageFiles {
    root: PathBuf,
    schema: Schema,
    rows: Vec<Row>,
    sizes: Vec<Size>,
    palette: Palette,
    skipped: Vec<Skipped>,
    notes: Vec<String>,
}

impl ImageFiles {
    fn mask(&self, paths: &[PathBuf], image: Size, size: Size) -> Result<Target, Error> {
        let mut united: Option<Vec<u8>> = None;
        for path in paths {
            let fail = |reason| Error::Mask { path: path.clone(), reason };
            let bytes = decode::read_file(path)?;
            let (codes, mask_size) = mask::codes(&bytes, self.palette.has_colours())
                .map_err(|problem| Error::Image { path: path.clone(), problem })?;
            if mask_size != image {
                return Err(fail(size_words("mask", mask_size, image)));
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

    fn depth(path: &Path, image: Size, size: Size) -> Result<Target, Error> {
        let (values, depth_size) = mask::depth(&decode::read_file(path)?)
            .map_err(|problem| Error::Image { path: path.to_owned(), problem })?;
        if depth_size != image {
            return Err(Error::Mask { path: path.to_owned(), reason: size_words("depth map", depth_size, image) });
        }
        Ok(Target::Dense(resize::nearest(&values, image, size)))
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
            Label::Mask(_) | Label::Alpha | Label::Depth(_) => Labels::Pixels,
            Label::YesNo(_) | Label::Missing => Labels::Missing,
        });
        labels.collect()
    }

    fn part(&self, row: usize) -> Option<Part> {
        self.rows[row].part
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
                Label::Depth(path) => Self::depth(path, native, size)?,
                Label::Missing => task.kind.missing(1, size.height, size.width),
            });
        }
        Ok(Sample { image: resize::planes(&image, self.schema.channels, size), targets })
    }

    fn content_hash(&self, row: usize) -> Result<Option<u64>, Error> {
        Ok(Some(hash(&decode::read_file(&self.rows[row].image)?)))
    }

    fn native_size(&self, row: usize) -> Option<Size> {
        self.sizes.get(row).copied()
    }

    fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// The first 64 bits of SHA-256.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    digest.iter().take(8).fold(0, |hash, &byte| (hash << 8) | u64::from(byte))
}

fn size_words(what: &str, size: Size, image: Size) -> String {
    format!("the {what} is {} x {} pixels, its image {} x {}", size.width, size.height, image.width, image.height)
}
