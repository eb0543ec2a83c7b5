//! Facts about files and rows that one pass over the data collects.

use std::path::Path;
use std::time::UNIX_EPOCH;

use mtl_task::{Target, TaskKind};
use serde::{Deserialize, Serialize};

use crate::image::depth::Encoding;
use crate::image::fingerprint::Fingerprint;
use crate::image::header::Note;
use crate::image::mask::Code;
use crate::size::Size;

/// Pixels of a mask or dense map in statistics, at any size: training resizes all images to one size.
pub const STATISTICS_PIXELS: u64 = 1024;

/// Groups of a dense map's values.
pub const GROUPS: usize = 32;
/// Most values of a dense map that are sorted into groups; of more, some evenly spread ones are.
const SORTED: usize = 1 << 16;

/// The facts to collect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Hash of the image's stored bytes. Reads files, decodes nothing.
    pub content: bool,
    /// Fingerprint for near duplicates. Decodes images.
    pub fingerprint: bool,
    /// Statistics of the labels. Decodes masks and dense maps.
    pub labels: bool,
}

impl Wanted {
    /// The hash alone.
    pub const CONTENT: Self = Self { content: true, fingerprint: false, labels: false };
    /// Hash and fingerprint: for duplicates.
    pub const FINGERPRINT: Self = Self { content: true, fingerprint: true, labels: false };
    /// Hash and labels: for class counts, baselines and leakage.
    pub const LABELS: Self = Self { content: true, fingerprint: false, labels: true };
    /// Everything.
    pub const ALL: Self = Self { content: true, fingerprint: true, labels: true };
}

/// Facts about one row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RowFacts {
    /// Hash of the image's stored bytes; `None` if it was not wanted or the image is not stored.
    pub content: Option<u64>,
    /// `None` if it was not wanted, or if equal images of this data set have equal hashes (drawn scenes). Saved with the
    /// file and not here.
    #[serde(skip)]
    pub fingerprint: Option<Fingerprint>,
    /// One entry per task, in schema order; empty if it was not wanted.
    pub labels: Vec<LabelFacts>,
}

/// The label of one row for one task, or its statistics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelFacts {
    /// No label.
    Missing,
    /// Class index.
    Class(usize),
    /// Yes, no or missing per label.
    MultiLabel(Vec<Option<bool>>),
    /// Pixels of a mask at its stored size.
    Mask {
        /// Pixels per class.
        pixels: Vec<u64>,
        /// Pixels without a label.
        unlabelled: u64,
    },
    /// Values of a dense map at its stored size.
    Dense(DenseFacts),
    /// A number.
    Value(f32),
}

/// Statistics of a dense map.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DenseFacts {
    /// All pixels.
    pub pixels: u64,
    /// Pixels with a value.
    pub known: u64,
    /// Sum of the values.
    pub sum: f64,
    /// Sum of their squares.
    pub square: f64,
    /// Smallest and largest value; `None` without any.
    pub range: Option<[f32; 2]>,
    /// Means of [`GROUPS`] groups of (nearly) equally many values, in ascending order; `None` without any. Mean and median of
    /// many maps follow from them.
    pub groups: Option<[f32; GROUPS]>,
}

impl DenseFacts {
    /// Of values, NaN where missing.
    pub fn of(values: &[f32]) -> Self {
        let known = || values.iter().copied().filter(|value| !value.is_nan());
        let range = [known().fold(f32::INFINITY, f32::min), known().fold(f32::NEG_INFINITY, f32::max)];
        Self {
            pixels: values.len() as u64,
            known: known().count() as u64,
            sum: known().map(f64::from).sum(),
            square: known().map(|value| f64::from(value) * f64::from(value)).sum(),
            range: (range[0] <= range[1]).then_some(range),
            groups: groups(known().collect()),
        }
    }
}

fn groups(values: Vec<f32>) -> Option<[f32; GROUPS]> {
    let step = values.len().div_ceil(SORTED).max(1);
    let mut values: Vec<f32> = values.into_iter().step_by(step).collect();
    values.sort_unstable_by(f32::total_cmp);
    let mean = |group: usize| {
        let first = group * values.len() / GROUPS;
        let end = ((group + 1) * values.len() / GROUPS).max(first + 1);
        (values[first..end].iter().copied().map(f64::from).sum::<f64>() / (end - first) as f64) as f32
    };
    (!values.is_empty()).then(|| std::array::from_fn(mean))
}

impl LabelFacts {
    /// Pixels per class of a mask with `classes` classes.
    pub fn mask(mask: &[u8], classes: usize) -> Self {
        let mut counts = [0_u64; 256];
        mask.iter().for_each(|&class| counts[usize::from(class)] += 1);
        let unlabelled = counts[usize::from(Target::NO_PIXEL)];
        Self::Mask { pixels: counts[..classes.min(usize::from(Target::NO_PIXEL))].to_vec(), unlabelled }
    }

    /// The statistics of one row's target.
    pub fn of(target: &Target, kind: &TaskKind) -> Self {
        match target {
            Target::Class(labels) => {
                labels.first().and_then(|&class| usize::try_from(class).ok()).map_or(Self::Missing, Self::Class)
            }
            Target::MultiLabel(values) => {
                Self::MultiLabel(values.iter().map(|value| (!value.is_nan()).then_some(*value == 1.0)).collect())
            }
            Target::Mask(mask) => Self::mask(mask, kind.outputs()),
            Target::Dense(values) => Self::Dense(DenseFacts::of(values)),
            Target::Value(values) => {
                values.first().filter(|value| !value.is_nan()).map_or(Self::Missing, |&value| Self::Value(value))
            }
        }
    }

    /// Whether there is a label.
    pub fn is_labelled(&self) -> bool {
        match self {
            Self::Missing => false,
            Self::Class(_) | Self::Mask { .. } | Self::Dense(_) | Self::Value(_) => true,
            Self::MultiLabel(cells) => cells.iter().any(Option::is_some),
        }
    }

    /// A small target with the same statistics: the class, the cells, the number, a mask or dense map of about
    /// [`STATISTICS_PIXELS`] labelled pixels (the groups of a dense map). From it baselines and other statistics are made without decoding.
    pub fn target(&self, kind: &TaskKind) -> Target {
        let share = |part: u64, all: u64| (part * STATISTICS_PIXELS).div_ceil(all.max(1)) as usize;
        match self {
            Self::Missing => kind.missing(1, 1, 1),
            Self::Class(class) => Target::Class(vec![*class as i32]),
            Self::MultiLabel(cells) => Target::MultiLabel(
                cells.iter().map(|cell| cell.map_or(f32::NAN, |yes| f32::from(u8::from(yes)))).collect(),
            ),
            Self::Mask { pixels, unlabelled } => {
                let all = pixels.iter().sum::<u64>() + unlabelled;
                let of_class = |(class, &count): (usize, &u64)| std::iter::repeat_n(class as u8, share(count, all));
                Target::Mask(pixels.iter().enumerate().flat_map(of_class).collect())
            }
            Self::Dense(facts) => {
                let (count, groups) = (share(facts.known, facts.pixels), facts.groups.unwrap_or([f32::NAN; GROUPS]));
                Target::Dense((0..count).map(|at| groups[at * GROUPS / count]).collect())
            }
            Self::Value(value) => Target::Value(vec![*value]),
        }
    }
}

/// Size and time of a file's last change: while both are unchanged, its facts are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Bytes.
    pub bytes: u64,
    /// Time of the last change of the content, in nanoseconds since 1970.
    pub modified_ns: u64,
    /// Time of the last change of content or attributes (Unix; elsewhere 0): it also changes where a program that replaces a
    /// file sets the old time of the content again (`cp -p`, `rsync -a`).
    pub changed_ns: u64,
}

impl Stamp {
    /// The stamp of a file now; `None` if the system does not report it.
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        #[cfg(unix)]
        let changed_ns = {
            use std::os::unix::fs::MetadataExt;
            (metadata.ctime() as u64).wrapping_mul(1_000_000_000).wrapping_add(metadata.ctime_nsec() as u64)
        };
        #[cfg(not(unix))]
        let changed_ns = 0;
        let (bytes, modified_ns) = (metadata.len(), u64::try_from(modified.as_nanos()).ok()?);
        Some(Self { bytes, modified_ns, changed_ns })
    }
}

/// Facts about one sound file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileFacts {
    /// The state of the file at that time.
    pub stamp: Stamp,
    /// Size of the image after EXIF orientation.
    pub size: Size,
    /// The rest, by the file's use.
    pub content: FileContent,
}

/// Content of a file, by its use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileContent {
    /// A photograph.
    Image(ImageFacts),
    /// A mask.
    Mask(MaskFacts),
    /// A depth map.
    Depth {
        /// How its numbers were read.
        encoding: Encoding,
        /// What they are.
        facts: DenseFacts,
    },
}

/// Facts about a mask file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaskFacts {
    /// Whether an indexed file is read as its colours ([`crate::image::mask::read`]).
    pub colours: bool,
    /// EXIF code of the turn it was read with.
    pub orientation: u8,
    /// Values, ascending, with their pixels; empty if only the header was read.
    pub codes: Vec<(Code, u64)>,
    /// The values are those of the alpha channel.
    pub from_alpha: bool,
    /// Saved with loss.
    pub lossy: bool,
    /// Values between dark and light occur at edges only.
    pub smoothed: bool,
}

/// Facts about an image file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// Whether no pixel is coloured.
    pub grey: bool,
    /// Stored with an alpha channel.
    pub alpha: bool,
    /// Stored with more than 8 bits per number.
    pub deep: bool,
    /// EXIF code of the turn that makes it upright; 1: none.
    pub orientation: u8,
    /// Channels of an image that is read as neither grey nor RGB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Facts found by decoding; `None` if only the header was read.
    pub decoded: Option<DecodedFacts>,
}

/// Facts found only by decoding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecodedFacts {
    /// Hash of the stored bytes, and of the picture.
    pub fingerprint: Fingerprint,
    /// Pixels that are at least half opaque; all of them without alpha.
    pub opaque: u64,
    /// Largest number of an image of more than 8 bits.
    pub largest: Option<f32>,
    /// Remarks about the file.
    pub notes: Vec<Note>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_by_hand() {
        let segmentation = TaskKind::Segmentation { classes: vec!["a".into(), "b".into(), "c".into()] };
        let facts = LabelFacts::of(&Target::Mask(vec![0, 0, 0, 2, 2, 2, 2, Target::NO_PIXEL]), &segmentation);
        assert_eq!(facts, LabelFacts::Mask { pixels: vec![3, 0, 4], unlabelled: 1 });
        let Target::Mask(mask) = facts.target(&segmentation) else { panic!() };
        let count = |class| mask.iter().filter(|&&pixel| pixel == class).count();
        assert_eq!([0, 1, 2].map(count), [384, 0, 512]); // 1024 times 3/8 and 4/8
        assert_eq!(mask.len(), 896);

        let dense = TaskKind::Dense { unit: "m".into() };
        let facts = LabelFacts::of(&Target::Dense(vec![1.0, 4.0, f32::NAN, f32::NAN]), &dense);
        let groups = std::array::from_fn(|at| if at < 16 { 1.0 } else { 4.0 });
        let range = Some([1.0, 4.0]);
        let expected = DenseFacts { pixels: 4, known: 2, sum: 5.0, square: 17.0, range, groups: Some(groups) };
        assert_eq!(facts, LabelFacts::Dense(expected));
        assert_eq!(facts.target(&dense), Target::Dense([vec![1.0; 256], vec![4.0; 256]].concat()));
        let nothing = LabelFacts::of(&Target::Dense(vec![f32::NAN]), &dense);
        assert_eq!(nothing.target(&dense).present(), 0);

        let classes = TaskKind::Classification { classes: vec!["a".into(), "b".into()] };
        for (target, facts) in [
            (Target::Class(vec![1]), LabelFacts::Class(1)),
            (Target::Class(vec![Target::NO_CLASS]), LabelFacts::Missing),
        ] {
            assert_eq!(LabelFacts::of(&target, &classes), facts);
            assert_eq!((facts.target(&classes), facts.is_labelled()), (target.clone(), target.present() > 0));
        }
        let weight = TaskKind::Regression { unit: "kg".into() };
        for (target, facts) in
            [(Target::Value(vec![-0.5]), LabelFacts::Value(-0.5)), (Target::Value(vec![f32::NAN]), LabelFacts::Missing)]
        {
            assert_eq!(LabelFacts::of(&target, &weight), facts);
            assert_eq!(
                (facts.target(&weight).present(), facts.is_labelled()),
                (target.present(), target.present() > 0)
            );
        }
        let cells = LabelFacts::of(&Target::MultiLabel(vec![1.0, f32::NAN, 0.0]), &classes);
        assert_eq!(cells, LabelFacts::MultiLabel(vec![Some(true), None, Some(false)]));
    }

    #[test]
    fn groups_of_a_dense_map_keep_its_mean_and_its_median() {
        // 3200 squares: the group in the middle has its ends at the median.
        let values: Vec<f32> = (0..3200_i32).rev().map(|at| (at * at) as f32).collect();
        let facts = DenseFacts::of(&values);
        let groups = facts.groups.unwrap();
        let mean = groups.iter().copied().map(f64::from).sum::<f64>() / GROUPS as f64;
        assert!((mean / (facts.sum / 3200.0) - 1.0).abs() < 1e-6, "{mean}");
        assert!(groups[15] < 1600.0 * 1600.0 && 1600.0 * 1600.0 < groups[16] && groups.is_sorted(), "{groups:?}");
        assert_eq!(DenseFacts::of(&vec![7.5; 1 << 18]).groups, Some([7.5; GROUPS]));
    }

    #[test]
    fn a_single_pixel_of_a_class_counts() {
        let kind = TaskKind::Segmentation { classes: vec!["a".into(), "b".into()] };
        let facts = LabelFacts::Mask { pixels: vec![999_999, 1], unlabelled: 0 };
        let Target::Mask(mask) = facts.target(&kind) else { panic!() };
        assert_eq!(mask.iter().filter(|&&pixel| pixel == 1).count(), 1);
    }
}
