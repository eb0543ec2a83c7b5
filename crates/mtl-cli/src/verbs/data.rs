//! `mtl data check`: counts, sizes and problems of a folder of images.

use mtl_data::check;
use mtl_data::check::sheet::{examples, sheet};
use mtl_train::config::load;

use crate::args::{Data, Display};
use crate::failure::Failure;
use crate::output::{json, out, say};
use crate::paths::must_exist;

/// Name of the contact sheet.
const SHEET: &str = "contact-sheet.png";

/// Prints the report; data that training would refuse are a failure, warnings are not.
pub fn run(verb: &Data, display: Display) -> Result<(), Failure> {
    let (dir, reader, set, pictures, as_json) = match verb {
        Data::Check { dir, reader, set, pictures, json } => (dir, reader, set, pictures, json),
        Data::Fetch(fetch) => return super::fetch::run(fetch, display),
    };
    must_exist(dir, "folder").map_err(Failure::Data)?;
    if let Some(name) = reader {
        mtl_registry::find("reader", mtl_data::READERS, name).map_err(|error| Failure::Usage(error.to_string()))?;
    }
    let mut options = load::load("standard", None, set)?.data.open;
    options.reader = reader.clone().or(options.reader);
    let (report, dataset) = check::open_and_check(dir, &options);
    if let (Some(folder), Some(dataset)) = (pictures, &dataset) {
        let path = folder.join(SHEET);
        let fail = |error: &dyn std::fmt::Display| Failure::other(format!("cannot write {}: {error}", path.display()));
        std::fs::create_dir_all(folder).map_err(|error| fail(&error))?;
        sheet(&**dataset, &examples(&**dataset)).save(&path).map_err(|error| fail(&error))?;
        say(format!("wrote {}", path.display()));
    }
    if *as_json {
        json(&report)?;
    } else {
        out(report.to_string().trim_end())?;
    }
    match (report.refused.is_some(), report.problems()) {
        (false, _) => Ok(()),
        (true, 1) => Err(Failure::Data(format!("{} cannot be trained on", dir.display()))),
        (true, n) => Err(Failure::Data(format!("{} cannot be trained on: {n} problems", dir.display()))),
    }
}
