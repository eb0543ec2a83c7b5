//! Tables of images and labels: `manifest.csv`, or another name, separator or way of writing that is common.
//!
//! A column names the images (`image`; paths relative to the table). Masks, depth maps, the split and groups have columns of
//! their own; every other column is a task. A blank cell is a missing label. Two or more columns of yes and no form one
//! multi-label task `labels` together; a column whose cells hold lists is a multi-label task of its own; other columns are
//! classifications, their classes the different values, sorted (as numbers if all are whole numbers). A column with one
//! value, or with a different value in almost every row, is no task; one of measured numbers is a regression. The options
//! `regression` and `classification` name columns that are to be one or the other.
//!
//! | file | contents |
//! |---|---|
//! | `find` | which files are the table |
//! | `sheet` | text to lines of cells |
//! | `paths` | cells to files |
//! | `roles`, `splits` | the purpose of each column |
//! | `values`, `lists`, `numbers`, `tasks` | cells to labels |
//! | `declared` | `classes.csv`: the classes of columns |
//! | `rows` | lines to rows; repeated images, groups, generated images |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::masks::{Meaning, palette_file};
use super::{OpenOptions, ReaderFns};
use crate::dataset::Dataset;
use crate::error::Error;
use crate::reading::Reading;

mod contents;
mod declared;
mod find;
mod lists;
mod numbers;
mod paths;
mod roles;
mod rows;
mod sheet;
mod splits;
mod tasks;
mod values;

use self::contents::Table;

pub(super) const READER: ReaderFns = ReaderFns { detect: find::any, open };

fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
    let (mut reading, mut left) = (Reading::default(), BTreeMap::new());
    let files = find::tables(path, &mut left, &mut reading)?;
    let table = Table::read(files, &mut reading)?;
    let mut paths = paths::Paths::new(&table.root);
    let declared = declared::Declared::read(&table.root)?;
    let roles = roles::Roles::of(&table, &declared, &mut paths, &mut reading)?;
    let columns = tasks::columns(&table, &roles, &declared, &mut paths, options, &mut reading)?;
    let rows = rows::rows(&table, &roles, &columns, &mut paths, &mut reading)?;
    paths.say(&mut reading);
    let tasks = columns.into_iter().map(|column| column.task).collect();
    let meaning = palette_file(&[&table.root])?.map_or(Meaning::Discover, Meaning::Known);
    let mut tables: Vec<PathBuf> = table.files.into_iter().map(|(file, _)| file).collect();
    tables.push(table.root.join("palette.csv"));
    if let Some(path) = declared.path() {
        left.remove(path);
        tables.push(path.to_owned());
    }
    // Next to a table that is named by its own path anything may lie.
    let count_rest = path.is_dir();
    let draft =
        Draft { root: table.root, tasks, rows, meaning, alpha_as_mask: false, tables, left, count_rest, reading };
    draft.build(options)
}
