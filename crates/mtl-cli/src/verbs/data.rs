//! `mtl data check`: counts, sizes and problems of a folder of images.

use mtl_data::{OpenOptions, check};

use crate::args::{Data, Display};
use crate::failure::Failure;
use crate::output::{json, out};
use crate::paths::must_exist;

/// Prints the report; a folder that needs repair is a failure.
pub fn run(verb: &Data, display: Display) -> Result<(), Failure> {
    let (dir, reader, as_json) = match verb {
        Data::Check { dir, reader, json } => (dir, reader, json),
        Data::Fetch(fetch) => return super::fetch::run(fetch, display),
    };
    must_exist(dir, "folder").map_err(Failure::Data)?;
    if let Some(name) = reader {
        mtl_registry::find("reader", mtl_data::READERS, name).map_err(|error| Failure::Usage(error.to_string()))?;
    }
    let report = check::check(dir, &OpenOptions { reader: reader.clone(), ..OpenOptions::default() });
    if *as_json {
        json(&report)?;
    } else {
        out(report.to_string().trim_end())?;
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
