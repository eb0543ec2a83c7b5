//! One pass over the files of a folder: headers, pixels if they are to be verified, and the contents of masks and depth maps.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::row::{Label, Row};
use crate::error::{Error, Skipped};
use crate::facts::{DecodedFacts, DenseFacts, FileContent, FileFacts, ImageFacts, Stamp};
use crate::image::depth::{Encoding, depth};
use crate::image::fingerprint::{Fingerprint, SMALL, hash};
use crate::image::mask::Code;
use crate::image::{decode, mask, resize};
use crate::inventory::Inventory;
use crate::size::Size;

/// Settings of the pass, and counts of the files it went through.
pub(super) struct Scanner<'a> {
    /// Decode images.
    pub verify: bool,
    /// Decode masks.
    pub decode_masks: bool,
    /// Indexed masks stand for their colours.
    pub colours: bool,
    /// How depth files are read.
    pub depth: &'a Encoding,
    /// Facts of an earlier pass.
    pub known: Option<&'a Inventory>,
    /// Sound files whose facts come from `known`.
    pub reused: AtomicUsize,
    /// Sound files that were read.
    pub read: AtomicUsize,
}

/// Facts about one row's files, and their faults.
pub(super) struct ScannedRow {
    pub image: Option<FileFacts>,
    /// Masks and depth maps.
    pub labels: Vec<(PathBuf, FileFacts)>,
    pub broken: Vec<Skipped>,
}

impl ScannedRow {
    pub(super) fn image(&self) -> Option<&ImageFacts> {
        match &self.image.as_ref()?.content {
            FileContent::Image(image) => Some(image),
            _ => None,
        }
    }

    /// Whether a pixel is transparent; by the header alone: whether one could be.
    pub(super) fn transparent(&self) -> bool {
        let Some((facts, image)) = self.image.as_ref().zip(self.image()) else { return false };
        let opaque = image.decoded.as_ref().map_or(0, |decoded| decoded.opaque);
        image.alpha && opaque < facts.size.pixels() as u64
    }

    pub(super) fn masks(&self) -> impl Iterator<Item = (&PathBuf, &Vec<(Code, u64)>)> {
        self.labels.iter().filter_map(|(path, facts)| match &facts.content {
            FileContent::Mask { codes, .. } => Some((path, codes)),
            _ => None,
        })
    }
}

impl Scanner<'_> {
    /// Reads all files of a row; faults are collected, not returned.
    pub(super) fn row(&self, row: &Row) -> ScannedRow {
        let mut scanned = ScannedRow { image: None, labels: Vec::new(), broken: Vec::new() };
        let fault = |path: &Path, reason: String| Skipped { path: path.to_owned(), reason };
        match self.image(&row.image) {
            Ok(facts) => scanned.image = Some(facts),
            Err(reason) => scanned.broken.push(fault(&row.image, reason)),
        }
        let image_size = scanned.image.as_ref().map(|facts| facts.size);
        for label in &row.labels {
            let (paths, what) = match label {
                Label::Mask(paths) => (paths.as_slice(), "mask"),
                Label::Depth(path) => (std::slice::from_ref(path), "depth map"),
                _ => continue,
            };
            for path in paths {
                match if what == "mask" { self.mask(path) } else { self.depth(path) } {
                    Ok(facts) => {
                        let misfit = image_size.filter(|&image| image != facts.size);
                        scanned.broken.extend(misfit.map(|image| fault(path, size_mismatch(what, facts.size, image))));
                        scanned.labels.push((path.clone(), facts));
                    }
                    Err(reason) => scanned.broken.push(fault(path, reason)),
                }
            }
        }
        scanned
    }

    fn known(&self, path: &Path, enough: impl Fn(&FileContent) -> bool) -> Option<FileFacts> {
        let facts = self.known?.unchanged(path).filter(|facts| enough(&facts.content)).cloned()?;
        self.reused.fetch_add(1, Ordering::Relaxed);
        Some(facts)
    }

    fn facts(&self, stamp: Stamp, size: Size, content: FileContent) -> FileFacts {
        self.read.fetch_add(1, Ordering::Relaxed);
        FileFacts { stamp, size, content }
    }

    fn image(&self, path: &Path) -> Result<FileFacts, String> {
        let enough = |content: &FileContent| matches!(content, FileContent::Image(image) if image.decoded.is_some() == self.verify);
        if let Some(facts) = self.known(path, enough) {
            return Ok(facts);
        }
        // The time of last change is taken before the bytes: a change in between makes the facts stale, not wrong.
        let stamp = stamp(path);
        let bytes = read(path)?;
        let header = decode::inspect(&bytes).map_err(|problem| problem.to_string())?;
        let mut facts = ImageFacts { grey: header.grey, alpha: header.alpha, decoded: None };
        if self.verify {
            let image = decode::decode(&bytes).map_err(|problem| problem.to_string())?;
            facts.grey = decode::is_grey(&image);
            let all = header.size.pixels() as u64;
            facts.decoded = Some(DecodedFacts {
                fingerprint: Fingerprint::from_planes(&resize::planes(&image, 3, SMALL), 3, SMALL, Some(hash(&bytes))),
                opaque: decode::alpha_mask(&image).map_or(all, |mask| mask.iter().map(|&one| u64::from(one)).sum()),
            });
        }
        Ok(self.facts(stamp, header.size, FileContent::Image(facts)))
    }

    fn mask(&self, path: &Path) -> Result<FileFacts, String> {
        let enough = |content: &FileContent| {
            matches!(content, FileContent::Mask { colours, codes }
                if *colours == self.colours && codes.is_empty() != self.decode_masks)
        };
        if let Some(facts) = self.known(path, enough) {
            return Ok(facts);
        }
        let stamp = stamp(path);
        let bytes = read(path)?;
        let (size, codes) = if self.decode_masks {
            let (codes, size) = mask::codes(&bytes, self.colours).map_err(|problem| problem.to_string())?;
            let mut counts: BTreeMap<Code, u64> = BTreeMap::new();
            for run in codes.chunk_by(|a, b| a == b) {
                *counts.entry(run[0]).or_default() += run.len() as u64;
            }
            (size, counts.into_iter().collect())
        } else {
            (decode::inspect(&bytes).map_err(|problem| problem.to_string())?.size, Vec::new())
        };
        Ok(self.facts(stamp, size, FileContent::Mask { colours: self.colours, codes }))
    }

    fn depth(&self, path: &Path) -> Result<FileFacts, String> {
        let same =
            |content: &FileContent| matches!(content, FileContent::Depth { encoding, .. } if encoding == self.depth);
        if let Some(facts) = self.known(path, same) {
            return Ok(facts);
        }
        let stamp = stamp(path);
        let (values, size) = depth(&read(path)?, self.depth).map_err(|problem| problem.to_string())?;
        let content = FileContent::Depth { encoding: self.depth.clone(), facts: DenseFacts::of(&values) };
        Ok(self.facts(stamp, size, content))
    }
}

/// A stamp that no file has stands for an unknown one.
fn stamp(path: &Path) -> Stamp {
    Stamp::of(path).unwrap_or(Stamp { bytes: u64::MAX, modified_ns: u64::MAX, changed_ns: u64::MAX })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    decode::read_file(path).map_err(|error| match error {
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => "no such file".into(),
        Error::Io { source, .. } => source.to_string(),
        Error::Image { problem, .. } => problem.to_string(),
        other => other.to_string(),
    })
}

pub(super) fn size_mismatch(what: &str, size: Size, image: Size) -> String {
    format!("the {what} is {} x {} pixels, its image {} x {}", size.width, size.height, image.width, image.height)
}
