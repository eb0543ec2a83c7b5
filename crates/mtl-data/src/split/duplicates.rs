//! Duplicates: pairs and groups of equal or nearly equal images, by their fingerprints.
//!
//! Pairs are found by bands: hashes that differ in at most 7 of 64 bits agree in one of 8 bytes, so only rows that share
//! a byte are compared. 60,000 images take a few seconds, nearly all of it for decoding.

use rayon::prelude::*;

pub use crate::image::fingerprint::{Fingerprint, Likeness, MAX_BITS, MAX_LEVELS};

/// All pairs `(first, second, likeness)` with `first < second`, sorted. `None` is an image that could not be
/// read; it has no pairs.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::fingerprint::THUMBNAIL;
    use crate::size::Size;
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
    fn copies_are_found_and_different_images_are_not() {
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
