//! One pass over the files of a folder: headers, pixels if they are to be verified, and the contents of masks and depth maps.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use image::metadata::Orientation;

use super::row::{Label, Row};
use crate::error::{Error, Problem, Skipped};
use crate::facts::{DecodedFacts, DenseFacts, FileContent, FileFacts, ImageFacts, MaskFacts, Stamp};
use crate::image::depth::{Encoding, depth};
use crate::image::fingerprint::{Fingerprint, SMALL, hash};
use crate::image::header::Header;
use crate::image::picture::{Picture, check_channels, is_multi_channel};
use crate::image::{decode, mask};
use crate::inventory::Inventory;
use crate::size::Size;

/// Settings of the pass, and counts of the files it went through.
pub(super) struct Scanner<'a> {
    /// Decode images.
    pub verify: bool,
    /// Channels of the images; 3 where that is still to be found.
    pub channels: usize,
    /// Decode masks.
    pub decode_masks: bool,
    /// How masks are read.
    pub masks: MaskReading,
    /// How depth files are read.
    pub depth: &'a Encoding,
    /// Facts of an earlier pass.
    pub known: Option<&'a Inventory>,
    /// Sound files whose facts come from `known`.
    pub reused: AtomicUsize,
    /// Sound files that were read.
    pub read: AtomicUsize,
}

/// How mask files are read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MaskReading {
    /// Indexed masks stand for their colours.
    pub colours: bool,
    /// Masks are drawn on the stored image: they are turned as its EXIF says.
    pub as_stored: bool,
    /// Masks of another size with the same aspect ratio are resized.
    pub resize: bool,
}

impl MaskReading {
    /// The turn of a mask whose image has this EXIF code; `None`: the mask's own.
    pub(super) fn turn(self, of_image: Option<u8>) -> Option<Orientation> {
        of_image.filter(|_| self.as_stored).and_then(Orientation::from_exif)
    }

    /// The fault of a mask of this size, if it has one.
    pub(super) fn misfit(self, what: &str, size: Size, image: Size, orientation: u8) -> Option<String> {
        if size == image {
            return None;
        }
        let (a, b) = ((size.width * image.height) as f64, (size.height * image.width) as f64);
        let same_aspect = (a - b).abs() <= 0.02 * a.max(b);
        if what == "mask" && self.resize && same_aspect {
            return None;
        }
        let mut reason = size_mismatch(what, size, image);
        let swapped = Size { height: image.width, width: image.height };
        if orientation > 4 && size == swapped {
            reason += if what == "mask" && !self.as_stored {
                "; the image is turned by EXIF and the mask fits it as it is stored: data.open.masks_as_stored = true \
                 turns masks like their images"
            } else {
                "; the image is turned by EXIF, and the file beside it is not"
            };
        } else if what == "mask" && same_aspect {
            reason += "; data.open.resize_masks = true resizes masks to their images";
        } else {
            reason += "; save it at the size of its image";
        }
        Some(reason)
    }
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

    pub(super) fn masks(&self) -> impl Iterator<Item = (&PathBuf, &MaskFacts)> {
        self.labels.iter().filter_map(|(path, facts)| match &facts.content {
            FileContent::Mask(mask) => Some((path, mask)),
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
        let orientation = scanned.image().map(|image| image.orientation);
        for label in &row.labels {
            let what = if matches!(label, Label::Depth(_)) { "depth map" } else { "mask" };
            if let (Label::Runs(runs), Some(image)) = (label, image_size)
                && let Some((_, runs)) = runs.iter().find(|(_, runs)| runs.size != image)
            {
                let reason = self.masks.misfit("mask", runs.size, image, orientation.unwrap_or(1));
                scanned.broken.extend(reason.map(|reason| fault(&row.image, reason)));
            }
            for path in label.files() {
                match if what == "mask" { self.mask(path, orientation) } else { self.depth(path) } {
                    Ok(facts) => {
                        let misfit = image_size
                            .and_then(|image| self.masks.misfit(what, facts.size, image, orientation.unwrap_or(1)));
                        scanned.broken.extend(misfit.map(|reason| fault(path, reason)));
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
        let multi = Some(self.channels).filter(|&channels| is_multi_channel(channels));
        let enough = |content: &FileContent| matches!(content, FileContent::Image(image) if image.decoded.is_some() == self.verify && image.channels == multi);
        if let Some(facts) = self.known(path, enough) {
            return Ok(facts);
        }
        // The time of last change is taken before the bytes: a change in between makes the facts stale, not wrong.
        let stamp = stamp(path);
        let bytes = read(path)?;
        let (size, facts) = image_facts(&bytes, self.verify, self.channels)?;
        Ok(self.facts(stamp, size, FileContent::Image(facts)))
    }

    /// `of_image`: the EXIF code of its image.
    fn mask(&self, path: &Path, of_image: Option<u8>) -> Result<FileFacts, String> {
        let turn = self.masks.turn(of_image);
        let enough = |content: &FileContent| {
            matches!(content, FileContent::Mask(mask)
                if mask.colours == self.masks.colours
                    && turn.is_none_or(|turn| turn.to_exif() == mask.orientation)
                    && mask.codes.is_empty() != self.decode_masks)
        };
        if let Some(facts) = self.known(path, enough) {
            return Ok(facts);
        }
        let stamp = stamp(path);
        let bytes = read(path)?;
        let words = |problem: Problem| problem.to_string();
        let header = decode::inspect(&bytes).map_err(words)?;
        let mut facts = MaskFacts {
            colours: self.masks.colours,
            orientation: turn.unwrap_or(header.orientation).to_exif(),
            codes: Vec::new(),
            from_alpha: false,
            lossy: false,
            smoothed: false,
        };
        let mut size = header.size;
        if self.decode_masks {
            let mask = mask::read(&bytes, self.masks.colours, turn).map_err(words)?;
            let mut counts: BTreeMap<_, u64> = BTreeMap::new();
            for run in mask.codes.chunk_by(|a, b| a == b) {
                *counts.entry(run[0]).or_default() += run.len() as u64;
            }
            size = mask.size;
            (facts.from_alpha, facts.lossy) = (mask.from_alpha, mask.lossy);
            facts.smoothed = counts.len() > 2 && mask::has_smoothed_edges(&mask.codes, mask.size);
            facts.codes = counts.into_iter().collect();
        }
        Ok(self.facts(stamp, size, FileContent::Mask(facts)))
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

/// Size and facts of an encoded image; `verify`: decode it.
fn image_facts(bytes: &[u8], verify: bool, channels: usize) -> Result<(Size, ImageFacts), String> {
    let words = |problem: Problem| problem.to_string();
    let header = decode::inspect(bytes).map_err(words)?;
    check_channels(&header, channels).map_err(words)?;
    let Header { grey, alpha, deep, .. } = header;
    let multi = Some(channels).filter(|&channels| is_multi_channel(channels));
    let orientation = header.orientation.to_exif();
    let mut facts =
        ImageFacts { grey, alpha: alpha && multi.is_none(), deep, orientation, channels: multi, decoded: None };
    if verify {
        let notes = decode::verify(bytes).map_err(words)?;
        let picture = Picture::decode(bytes, channels).map_err(words)?;
        facts.grey = picture.is_grey();
        let all = header.size.pixels() as u64;
        let largest = picture.largest_value().map_err(words)?;
        let opaque = picture.alpha_mask().map_or(all, |mask| mask.iter().map(|&one| u64::from(one)).sum());
        // In its own range, so that dark images of few bits do not look alike.
        let small = picture.thumbnail(SMALL);
        let fingerprint = Fingerprint::from_planes(&small, 3, SMALL, Some(hash(bytes)));
        facts.decoded = Some(DecodedFacts { fingerprint, opaque, largest, notes });
    }
    Ok((header.size, facts))
}

/// The same for an image that is no file of its own, under the name `path`.
#[cfg(feature = "parquet")]
pub(super) fn packed_image(path: &Path, bytes: &[u8], verify: bool, channels: usize) -> ScannedRow {
    let (image, broken) = match image_facts(bytes, verify, channels) {
        Ok((size, facts)) => (Some(FileFacts { stamp: UNKNOWN, size, content: FileContent::Image(facts) }), Vec::new()),
        Err(reason) => (None, vec![Skipped { path: path.to_owned(), reason }]),
    };
    ScannedRow { image, labels: Vec::new(), broken }
}

/// A stamp that no file has.
const UNKNOWN: Stamp = Stamp { bytes: u64::MAX, modified_ns: u64::MAX, changed_ns: u64::MAX };

fn stamp(path: &Path) -> Stamp {
    Stamp::of(path).unwrap_or(UNKNOWN)
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
