//! MNIST and similar data sets in idx files (LeCun et al. 1998; <http://yann.lecun.com/exdb/mnist>), uncompressed.
//!
//! `train-images-idx3-ubyte` with `train-labels-idx1-ubyte`, and `t10k-` or `test-` for the test subset (`.idx3-ubyte` is
//! accepted too). A magic number gives type (08, bytes) and dimensions; sizes follow as big-endian words. The folder's
//! name decides between digits and the ten articles of Fashion-MNIST (Xiao et al. 2017).

use std::path::{Path, PathBuf};

use super::packed::Packed;
use super::{OpenOptions, ReaderFns, walk};
use crate::dataset::{Dataset, Subset};
use crate::error::Error;
use crate::size::MAX_SIDE;
use crate::size::Size;

pub(super) const READER: ReaderFns = ReaderFns { detect, open };

const FASHION: [&str; 10] =
    ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

fn detect(root: &Path) -> bool {
    !pairs(root).is_empty()
}

fn open(root: &Path, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
    let mut subsets = Vec::new();
    for (images, subset) in pairs(root) {
        let labels_name = walk::name(&images).replace("images", "labels").replace("idx3", "idx1");
        let labels = images.with_file_name(labels_name);
        let (image_sizes, pixels) = read(&images, 3)?;
        let (label_sizes, classes) = read(&labels, 1)?;
        if label_sizes[0] != image_sizes[0] {
            let reason = format!("{} labels for {} images", label_sizes[0], image_sizes[0]);
            return Err(Error::Packed { path: labels, reason });
        }
        subsets.push((images, Size { height: image_sizes[1], width: image_sizes[2] }, pixels, classes, subset));
    }
    let Some(&(_, size, ..)) = subsets.first() else {
        let reason = "no *-images-idx3-ubyte here (unpack .gz files first)".into();
        return Err(Error::Layout { path: root.to_owned(), reason });
    };
    if let Some((path, other, ..)) = subsets.iter().find(|subset| subset.1 != size) {
        let reason = format!(
            "images of {} x {}, but {} x {} in the other file",
            other.width, other.height, size.width, size.height
        );
        return Err(Error::Packed { path: path.clone(), reason });
    }
    let largest = subsets.iter().flat_map(|subset| subset.3.iter()).max().copied().unwrap_or(0);
    let full = std::fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let fashion = largest == 9 && full.to_string_lossy().to_lowercase().contains("fashion");
    let names = (0..=usize::from(largest)).map(|c| if fashion { FASHION[c].to_owned() } else { c.to_string() });
    let mut packed = Packed::new(walk::dataset_name(root), names.collect(), 1, size, options)?;
    for (_, size, pixels, classes, subset) in &subsets {
        for (image, class) in pixels.chunks_exact(size.height * size.width).zip(classes) {
            packed.push(image, *class, *subset);
        }
    }
    Ok(packed.boxed())
}

/// Image files, training subset first.
fn pairs(root: &Path) -> Vec<(PathBuf, Subset)> {
    let raw = root.join("raw");
    let files = walk::entries(if raw.is_dir() { &raw } else { root }).unwrap_or_default();
    let matching = |prefix: &'static str, subset: Subset| {
        files
            .iter()
            .filter(move |path| {
                let name = walk::name(path);
                name.starts_with(prefix) && (name.ends_with("images-idx3-ubyte") || name.ends_with("images.idx3-ubyte"))
            })
            .map(move |path| (path.clone(), subset))
    };
    matching("train", Subset::Train)
        .chain(matching("t10k", Subset::Test))
        .chain(matching("test", Subset::Test))
        .collect()
}

/// Sizes and bytes of an idx file of bytes with `dimensions` dimensions.
fn read(path: &Path, dimensions: usize) -> Result<(Vec<usize>, Vec<u8>), Error> {
    let mut bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let fail = |reason: String| Error::Packed { path: path.to_owned(), reason };
    let head = 4 + 4 * dimensions;
    if bytes.len() < head || bytes[..4] != [0, 0, 8, dimensions as u8] {
        return Err(fail(format!("not an idx file of bytes with {dimensions} dimensions (wrong magic number)")));
    }
    let words = bytes[4..head].chunks_exact(4);
    let sizes: Vec<usize> = words.map(|w| u32::from_be_bytes([w[0], w[1], w[2], w[3]]) as usize).collect();
    if sizes.contains(&0) || sizes[1..].iter().any(|&subset| subset > MAX_SIDE as usize) {
        return Err(fail(format!("impossible sizes {sizes:?} in the header")));
    }
    let expected =
        sizes.iter().try_fold(1_usize, |product, &n| product.checked_mul(n)).and_then(|n| n.checked_add(head));
    if expected != Some(bytes.len()) {
        return Err(fail(format!("sizes {sizes:?} do not fit {} bytes: truncated?", bytes.len())));
    }
    Ok((sizes, bytes.split_off(head)))
}
