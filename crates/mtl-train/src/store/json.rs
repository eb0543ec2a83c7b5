//! `result.json` and `schema.json`: the outcome of a run, and the part of its data that its model depends on.

use std::path::Path;

use mtl_model::Schema;
use serde::{Deserialize, Serialize};

use super::atomic::write_atomically;
use crate::error::{Error, Result};
use crate::record::RunRecord;

/// Writes `result.json` into the run folder.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn write_record(record: &RunRecord) -> Result<()> {
    write_json(&record.run.join("result.json"), record)
}

/// Reads `result.json` of a finished run.
///
/// # Errors
/// [`Error::Io`] for a run that has not finished; [`Error::Run`] for a damaged file.
pub fn read_record(run: &Path) -> Result<RunRecord> {
    read_json(&run.join("result.json"))
}

/// Writes `schema.json`.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn write_schema(run: &Path, schema: &Schema) -> Result<()> {
    write_json(&run.join("schema.json"), schema)
}

/// Reads `schema.json`.
///
/// # Errors
/// [`Error::Io`]; [`Error::Run`] for a damaged file.
pub(crate) fn read_schema(run: &Path) -> Result<Schema> {
    read_json(&run.join("schema.json"))
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_vec_pretty(value)
        .map_err(|error| Error::Run { path: path.to_owned(), problem: format!("cannot be written: {error}") })?;
    write_atomically(path, &text)
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let text = std::fs::read(path).map_err(Error::io("cannot read", path))?;
    serde_json::from_slice(&text)
        .map_err(|error| Error::Run { path: path.to_owned(), problem: format!("is damaged: {error}") })
}
