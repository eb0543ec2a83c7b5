//! `mtl eval`: a run's scores on held-out images, or on another folder.

use crate::args::Eval;
use crate::failure::Failure;
use crate::output::{json, out, say};
use crate::paths::must_exist;
use crate::render::scores::scores;

/// Prints one table.
pub fn run(args: &Eval) -> Result<(), Failure> {
    must_exist(&args.run, "run folder").map_err(Failure::Usage)?;
    if let Some(dir) = &args.data {
        must_exist(dir, "folder").map_err(Failure::Data)?;
    }
    let evaluation = mtl_train::evaluate(&args.run, args.data.as_deref(), args.device.as_deref())?;
    for note in &evaluation.notes {
        say(format_args!("note: {note}"));
    }
    if let Some(warning) = &evaluation.warning {
        say(format_args!("warning: {warning}"));
    }
    if args.json {
        return Ok(json(&evaluation)?);
    }
    let which = if evaluation.part == "test" { "held-out images" } else { "images, all of them" };
    out(format_args!("{}: {} {which} of {}", evaluation.run.display(), evaluation.images, evaluation.data))?;
    Ok(out(scores(&evaluation.scores))?)
}
