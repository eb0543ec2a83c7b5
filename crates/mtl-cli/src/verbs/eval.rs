//! `mtl eval`: a run's scores on held-out images, or on another folder; with `--generation`, those of its generators.

use mtl_train::GenerationRequest;

use crate::args::Eval;
use crate::failure::Failure;
use crate::output::{json, out, say};
use crate::paths::must_exist;
use crate::render::generation::{classifiers, generators, inception};
use crate::render::scores::scores;

/// Prints one table, or those of the generators.
pub fn run(args: &Eval) -> Result<(), Failure> {
    must_exist(&args.run, "run folder").map_err(Failure::Usage)?;
    if let Some(dir) = &args.data {
        must_exist(dir, "folder").map_err(Failure::Data)?;
    }
    if args.generation {
        return generation(args);
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

fn generation(args: &Eval) -> Result<(), Failure> {
    if let Some(file) = &args.inception {
        must_exist(file, "file").map_err(Failure::Usage)?;
    }
    let request = GenerationRequest {
        samples: args.samples,
        classifier_on_samples: args.cas,
        generator: args.generator.clone(),
        seed: args.seed.unwrap_or(0),
        inception: args.inception.clone(),
    };
    let mut progress = |line: &str| say(format_args!("{line} ..."));
    let found = mtl_train::evaluate_generation(&args.run, &request, args.device.as_deref(), &mut progress)?;
    for note in &found.notes {
        say(format_args!("note: {note}"));
    }
    if let Some(warning) = &found.warning {
        say(format_args!("warning: {warning}"));
    }
    if args.json {
        return Ok(json(&found)?);
    }
    let words = "held-out images against samples of each generator";
    out(format_args!("{}: {} {words} ({}) of {}", found.run.display(), found.held_out, found.samples, found.data))?;
    out(generators(&found))?;
    for line in classifiers(&found).into_iter().chain(inception(&found)) {
        out(line)?;
    }
    for generator in &found.generators {
        out(format_args!("picture  {}", generator.picture.display()))?;
    }
    Ok(out(format_args!(
        "{:.0} s; all numbers: {}",
        found.seconds,
        found.run.join("evaluation/generation.json").display()
    ))?)
}
