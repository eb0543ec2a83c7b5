//! Fingerprints: hashes by which equal and nearly equal images are found.
//!
//! *Exact*: equal stored bytes, or equal pixels at 32 x 32 (the same picture saved twice). *Near*: the perceptual hash
//! of 64 bits (Zauner 2010: signs of the lowest 8 x 8 cosine coefficients of a 32 x 32 grey image about their median)
//! differs in at most [`MAX_BITS`] bits *and* 16 x 16 thumbnails differ by at most [`MAX_LEVELS`] grey levels on average:
//! the hash finds rescaled, recompressed and annotated copies, the thumbnail rejects flat pictures that only hash
//! alike. Mirrored or cropped copies are not found.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::image::picture::{first_three, is_multi_channel};
use crate::image::resize;
use crate::size::Size;

/// The first 64 bits of SHA-256.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    digest.iter().take(8).fold(0, |hash, &byte| (hash << 8) | u64::from(byte))
}

/// Bits of 64 in which near duplicates may differ. At most 7, or pairs would be missed.
pub const MAX_BITS: u32 = 6;
/// Mean difference of near duplicates' thumbnails, in grey levels of 0 to 255.
pub const MAX_LEVELS: u32 = 10;

/// Side of the image that is hashed, in pixels.
const SIDE: usize = 32;
/// The size at which images are compared.
pub(crate) const SMALL: Size = Size { height: SIDE, width: SIDE };
pub(crate) const THUMBNAIL: usize = 16;

/// Hashes and thumbnail of an image, by which it is compared with others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    pub(crate) content: Option<u64>,
    pub(crate) pixels: u64,
    pub(crate) perceptual: u64,
    #[serde(with = "hex")]
    pub(crate) thumbnail: Vec<u8>,
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
    /// From `[channels, H, W]` bytes of any size and a hash of the stored content; of more than three channels the first three.
    pub fn from_planes(planes: &[u8], channels: usize, size: Size, content: Option<u64>) -> Self {
        let shown = if is_multi_channel(channels) { first_three(planes, channels, size) } else { Vec::new() };
        let (planes, channels) = if shown.is_empty() { (planes, channels) } else { (&shown[..], 3) };
        let mut small = resize::stretch_planes(planes, channels, size, SMALL);
        let grey = if channels == 3 { resize::luma(&small) } else { small.clone() };
        if channels == 1 {
            small = small.repeat(3); // the same picture stored in grey and in colour is the same
        }
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

/// Bytes as one string of hexadecimal digits: a fifth of the length of a list of numbers.
mod hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let byte = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let bytes = (0..text.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>();
        bytes.ok_or_else(|| D::Error::custom("not a string of hexadecimal bytes"))
    }
}
