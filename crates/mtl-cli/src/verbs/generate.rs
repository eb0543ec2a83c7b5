//! `mtl generate`: new images from a run's generators.

use mtl_train::GenerateRequest;

use crate::args::Generate;
use crate::failure::Failure;
use crate::output::{json, out, say};
use crate::paths::must_exist;

/// Generates images and prints their paths.
pub fn run(args: &Generate) -> Result<(), Failure> {
    must_exist(&args.run, "run folder").map_err(Failure::Usage)?;
    let request = GenerateRequest {
        count: args.count,
        class: args.class.clone(),
        seed: args.seed,
        generator: args.generator.clone(),
        out: args.out.clone(),
    };
    let generated = mtl_train::generate(&args.run, &request, args.device.as_deref())?;
    if let Some(warning) = &generated.warning {
        say(format_args!("warning: {warning}"));
    }
    if args.json {
        return Ok(json(&generated)?);
    }
    out(format_args!("grid    {}", generated.grid.display()))?;
    if let Some(folder) = generated.images.first().and_then(|image| image.parent()) {
        out(format_args!("images  {} files in {}", generated.images.len(), folder.display()))?;
    }
    Ok(())
}
