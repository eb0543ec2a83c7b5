//! A data set of image files before it is read, as all readers of loose files build it.
//!
//! A reader fills a [`Draft`] from names and tables alone. [`Draft::build`] then reads every file once, skips the rows with
//! missing or broken files (within limits), and finds the mask values and whether all images are grey.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;

use mtl_task::{Task, TaskKind};
use rayon::prelude::*;
use tracing::{debug, info, trace};

use super::depth_maps::say_depth;
use super::files::ImageFiles;
use super::masks::{self, Meaning};
use super::row::{Label, Row};
use super::scan::{MaskReading, ScannedRow, Scanner};
use super::summary::Summary;
use super::{OpenOptions, walk};
use crate::dataset::{Dataset, Schema};
use crate::error::{Error, Skipped};
use crate::image::palette::Palette;
use crate::reading::Reading;

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
pub(super) fn allowed_broken(rows: usize, share: f64) -> usize {
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
            channels: options.channels.unwrap_or(3),
            decode_masks: !known || options.verify,
            masks,
            depth: &encoding,
            known: options.known.as_deref(),
            reused: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
        };
        let pass = options.progress.pass("reading files", self.rows.len());
        let scan = |row| {
            let scanned = scanner.row(row);
            pass.tick();
            scanned
        };
        let mut facts: Vec<ScannedRow> = self.rows.par_iter().map(scan).collect();
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
        if !self.alpha_as_mask {
            images.say_transparent(&mut self.reading);
        }
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
