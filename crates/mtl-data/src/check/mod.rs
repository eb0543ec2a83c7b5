//! Data check: statistics and faults of a data set, without stopping at the first one.
//!
//! Decodes every image once at its stored size (two copies of it per thread in memory). Data that `open` would refuse is
//! read as far as possible: rows with broken files are listed and left out; a folder no reader understands still
//! has all its image files decoded.

use std::path::Path;

use mtl_task::{Target, TaskKind, ValueStatistics};
use rayon::prelude::*;

use crate::concerns::concerns;
use crate::dataset::{Dataset, Labels, Subset};
use crate::error::{Error, Skipped};
use crate::inventory::{Inventory, Wanted};
use crate::progress::Progress;
use crate::readers::{self, OpenOptions};
use crate::size::Size;
use crate::split;
use crate::split::duplicates::{self, Fingerprint, Likeness};

pub mod framing;
mod raw;
mod report;
pub mod sheet;
mod words;

pub use report::{ClassReport, Crossing, Report, Sizes, Splits, TaskReport};

/// Opens the data set at `path` as leniently as possible and stats at all of it.
pub fn check(path: &Path, options: &OpenOptions) -> Report {
    open_and_check(path, options, &split::Config::default()).0
}

/// The same with the settings of a split, and with the data set if it could be opened: without the rows of broken files.
pub fn open_and_check(
    path: &Path,
    options: &OpenOptions,
    config: &split::Config,
) -> (Report, Option<Box<dyn Dataset>>) {
    let lenient = OpenOptions { max_broken: 1.0, ..options.clone() };
    match readers::open(path, &lenient) {
        Ok(dataset) => {
            let mut report = watched(&*dataset, &options.progress);
            // Only in trouble is it worth opening the data a second time, as strictly as training would.
            if !dataset.skipped().is_empty()
                && let Err(error) = readers::open(path, options)
            {
                report.refused = Some(match error {
                    Error::TooManyBroken { broken_rows, allowed, .. } => {
                        format!(
                            "{broken_rows} rows have missing or broken files, more than the {allowed} that may be skipped (data.open.max_broken)"
                        )
                    }
                    other => other.to_string(),
                });
            }
            if report.refused.is_none() && report.rows > 0 {
                let split = split::Splits::new(&*dataset, config, mtl_rng::Seed::new(0));
                if let Ok(split) = &split {
                    report.reading.warnings.extend(split.notes.iter().cloned());
                }
                // Generated images alone are no fault of theirs: they are trained on together with real ones.
                let fault = split.err().filter(|error| !matches!(error, Error::OnlyGenerated { .. }));
                report.refused = fault.map(|error| error.to_string());
            }
            (report, Some(dataset))
        }
        Err(Error::TooManyBroken { broken, rows, .. }) => {
            let refused = Some(format!("all of its {rows} rows have missing or broken files"));
            (Report { name: path.display().to_string(), refused, broken, ..Report::default() }, None)
        }
        Err(error) => {
            let mut report = raw::report(path);
            report.refused = Some(error.to_string());
            (report, None)
        }
    }
}

/// Looks at an open data set.
pub fn check_dataset(dataset: &dyn Dataset) -> Report {
    watched(dataset, &Progress::default())
}

fn watched(dataset: &dyn Dataset, progress: &Progress) -> Report {
    let rows = dataset.len();
    let schema = dataset.schema();
    let pass = progress.pass("checking images", rows);
    let stat = |row| {
        let stats = RowStats::at(dataset, row);
        pass.tick();
        stats
    };
    let stats: Vec<Result<RowStats, Error>> = (0..rows).into_par_iter().map(stat).collect();
    let mut report = Report {
        name: schema.name.clone(),
        rows,
        channels: schema.channels,
        broken: dataset.skipped().to_vec(),
        reading: dataset.reading(),
        tasks: tasks(dataset, &stats),
        ..Report::default()
    };
    let parts: Vec<Option<Subset>> = (0..rows).map(|row| dataset.subset(row)).collect();
    if parts.iter().any(Option::is_some) {
        let count = |part| parts.iter().filter(|&&p| p == Some(part)).count();
        let unlabelled = |row: &usize| dataset.labels(*row).iter().all(|label| *label == Labels::Missing);
        report.splits = Some(Splits {
            train: count(Subset::Train),
            validation: count(Subset::Validation),
            test: count(Subset::Test),
            unlabelled: (0..rows).filter(unlabelled).count(),
        });
    }
    let mut moments = vec![[0.0; 2]; schema.channels];
    let mut pixels = 0.0;
    for look in stats.iter().flatten() {
        pixels += look.pixels as f64;
        for (sum, of_row) in moments.iter_mut().zip(&look.moments) {
            sum[0] += of_row[0];
            sum[1] += of_row[1];
        }
    }
    report.mean = moments.iter().map(|[sum, _]| sum / pixels.max(1.0) / 255.0).collect();
    let std = |[sum, square]: &[f64; 2]| (square / pixels.max(1.0) - (sum / pixels.max(1.0)).powi(2)).max(0.0).sqrt();
    report.std = moments.iter().map(|moments| std(moments) / 255.0).collect();
    report.sizes = sizes(stats.iter().flatten().filter_map(|look| look.size).collect());
    for (row, look) in stats.iter().enumerate() {
        if let Err(error) = look {
            report.broken.push(Skipped { path: dataset.row_name(row).into(), reason: error.to_string() });
        }
    }
    report.small_classes = small_classes(dataset);
    framing::warnings(dataset).into_iter().for_each(|sentence| report.reading.warn(sentence));
    if let Ok(inventory) = Inventory::new(dataset, Wanted { labels: true, ..Wanted::default() }) {
        let columns: Vec<usize> = (0..schema.tasks.len()).collect();
        report.reading.warnings.extend(concerns(dataset, &inventory, &columns, None));
    }
    let prints: Vec<Option<Fingerprint>> = stats.into_iter().map(|look| look.ok().map(|look| look.print)).collect();
    let pairs = duplicates::pairs(&prints);
    report.exact_pairs = pairs.iter().filter(|pair| pair.2 == Likeness::Exact).count();
    report.near_pairs = pairs.len() - report.exact_pairs;
    report.crossing = pairs.into_iter().filter_map(|pair| crossing(dataset, pair)).collect();
    report
}

/// Statistics of one row.
struct RowStats {
    size: Option<Size>,
    pixels: usize,
    /// Sum and sum of squares of each channel.
    moments: Vec<[f64; 2]>,
    /// One per task, for masks: pixels per class, the unlabelled ones last.
    masks: Vec<Option<Vec<u64>>>,
    /// One per task, for dense maps: measured pixels, smallest and largest value.
    dense: Vec<Option<(usize, [f32; 2])>>,
    print: Fingerprint,
}

impl RowStats {
    fn at(dataset: &dyn Dataset, row: usize) -> Result<Self, Error> {
        let native = dataset.native_size(row);
        let size = native.unwrap_or(Size { height: 64, width: 64 });
        let sample = dataset.sample(row, size)?;
        let schema = dataset.schema();
        let pixels = size.height * size.width;
        let moments = sample.image.chunks_exact(pixels.max(1)).map(|plane| {
            let sums = plane.iter().fold([0_u64; 2], |[sum, square], &value| {
                [sum + u64::from(value), square + u64::from(value) * u64::from(value)]
            });
            sums.map(|sum| sum as f64)
        });
        let labels = dataset.labels(row);
        let labelled = || schema.tasks.iter().zip(&sample.targets).zip(&labels);
        let masks = labelled().map(|((task, target), label)| match target {
            Target::Mask(mask) if *label == Labels::Pixels => {
                let mut counts = vec![0; task.kind.outputs() + 1];
                let last = counts.len() - 1;
                mask.iter().for_each(|&class| counts[usize::from(class).min(last)] += 1);
                Some(counts)
            }
            _ => None,
        });
        let dense = labelled().map(|((_, target), label)| match target {
            Target::Dense(values) if *label == Labels::Pixels => {
                let measured = || values.iter().copied().filter(|value| !value.is_nan());
                Some((
                    measured().count(),
                    [measured().fold(f32::INFINITY, f32::min), measured().fold(f32::NEG_INFINITY, f32::max)],
                ))
            }
            _ => None,
        });
        Ok(Self {
            size: native,
            pixels,
            masks: masks.collect(),
            dense: dense.collect(),
            print: Fingerprint::from_planes(&sample.image, schema.channels, size, dataset.content_hash(row)?),
            moments: moments.collect(),
        })
    }
}

fn tasks(dataset: &dyn Dataset, stats: &[Result<RowStats, Error>]) -> Vec<TaskReport> {
    let labels: Vec<Vec<Labels>> = (0..dataset.len()).map(|row| dataset.labels(row)).collect();
    let reports = dataset.schema().tasks.iter().enumerate().map(|(at, task)| {
        let column = || labels.iter().map(move |labels| &labels[at]);
        let masks = || stats.iter().flatten().filter_map(move |look| look.masks[at].as_ref());
        let dense = || stats.iter().flatten().filter_map(move |look| Some((look.pixels, look.dense[at].as_ref()?)));
        let labelled: u64 = masks().flat_map(|counts| counts.iter().rev().skip(1)).sum();
        let unlabelled: u64 = masks().filter_map(|counts| counts.last()).sum();
        let class = |class: usize, name: &String| {
            let cell =
                |yes| move |label: &&Labels| matches!(label, Labels::MultiLabel(cells) if cells[class] == Some(yes));
            let (rows, no, pixels) = match &task.kind {
                TaskKind::Segmentation { .. } => {
                    let share = masks().map(|counts| counts[class]).sum::<u64>() as f64 / labelled.max(1) as f64;
                    (masks().filter(|counts| counts[class] > 0).count(), 0, Some(share))
                }
                TaskKind::MultiLabel { .. } => {
                    (column().filter(cell(true)).count(), column().filter(cell(false)).count(), None)
                }
                _ => (column().filter(|label| **label == Labels::Class(class)).count(), 0, None),
            };
            ClassReport { name: name.clone(), rows, no, pixels }
        };
        let measured: usize = dense().map(|(_, (count, _))| count).sum();
        let dense_pixels: usize = dense().map(|(pixels, _)| pixels).sum();
        let range = dense().map(|(_, (_, range))| *range).reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])]);
        TaskReport {
            name: task.name.clone(),
            kind: task.kind.name(),
            missing: column().filter(|label| **label == Labels::Missing).count(),
            classes: task.kind.classes().iter().enumerate().map(|(at, name)| class(at, name)).collect(),
            empty_masks: masks().filter(|counts| counts[1..counts.len() - 1].iter().all(|&count| count == 0)).count(),
            unlabelled_pixels: if dense_pixels > 0 {
                1.0 - measured as f64 / dense_pixels as f64
            } else {
                unlabelled as f64 / (labelled + unlabelled).max(1) as f64
            },
            unit: task.kind.unit().to_owned(),
            range: range.filter(|range| range[0] <= range[1]),
            values: ValueStatistics::of(
                column().filter_map(|label| if let Labels::Value(value) = label { Some(*value) } else { None }),
            ),
        }
    });
    reports.collect()
}

/// Classes with fewer than three images, one each for training, validation and test. Generated images are for training only.
fn small_classes(dataset: &dyn Dataset) -> Vec<String> {
    let generated = |row: &usize| dataset.is_generated(*row);
    let rows: Vec<usize> = (0..dataset.len()).filter(|row| !generated(row)).collect();
    let counts = split::class_counts(dataset, &rows);
    let tasks = dataset.schema().tasks.iter().zip(counts);
    tasks
        .flat_map(|(task, counts)| {
            let small = counts.into_iter().enumerate().filter(|(_, count)| (1..3).contains(count));
            small.map(|(class, count)| {
                let images = if count == 1 { "image" } else { "images" };
                format!(
                    "class `{}` of `{}` has {count} {images}; at least 3 are needed to train, validate and test",
                    task.kind.classes()[class],
                    task.name
                )
            })
        })
        .collect()
}

fn crossing(dataset: &dyn Dataset, (first, second, likeness): (usize, usize, Likeness)) -> Option<Crossing> {
    let tasks = dataset.schema().tasks.iter().zip(dataset.labels(first)).zip(dataset.labels(second));
    let classes: Vec<String> = tasks
        .filter_map(|((task, a), b)| match (a, b) {
            (Labels::Class(a), Labels::Class(b)) if a != b => {
                let names = task.kind.classes();
                Some(format!("{}: {} / {}", task.name, names[a], names[b]))
            }
            _ => None,
        })
        .collect();
    let name = |part: Option<Subset>| match part {
        Some(Subset::Train) | None => "train",
        Some(Subset::Validation) => "validation",
        Some(Subset::Test) => "test",
    };
    let subsets = [first, second].map(|row| name(dataset.subset(row)));
    let parts = (subsets[0] != subsets[1]).then(|| subsets.join(" / "));
    (!classes.is_empty() || parts.is_some()).then(|| Crossing {
        rows: [first, second].map(|row| dataset.row_name(row)),
        likeness,
        classes,
        parts,
    })
}

fn sizes(sizes: Vec<Size>) -> Option<Sizes> {
    let of = |subset: fn(&Size) -> usize| {
        let mut values: Vec<usize> = sizes.iter().map(subset).collect();
        values.sort_unstable();
        Some([*values.first()?, values[values.len() / 2], *values.last()?])
    };
    let mut distinct: Vec<(usize, usize)> = sizes.iter().map(|size| (size.height, size.width)).collect();
    distinct.sort_unstable();
    distinct.dedup();
    Some(Sizes { distinct: distinct.len(), height: of(|size| size.height)?, width: of(|size| size.width)? })
}

#[cfg(test)]
mod tests;
