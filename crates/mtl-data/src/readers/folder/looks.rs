//! What files look like where their names say nothing: a few of them, spread over all, are decoded.

use std::collections::BTreeSet;
use std::path::Path;

use crate::image::{decode, mask};
use crate::size::Size;

/// Values of a mask whose name says nothing; a photograph has more.
const MASK_VALUES: usize = 32;
/// A picture of fewer values may be a drawing, a digit or a small scan.
const PHOTOGRAPH_VALUES: usize = 128;
/// Files that are looked into.
const LOOKED_INTO: usize = 4;

/// Whether a few of the files hold few different values each, or those of masks with smoothed edges.
pub(super) fn look_like_masks<P: AsRef<Path>>(paths: &[P]) -> bool {
    sampled(paths).all(|path| Look::at(path.as_ref()).is_some_and(|look| look.is_mask || look.smoothed))
}

/// Whether a few of the second files are masks of the first by their content: few values beside the many of a photograph, at the
/// same size.
pub(super) fn are_images_and_masks<P: AsRef<Path>>(pairs: &[(P, P)]) -> bool {
    let look = |(image, mask): &(P, P)| {
        let mask = Look::at(mask.as_ref()).filter(|mask| mask.is_mask)?;
        let image = Look::at(image.as_ref())?;
        Some(image.is_photograph && image.size == mask.size)
    };
    !pairs.is_empty() && sampled(pairs).all(|pair| look(pair) == Some(true))
}

/// How many times as large the first image of each pair is, if that is the same for a few pairs and not 1.
pub(super) fn scale<P: AsRef<Path>>(pairs: &[(P, P)]) -> Option<f64> {
    let size = |path: &Path| decode::inspect(&decode::read_file(path).ok()?).ok().map(|header| header.size);
    let scales = sampled(pairs).map(|(large, small)| {
        let (large, small) = (size(large.as_ref())?, size(small.as_ref())?);
        let [high, wide] = [(large.height, small.height), (large.width, small.width)].map(|(a, b)| a as f64 / b as f64);
        (high == wide && high > 1.0).then_some(high)
    });
    let scales: Vec<f64> = scales.collect::<Option<_>>()?;
    scales.first().copied().filter(|first| scales.iter().all(|scale| scale == first))
}

struct Look {
    size: Size,
    is_mask: bool,
    smoothed: bool,
    is_photograph: bool,
}

impl Look {
    /// `None` for a file that cannot be read.
    fn at(path: &Path) -> Option<Self> {
        let mask = mask::read(&decode::read_file(path).ok()?, false, None).ok()?;
        let values = mask.codes.iter().collect::<BTreeSet<_>>().len();
        Some(Self {
            size: mask.size,
            is_mask: values <= MASK_VALUES,
            smoothed: values > MASK_VALUES && mask::has_smoothed_edges(&mask.codes, mask.size),
            is_photograph: values > PHOTOGRAPH_VALUES,
        })
    }
}

fn sampled<T>(all: &[T]) -> impl Iterator<Item = &T> {
    all.iter().step_by(all.len().div_ceil(LOOKED_INTO).max(1))
}
