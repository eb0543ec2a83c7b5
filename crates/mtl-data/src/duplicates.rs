//! Images that are the same, or nearly.
//!
//! *Exact*: equal stored bytes, or equal pixels at 32 x 32 (the same picture saved twice). *Near*: the perceptual hash
//! of 64 bits (Zauner 2010: signs of the lowest 8 x 8 cosine coefficients of a 32 x 32 grey image about their median)
//! differs in at most [`MAX_BITS`] bits *and* 16 x 16 thumbnails differ by at most [`MAX_LEVELS`] grey levels on average:
//! the hash finds rescaled, recompressed and annotated copies, the thumbnail rejects flat pictures that only hash
//! alike. Mirrored or cropped copies are not found.
//!
//! Pairs are found by bands: hashes that differ in at most 7 of 64 bits agree in one of 8 bytes, so only rows that share
//! a byte are compared. 60,000 images take a few seconds, nearly all of it decoding.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Error, Size};
use crate::readers::hash;
use crate::resize;

/// Bits of 64 in which near duplicates may differ. At most 7, or pairs would be missed.
pub const MAX_BITS: u32 = 6;
/// Mean difference of near duplicates' thumbnails, in grey levels of 0 to 255.
pub const MAX_LEVELS: u32 = 10;

const SIDE: usize = 32;
const SMALL: Size = Size { height: SIDE, width: SIDE };
const THUMBNAIL: usize = 16;

/// What is kept of an image to compare it with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    content: Option<u64>,
    pixels: u64,
    perceptual: u64,
    thumbnail: Vec<u8>,
}

/// How alike two images are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Likeness {
    /// Equal bytes or equal pixels.
    Exact,
    /// Alike to the eye.
    Near,
}

impl Fingerprint {
    /// Decodes one row at 32 x 32.
    ///
    /// # Errors
    /// A file that cannot be read or decoded.
    pub fn of(dataset: &dyn Dataset, row: usize) -> Result<Self, Error> {
        let sample = dataset.sample(row, SMALL)?;
        Ok(Self::from_planes(&sample.image, dataset.schema().channels, SMALL, dataset.content_hash(row)?))
    }

    /// From `[channels, H, W]` bytes of any size and a hash of the stored content.
    pub fn from_planes(planes: &[u8], channels: usize, size: Size, content: Option<u64>) -> Self {
        let small = resize::stretch_planes(planes, channels, size, SMALL);
        let grey = if channels == 3 { resize::luma(&small) } else { small.clone() };
        let thumbnail = resize::stretch_planes(&grey, 1, SMALL, Size { height: THUMBNAIL, width: THUMBNAIL });
        Self { content, pixels: hash(&small), perceptual: perceptual_hash(&grey), thumbnail }
    }

    /// How alike two images are, if they are.
    pub fn likeness(&self, other: &Self) -> Option<Likeness> {
        if (self.content.is_some() && self.content == other.content) || self.pixels == other.pixels {
            return Some(Likeness::Exact);
        }
        if (self.perceptual ^ other.perceptual).count_ones() > MAX_BITS {
            return None;
        }
        let differences = self.thumbnail.iter().zip(&other.thumbnail).map(|(&a, &b)| u32::from(a.abs_diff(b)));
        (differences.sum::<u32>() <= MAX_LEVELS * (THUMBNAIL * THUMBNAIL) as u32).then_some(Likeness::Near)
    }
}

/// All pairs `(first, second, likeness)` with `first < second`, sorted. `None` stands for an image that could not be
/// read and is like no other.
pub fn pairs(prints: &[Option<Fingerprint>]) -> Vec<(usize, usize, Likeness)> {
    let known: Vec<usize> = (0..prints.len()).filter(|&row| prints[row].is_some()).collect();
    let print = |row: usize| prints[row].as_ref();
    // Bands 0 to 7 are the bytes of the perceptual hash; 8 and 9 the two exact ones.
    let key = |band: usize, row: usize| {
        let print = print(row)?;
        match band {
            0..8 => Some((print.perceptual >> (8 * band)) & 0xff),
            8 => print.content,
            _ => Some(print.pixels),
        }
    };
    let mut found: Vec<(usize, usize, Likeness)> = (0..10_usize)
        .into_par_iter()
        .flat_map_iter(|band| {
            let mut rows: Vec<(u64, usize)> = known.iter().filter_map(|&row| Some((key(band, row)?, row))).collect();
            rows.sort_unstable();
            let mut found = Vec::new();
            for run in rows.chunk_by(|a, b| a.0 == b.0) {
                for (at, &(_, first)) in run.iter().enumerate() {
                    for &(_, second) in &run[at + 1..] {
                        if let (Some(a), Some(b)) = (print(first), print(second))
                            && let Some(likeness) = a.likeness(b)
                        {
                            found.push((first, second, likeness));
                        }
                    }
                }
            }
            found
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// For each row the lowest row it is joined with through any chain of `pairs`.
pub fn groups(rows: usize, pairs: impl IntoIterator<Item = (usize, usize)>) -> Vec<usize> {
    let mut parent: Vec<usize> = (0..rows).collect();
    fn root(parent: &mut [usize], mut at: usize) -> usize {
        while parent[at] != at {
            parent[at] = parent[parent[at]];
            at = parent[at];
        }
        at
    }
    for (a, b) in pairs {
        let (a, b) = (root(&mut parent, a), root(&mut parent, b));
        let (low, high) = (a.min(b), a.max(b));
        parent[high] = low;
    }
    (0..rows).map(|row| root(&mut parent, row)).collect()
}

/// 64 signs about the median of the lowest 8 x 8 coefficients of a 32 x 32 cosine transform (type II, unscaled). The
/// mean (coefficient 0, 0) is left out of the median, as it would shift it.
fn perceptual_hash(grey: &[u8]) -> u64 {
    let cosine = |k: usize, x: usize| ((2 * x + 1) as f64 * k as f64 * std::f64::consts::PI / (2 * SIDE) as f64).cos();
    let mut basis = [[0.0; SIDE]; 8];
    for (k, row) in basis.iter_mut().enumerate() {
        row.iter_mut().enumerate().for_each(|(x, value)| *value = cosine(k, x));
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut columns = [[0.0; SIDE]; 8]; // [frequency along x, y]
    for (y, row) in grey.chunks_exact(SIDE).enumerate() {
        let row: Vec<f64> = row.iter().map(|&value| f64::from(value)).collect();
        (0..8).for_each(|k| columns[k][y] = dot(&basis[k], &row));
    }
    let coefficients: Vec<f64> = (0..64).map(|at| dot(&columns[at % 8], &basis[at / 8])).collect();
    let mut sorted = coefficients[1..].to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    // Rounding noise of flat pictures must not decide bits.
    (0..64).filter(|&at| coefficients[at] > median + 1e-6).fold(0, |bits, at| bits | (1 << at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mtl_rng::Seed;

    const SIZE: Size = Size { height: 48, width: 64 };

    /// Smooth random pictures: a few random waves.
    fn picture(index: u64) -> Vec<u8> {
        let mut stream = Seed::new(5).stream("picture", &[index]);
        let waves: Vec<[f64; 3]> =
            (0..6).map(|_| [stream.range(0.0, 0.4), stream.range(0.0, 0.4), stream.range(0.0, 6.0)]).collect();
        let value = |x: usize, y: usize| {
            let sum: f64 = waves.iter().map(|[a, b, c]| (a * x as f64 + b * y as f64 + c).sin()).sum();
            (127.0 + 20.0 * sum) as u8
        };
        (0..SIZE.height * SIZE.width).map(|at| value(at % SIZE.width, at / SIZE.width)).collect()
    }

    fn print(planes: &[u8], content: u64) -> Option<Fingerprint> {
        Some(Fingerprint::from_planes(planes, 1, SIZE, Some(content)))
    }

    #[test]
    fn copies_are_found_and_strangers_are_not() {
        let mut prints: Vec<_> = (0..40).map(|index| print(&picture(index), index)).collect();
        prints.push(print(&picture(3), 100)); // 40: other bytes, same pixels
        let marked: Vec<u8> =
            picture(7).iter().enumerate().map(|(at, &v)| if at % 64 < 3 && at < 192 { 255 } else { v ^ 1 }).collect();
        prints.push(print(&marked, 101)); // 41: noise and a mark in the corner
        prints.push(None);
        assert_eq!(pairs(&prints), [(3, 40, Likeness::Exact), (7, 41, Likeness::Near)]);
    }

    #[test]
    fn flat_pictures_of_different_brightness_are_not_alike() {
        let flat = |value: u8| print(&vec![value; SIZE.height * SIZE.width], u64::from(value));
        assert_eq!(pairs(&[flat(10), flat(200), flat(12)]), [(0, 2, Likeness::Near)]);
    }

    #[test]
    fn bands_miss_nothing() {
        // Against the quadratic search, on hashes that differ in few bits.
        let mut stream = Seed::new(6).stream("bands", &[]);
        let base = stream.u64();
        let prints: Vec<Option<Fingerprint>> = (0..120)
            .map(|row| {
                let flips = (0..stream.below(6)).fold(0_u64, |bits, _| bits | 1 << stream.below(64));
                let thumbnail = vec![0; THUMBNAIL * THUMBNAIL];
                Some(Fingerprint { content: None, pixels: row, perceptual: base ^ flips, thumbnail })
            })
            .collect();
        let mut expected = Vec::new();
        for first in 0..prints.len() {
            for second in first + 1..prints.len() {
                let likeness = prints[first].as_ref().unwrap().likeness(prints[second].as_ref().unwrap());
                expected.extend(likeness.map(|likeness| (first, second, likeness)));
            }
        }
        assert!(expected.len() > 100 && expected.len() < 7140, "{}", expected.len());
        assert_eq!(pairs(&prints), expected);
    }

    #[test]
    fn groups_join_chains() {
        assert_eq!(groups(6, [(4, 5), (1, 3), (3, 5)]), [0, 1, 2, 1, 1, 1]);
    }
}
