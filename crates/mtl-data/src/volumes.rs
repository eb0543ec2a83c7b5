//! NIfTI volumes to slices: a data set of PNG files that every reader and command takes.
//!
//! A folder with volumes in `imagesTr/` and label maps in `labelsTr/` (or `images/` and `labels/`, nnU-Net's `_0000` taken off), a
//! folder of volumes, or one volume. Written are `images/STEM_zNNN.png` (16 bits), `masks/STEM_zNNN.png` (numbers as stored) and
//! `manifest.csv` with the columns `image`, `mask`, `group` and, for `imagesTs/`, `split`; the group is the volume:
//! `data.split.group = "group"` keeps its slices on one side of the split.
//!
//! Numbers go from 0.5 % to 99.5 % of each volume's values (or through a window, for CT) to the 16 bits of the PNG. Slices along
//! the third axis are drawn with the second axis upwards, as viewers show volumes in RAS order; the orientation in the header is
//! not applied, to volumes and label maps alike.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use image::{GrayImage, ImageBuffer, Luma};
use nifti::{NiftiHeader, NiftiObject, NiftiVolume, RandomAccessNiftiVolume, ReaderOptions};
use rayon::prelude::*;

use crate::error::Error;
use crate::readers::nnunet::values_and_names;

/// Most voxels of a volume: 2 GiB as floats.
const MOST_VOXELS: u64 = 1 << 29;

/// How volumes are cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Axis that the slices lie along: 0, 1 or 2. Default: 2 (axial in RAS order).
    pub axis: usize,
    /// Center and width of the values that become black to white. Default: none, each volume's own range.
    pub window: Option<(f32, f32)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { axis: 2, window: None }
    }
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Volumes.
    pub volumes: usize,
    /// Slices of them.
    pub slices: usize,
    /// Volumes with a label map.
    pub labelled: usize,
    /// Label maps without a volume.
    pub alone: Vec<PathBuf>,
}

struct Case {
    volume: PathBuf,
    labels: Option<PathBuf>,
    test: bool,
}

/// Cuts the volumes of `input` into slices in the new folder `out`.
///
/// # Errors
/// [`Error::Layout`] if there is no volume, `out` is not empty, or a volume cannot be used: damaged, four-dimensional, a label map
/// of another shape or with numbers that are no class. [`Error::Io`].
pub fn cut(input: &Path, out: &Path, options: Options) -> Result<Written, Error> {
    let layout = |path: &Path, reason: &str| Error::Layout { path: path.to_owned(), reason: reason.into() };
    if options.axis > 2 {
        return Err(layout(input, "a volume has the axes 0, 1 and 2"));
    }
    if options.window.is_some_and(|(center, width)| !(center.is_finite() && width.is_finite() && width > 0.0)) {
        return Err(layout(input, "a window has a finite center and a width above 0"));
    }
    let (cases, alone) = cases(input)?;
    if cases.is_empty() {
        return Err(layout(
            input,
            "no volumes: files ending in .nii or .nii.gz are expected, in imagesTr/ or the folder itself",
        ));
    }
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(layout(out, "the folder is not empty; name a new one, so that nothing is overwritten"));
    }
    // Written beside it and renamed when all is there.
    let partial = out.with_extension("partial");
    let written = write(input, &partial, &cases, options);
    let written = written.and_then(|slices| {
        // An empty folder gives way.
        let _ = fs::remove_dir(out);
        fs::rename(&partial, out).map_err(|source| Error::Io { path: out.to_owned(), source })?;
        Ok(slices)
    });
    if written.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    let labelled = cases.iter().filter(|case| case.labels.is_some()).count();
    Ok(Written { volumes: cases.len(), slices: written?, labelled, alone })
}

/// Writes everything; the number of slices.
fn write(input: &Path, out: &Path, cases: &[Case], options: Options) -> Result<usize, Error> {
    for folder in ["images", "masks"] {
        let folder = out.join(folder);
        fs::create_dir_all(&folder).map_err(|source| Error::Io { path: folder, source })?;
    }
    let lines = cases.par_iter().map(|case| case.cut(out, options)).collect::<Result<Vec<_>, _>>()?;
    if cases.iter().any(|case| case.labels.is_some()) {
        write_names(input, out)?;
    } else {
        fs::remove_dir(out.join("masks")).map_err(|source| Error::Io { path: out.join("masks"), source })?;
    }
    let has_test = cases.iter().any(|case| case.test);
    let manifest = out.join("manifest.csv");
    let failed = |error: csv::Error| Error::Io { path: out.join("manifest.csv"), source: error.into() };
    let mut table = csv::Writer::from_path(&manifest).map_err(failed)?;
    let columns = ["image", "mask", "group", "split"];
    let count = if has_test { 4 } else { 3 };
    table.write_record(&columns[..count]).map_err(failed)?;
    for line in lines.iter().flatten() {
        table.write_record(&line[..count]).map_err(failed)?;
    }
    table.flush().map_err(|source| Error::Io { path: manifest, source })?;
    Ok(lines.iter().map(Vec::len).sum())
}

/// The classes that `dataset.json` names, as a palette beside the masks.
fn write_names(input: &Path, out: &Path) -> Result<(), Error> {
    let Some(names) = values_and_names(&input.join("dataset.json"))? else {
        return Ok(());
    };
    let path = out.join("palette.csv");
    let failed = |error: csv::Error| Error::Io { path: out.join("palette.csv"), source: error.into() };
    let mut table = csv::Writer::from_path(&path).map_err(failed)?;
    table.write_record(["value", "name"]).map_err(failed)?;
    names.iter().try_for_each(|(value, name)| table.write_record([&value.to_string(), name])).map_err(failed)?;
    table.flush().map_err(|source| Error::Io { path, source })
}

/// `.nii` and `.nii.gz` files by the names that pair them.
fn volumes(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(|source| Error::Io { path: folder.to_owned(), source })?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    Ok(paths.filter_map(|path| Some((stem(&path)?, path))).collect())
}

/// The name without its extension; `None` if it is no volume, hidden, or a further channel.
fn stem(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let lower = name.to_ascii_lowercase();
    let end = [".nii.gz", ".nii"].into_iter().find(|end| lower.ends_with(end)).filter(|_| !name.starts_with('.'))?;
    let stem = &name[..name.len() - end.len()];
    Some(stem.strip_suffix("_0000").unwrap_or(stem).to_owned())
}

fn cases(input: &Path) -> Result<(Vec<Case>, Vec<PathBuf>), Error> {
    if input.is_file() {
        return Ok((vec![Case { volume: input.to_owned(), labels: None, test: false }], Vec::new()));
    }
    let (mut cases, mut alone) = (Vec::new(), Vec::new());
    for (images, labels, test) in
        [("imagesTr", "labelsTr", false), ("imagesTs", "labelsTs", true), ("images", "labels", false)]
    {
        let [images, labels] = [images, labels].map(|name| input.join(name));
        if !images.is_dir() {
            continue;
        }
        let mut maps = if labels.is_dir() { volumes(&labels)? } else { BTreeMap::new() };
        for (name, volume) in volumes(&images)? {
            cases.push(Case { volume, labels: maps.remove(&name), test });
        }
        alone.extend(maps.into_values());
    }
    if cases.is_empty() {
        cases = volumes(input)?.into_values().map(|volume| Case { volume, labels: None, test: false }).collect();
    }
    Ok((cases, alone))
}

/// Values in the order of the file (first axis fastest), and the lengths of the axes.
struct Voxels {
    values: Vec<f32>,
    sides: [usize; 3],
}

impl Voxels {
    fn read(path: &Path) -> Result<Self, Error> {
        let layout = |reason: String| Error::Layout { path: path.to_owned(), reason };
        let damaged = |error: nifti::NiftiError| layout(format!("not a NIfTI volume that can be read: {error}"));
        // The header first: what it claims is reserved before anything is read.
        let header = NiftiHeader::from_file(path).map_err(damaged)?;
        let sides: Vec<u64> = header.dim().map_err(damaged)?.iter().map(|&side| u64::from(side)).collect();
        let further = sides.iter().skip(3).any(|&side| side > 1);
        if sides.len() < 3 || further || sides.iter().take(3).any(|&side| side == 0) {
            return Err(layout(format!(
                "a volume of {sides:?} voxels: three axes are expected; save one file per volume"
            )));
        }
        if sides.iter().product::<u64>() > MOST_VOXELS {
            return Err(layout(format!("a volume of {sides:?} voxels, more than {MOST_VOXELS}")));
        }
        let volume = ReaderOptions::new().read_file(path).map_err(damaged)?.into_volume();
        let sides = [0, 1, 2].map(|axis| sides[axis] as usize);
        // Further axes have length 1.
        let mut at = vec![0; volume.dim().len()];
        let mut values = Vec::with_capacity(sides.iter().product());
        for voxel in 0..sides.iter().product() {
            at[0] = (voxel % sides[0]) as u16;
            at[1] = (voxel / sides[0] % sides[1]) as u16;
            at[2] = (voxel / (sides[0] * sides[1])) as u16;
            values.push(volume.get_f32(&at).map_err(damaged)?);
        }
        Ok(Self { values, sides })
    }

    /// Axes of a slice's columns and rows.
    fn plane(axis: usize) -> (usize, usize) {
        [(1, 2), (0, 2), (0, 1)][axis]
    }

    /// One slice, its rows from the far end of their axis on; columns and rows.
    fn slice(&self, axis: usize, at: usize) -> (Vec<f32>, [u32; 2]) {
        let (columns, rows) = Self::plane(axis);
        let strides = [1, self.sides[0], self.sides[0] * self.sides[1]];
        let (wide, high) = (self.sides[columns], self.sides[rows]);
        let place = |y: usize, x: usize| at * strides[axis] + x * strides[columns] + (high - 1 - y) * strides[rows];
        let values = (0..high * wide).map(|pixel| self.values[place(pixel / wide, pixel % wide)]).collect();
        (values, [wide as u32, high as u32])
    }

    /// The values that become black and white.
    fn range(&self, window: Option<(f32, f32)>) -> (f32, f32) {
        if let Some((center, width)) = window {
            return (center - width / 2.0, center + width / 2.0);
        }
        let mut known: Vec<f32> = self.values.iter().copied().filter(|value| value.is_finite()).collect();
        let mut percentile = |share: f64| {
            let at = (share * known.len().saturating_sub(1) as f64).round() as usize;
            if known.is_empty() { 0.0 } else { *known.select_nth_unstable_by(at, f32::total_cmp).1 }
        };
        (percentile(0.005), percentile(0.995))
    }
}

impl Case {
    /// Writes all slices; the lines of the manifest.
    fn cut(&self, out: &Path, options: Options) -> Result<Vec<[String; 4]>, Error> {
        let layout = |path: &Path, reason: String| Error::Layout { path: path.to_owned(), reason };
        let volume = Voxels::read(&self.volume)?;
        let labels = self.labels.as_ref().map(|path| Voxels::read(path).map(|labels| (path, labels))).transpose()?;
        if let Some((path, labels)) = &labels {
            if labels.sides != volume.sides {
                let reason = format!("the label map has {:?} voxels, its volume {:?}", labels.sides, volume.sides);
                return Err(layout(path, reason));
            }
            if let Some(value) =
                labels.values.iter().find(|value| !(value.fract() == 0.0 && (0.0..=255.0).contains(*value)))
            {
                return Err(layout(
                    path,
                    format!("the label map holds {value}; classes are whole numbers from 0 to 255"),
                ));
            }
        }
        let (low, high) = volume.range(options.window);
        let scaled = |value: &f32| {
            // What is not known is black.
            let share = if high > low && value.is_finite() { (value - low) / (high - low) } else { 0.0 };
            (share.clamp(0.0, 1.0) * 65535.0).round() as u16
        };
        let name = stem(&self.volume).unwrap_or_default();
        let mut lines = Vec::with_capacity(volume.sides[options.axis]);
        for at in 0..volume.sides[options.axis] {
            let file = format!("{name}_{}{at:03}.png", ["x", "y", "z"][options.axis]);
            let saved = |path: PathBuf, result: image::ImageResult<()>| {
                result.map_err(|error| Error::Io { path, source: std::io::Error::other(error) })
            };
            let (values, [wide, high]) = volume.slice(options.axis, at);
            let path = out.join("images").join(&file);
            let picture =
                ImageBuffer::<Luma<u16>, _>::from_raw(wide, high, values.iter().map(scaled).collect::<Vec<_>>());
            saved(path.clone(), picture.unwrap_or_default().save(&path))?;
            let mut mask = String::new();
            if let Some((_, labels)) = &labels {
                let path = out.join("masks").join(&file);
                let classes = labels.slice(options.axis, at).0.iter().map(|&value| value as u8).collect();
                saved(path.clone(), GrayImage::from_raw(wide, high, classes).unwrap_or_default().save(&path))?;
                mask = format!("masks/{file}");
            }
            let split = if self.test { "test" } else { "train" };
            lines.push([format!("images/{file}"), mask, name.clone(), split.into()]);
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests;
