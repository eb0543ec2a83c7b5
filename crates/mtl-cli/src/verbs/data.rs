//! `mtl data check`: everything worth knowing about a folder before training on it.

use mtl_data::{OpenOptions, check};

use crate::args::Data;
use crate::failure::{Failure, must_exist};
use crate::output::{json, out};

/// Prints the report; a folder that needs repair is a failure.
pub fn run(verb: &Data) -> Result<(), Failure> {
    let Data::Check { dir, reader, json: as_json } = verb;
    must_exist(dir, "folder").map_err(Failure::Data)?;
    if let Some(name) = reader {
        mtl_registry::find("reader", mtl_data::READERS, name).map_err(|error| Failure::Usage(error.to_string()))?;
    }
    let report = check::check(dir, &OpenOptions { reader: reader.clone(), ..OpenOptions::default() });
    if *as_json {
        json(&report)?;
    } else {
        out(report.to_string().trim_end());
    }
    match report.problems() {
        0 => Ok(()),
        n => Err(Failure::Data(format!(
            "{n} {} found in {}",
            if n == 1 { "problem" } else { "problems" },
            dir.display()
        ))),
    }
}
