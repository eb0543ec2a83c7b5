//! What the columns of a table are: images, masks, depth maps, the split, groups, an index, or labels.

use std::collections::HashSet;

use mtl_registry::nearest;

use super::super::names::plain;
use super::contents::{Table, rows_words};
use super::declared::Declared;
use super::forms::number;
use super::paths::{Kind, Paths};
use super::sheet::IMAGE_NAMES;
use super::splits::SplitColumns;
use super::values::{is_missing, yes_no};
use crate::error::Error;
use crate::reading::Reading;

const MASK_NAMES: [&str; 12] = [
    "mask",
    "maskpath",
    "masks",
    "maskfile",
    "segmentation",
    "seg",
    "segmentationpath",
    "labelpath",
    "labelfile",
    "annotationpath",
    "segpath",
    "maskname",
];
const DEPTH_NAMES: [&str; 4] = ["depth", "depthpath", "depthfile", "depthmap"];
const GROUP_NAMES: [&str; 22] = [
    "patientid",
    "patient",
    "group",
    "groupid",
    "subject",
    "subjectid",
    "caseid",
    "lesionid",
    "slideid",
    "specimenid",
    "sampleid",
    "animalid",
    "plantid",
    "sceneid",
    "videoid",
    "seriesid",
    "personid",
    "studyid",
    "patientids",
    "groups",
    "subjects",
    "case",
];
/// Whether a column of this name holds groups, such as patients.
pub(super) fn is_group(name: &str) -> bool {
    GROUP_NAMES.contains(&plain(name).as_str())
}

/// Cells that are looked up to tell whether a column names files.
const LOOKED_UP: usize = 20;

/// The purpose of every column, by its place.
pub(super) struct Roles {
    pub image: usize,
    pub mask: Option<usize>,
    pub depth: Option<usize>,
    pub split: SplitColumns,
    pub groups: Vec<usize>,
    /// Whether each line's image was generated; `None` without such a column.
    pub generated: Option<usize>,
    /// Columns of labels.
    pub labels: Vec<usize>,
}

impl Roles {
    pub fn of(table: &Table, declared: &Declared, paths: &mut Paths, reading: &mut Reading) -> Result<Self, Error> {
        refuse_without_header(table, paths)?;
        let mut free: Vec<usize> = (0..table.header.len()).collect();
        leave_unnamed(table, &mut free, reading)?;
        // Columns whose classes are listed are labels under any name.
        let (mut labels, mut free): (Vec<usize>, Vec<usize>) =
            free.into_iter().partition(|&at| declared.has(&table.header[at]));
        let image = image_column(table, &free, paths, reading)?;
        free.retain(|&at| at != image);
        let mask = file_column(table, &MASK_NAMES, "mask", &mut free, paths, reading);
        let depth = file_column(table, &DEPTH_NAMES, "depth", &mut free, paths, reading);
        let split = SplitColumns::of(table, &mut free, reading)?;
        let is_group = |at: &usize| is_group(&table.header[*at]);
        let generated = generated_column(table, &mut free, reading);
        let groups = free.iter().copied().filter(is_group).collect();
        free.retain(|at| !is_group(at));
        labels.extend(free);
        labels.sort_unstable();
        Ok(Self { image, mask, depth, split, groups, generated, labels })
    }
}

fn refuse_without_header(table: &Table, paths: &mut Paths) -> Result<(), Error> {
    let Some(cell) = table.header.iter().find(|cell| paths.finds_written(cell)) else { return Ok(()) };
    let example: Vec<&str> = ["image", "class"].into_iter().take(table.header.len()).collect();
    let reason = format!(
        "line 1 looks like data (`{cell}` is an image): add a header such as `{}`",
        example.join(super::sheet::separator_name(table.separator))
    );
    Err(table.fail_in_header(reason))
}

/// Takes out columns without a name: those without text, and the index that pandas writes.
fn leave_unnamed(table: &Table, free: &mut Vec<usize>, reading: &mut Reading) -> Result<(), Error> {
    let mut named = Vec::with_capacity(free.len());
    for at in free.drain(..) {
        let name = &table.header[at];
        let by_pandas = plain(name).starts_with("unnamed:");
        if !name.is_empty() && !by_pandas {
            named.push(at);
            continue;
        }
        let title =
            if name.is_empty() { format!("column {}, which has no name,", at + 1) } else { format!("column `{name}`") };
        if table.cells(at).all(str::is_empty) {
            reading.guess(format!("{title} is blank: left out"));
        } else if (at == 0 || by_pandas) && is_index(table, at) {
            reading.guess(format!("{title} numbers the rows (an index): left out"));
        } else if by_pandas {
            named.push(at);
        } else {
            return Err(table.fail_in_header(format!("column {} has no name; write one into line 1", at + 1)));
        }
    }
    *free = named;
    Ok(())
}

/// Different whole numbers in all rows of each file.
fn is_index(table: &Table, at: usize) -> bool {
    let mut seen = HashSet::new();
    table.lines.iter().all(|line| line.cells[at].parse::<i64>().is_ok_and(|number| seen.insert((line.table, number))))
}

/// The column of images: the surest name among those whose cells name files, or else the surest name.
fn image_column(table: &Table, free: &[usize], paths: &mut Paths, reading: &mut Reading) -> Result<usize, Error> {
    let place = |at: usize| IMAGE_NAMES.iter().position(|known| *known == plain(&table.header[at]));
    let mut candidates: Vec<(usize, usize)> = free.iter().filter_map(|&at| Some((place(at)?, at))).collect();
    candidates.sort_unstable();
    let Some(&(_, surest)) = candidates.first() else { return Err(no_image_column(table)) };
    let image = candidates.iter().map(|&(_, at)| at).find(|&at| names_files(table, at, Kind::Image, paths));
    let image = image.unwrap_or(surest);
    let name = &table.header[image];
    if name != "image" {
        reading.guess(format!("column `{name}` names the images"));
    }
    Ok(image)
}

fn no_image_column(table: &Table) -> Error {
    let near = nearest("image", table.header.iter().map(String::as_str));
    let hint = near.map_or(String::new(), |name| format!("; is it `{name}`?"));
    let columns = table.header.join(", ");
    table.fail_in_header(format!("no column `image` (columns: {columns}){hint}; rename the one that names the files"))
}

/// Whether one of the first cells names a file.
fn names_files(table: &Table, at: usize, kind: Kind, paths: &mut Paths) -> bool {
    table.lines.iter().filter(|line| !is_missing(&line.cells[at])).take(LOOKED_UP).any(|line| {
        paths.enter(table.folder(line));
        paths.finds(&line.cells[at], kind)
    })
}

/// Takes out the first column with one of these names whose cells name files.
fn file_column(
    table: &Table,
    names: &[&str],
    task: &str,
    free: &mut Vec<usize>,
    paths: &mut Paths,
    reading: &mut Reading,
) -> Option<usize> {
    let mut chosen = None;
    for known in names {
        for at in free.clone().into_iter().filter(|&at| plain(&table.header[at]) == *known) {
            let name = &table.header[at];
            let files = names_files(table, at, Kind::Label, paths) || table.cells(at).any(looks_like_file);
            match (files, chosen) {
                (true, None) => {
                    if name != task {
                        reading.guess(format!("column `{name}` names files: it is the task `{task}`"));
                    }
                    chosen = Some(at);
                }
                (true, Some(first)) => {
                    let first: &String = &table.header[first];
                    reading.guess(format!("column `{name}` names files like `{first}`, which is read: left out"));
                }
                (false, _) if name == task && table.cells(at).any(|cell| !is_missing(cell)) => {
                    reading.guess(format!("column `{name}` names no files: its cells are read as labels"));
                    continue;
                }
                (false, _) => continue,
            }
            free.retain(|&other| other != at);
        }
    }
    chosen
}

/// Takes out the column that marks generated images, and that of their seeds.
fn generated_column(table: &Table, free: &mut Vec<usize>, reading: &mut Reading) -> Option<usize> {
    let named = |name: &str| free.iter().copied().find(|&at| plain(&table.header[at]) == name);
    let (mark, seed) = (named("generated")?, named("generatedseed"));
    free.retain(|&at| at != mark && Some(at) != seed);
    let other = table.cells(mark).filter(|cell| !is_missing(cell) && yes_no(cell).is_none()).count();
    let name = &table.header[mark];
    if other > 0 {
        reading.warn(format!(
            "column `{name}` marks generated images by true and false, and {} hold something else: it is left out; give it \
             another name if it is a label",
            rows_words(other)
        ));
        return None;
    }
    let count = table.cells(mark).filter(|cell| yes_no(cell) == Some(true)).count();
    reading.guess(format!(
        "column `{name}` marks {count} of {} as generated images: they are for training only, never for validation, test or \
         baselines",
        rows_words(table.lines.len())
    ));
    Some(mark)
}

/// A name with a short extension, such as `a/b.png`; no number.
fn looks_like_file(cell: &str) -> bool {
    let end = cell.rsplit_once('.').map_or("", |(_, end)| end);
    matches!(end.len(), 2..=4) && end.chars().all(char::is_alphanumeric) && number(cell).is_none()
}
