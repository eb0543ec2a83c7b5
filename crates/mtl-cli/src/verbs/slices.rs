//! `mtl data slices`: NIfTI volumes to a data set of slices (feature `nifti`).

use crate::args::Slices;
use crate::failure::Failure;

/// Cuts all volumes.
#[cfg(feature = "nifti")]
pub fn run(args: &Slices) -> Result<(), Failure> {
    use mtl_data::volumes::{Options, cut};

    use crate::output::{out, program};
    use crate::paths::quoted;

    let options = Options { axis: args.axis.into(), window: args.window };
    let written = cut(&args.volumes, &args.out, options).map_err(|error| Failure::other(error.to_string()))?;
    let folder = quoted(&args.out);
    out(format_args!(
        "{} slices of {} volumes in {folder}, {} with a label map",
        written.slices, written.volumes, written.labelled
    ))?;
    match args.window {
        Some((center, width)) => {
            out(format_args!("black to white: {} to {}", center - width / 2.0, center + width / 2.0))?;
        }
        None => out("black to white: 0.5 % to 99.5 % of the values of each volume")?,
    }
    if let [first, ..] = &written.alone[..] {
        out(format_args!("{} label maps belong to no volume, such as {}", written.alone.len(), first.display()))?;
    }
    let next = if written.labelled > 0 {
        format!("{} train --data {folder} --set data.split.group=group", program())
    } else {
        format!("{} predict RUN {folder}/images", program())
    };
    out(format_args!("next: {next}"))?;
    Ok(())
}

/// Explains how to get a program with volumes.
#[cfg(not(feature = "nifti"))]
pub fn run(args: &Slices) -> Result<(), Failure> {
    use crate::paths::quoted;

    Err(Failure::other(format!(
        "this program was built without volumes; build it with them:\n  \
         cargo run -p mtl-cli --features nifti -- data slices {} {}",
        quoted(&args.volumes),
        quoted(&args.out)
    )))
}
