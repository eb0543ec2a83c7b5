//! New images from a trained run's generator.
//!
//! | file | contents |
//! |---|---|
//! | `request` | what is wanted, and what was made |
//! | `choice` | generator, classes and folder of a request |
//! | `samples` | samples as a data set, or as one picture |
//! | `inversion` | latents of given images: start, optimisation, distance |
//! | `like` | images as near as possible to given ones |
//! | `interpolation` | frames between two latents |
//! | `animation` | GIF and APNG files |
//! | `edit` | the same latents with another class |
//! | `judged` | predictions of the run's own heads for the images |

mod animation;
mod choice;
mod edit;
mod interpolation;
mod inversion;
mod judged;
mod like;
mod request;
mod samples;
#[cfg(test)]
mod tests;

use std::path::Path;

pub(super) use choice::choose_generators;
pub use request::{Agreement, Edit, Endpoint, GenerateRequest, Generated, Inversion, InversionStep, Work};

use self::choice::Chosen;
use crate::error::{Error, Remedy, Result};
use crate::store::LoadedRun;

/// Makes new images with a run's generator and writes them with a picture to look at. `progress` is called in every step of an
/// optimisation of latents.
///
/// # Errors
/// A run without that generator, an unknown class, settings of sampling that the generator does not have, images that cannot be
/// read, a folder that cannot be written to.
pub fn generate(
    run: &Path,
    request: &GenerateRequest,
    device: Option<&str>,
    progress: &mut dyn FnMut(InversionStep<'_>),
) -> Result<Generated> {
    make(run, request, device, progress).map_err(|error| error.advise(Remedy::OtherOutput))
}

fn make(
    run: &Path,
    request: &GenerateRequest,
    device: Option<&str>,
    progress: &mut dyn FnMut(InversionStep<'_>),
) -> Result<Generated> {
    let trained = LoadedRun::load(run, device)?;
    let chosen = Chosen::new(&trained, run, request)?;
    if request.predict && matches!(request.work, Work::Grid | Work::Interpolate { .. }) {
        return Err(Error::setting("predict", "only samples and given images are predicted"));
    }
    let mut made = match (&request.work, &request.edit) {
        (Work::Samples, None) => samples::write(&chosen)?,
        (Work::Grid, None) => samples::write_grid_only(&chosen)?,
        (Work::Like(images), None) => like::write(&chosen, images, progress)?,
        (Work::Interpolate { ends, frames }, None) => interpolation::write(&chosen, ends, *frames, progress)?,
        (Work::Samples, Some(edit)) => edit::write_samples(&chosen, edit)?,
        (Work::Like(images), Some(edit)) => edit::write_like(&chosen, edit, images, progress)?,
        (Work::Grid | Work::Interpolate { .. }, Some(_)) => {
            return Err(Error::setting("edit", "only samples and given images can be edited"));
        }
    };
    if request.predict {
        judged::predict_made(&trained, &mut made)?;
    }
    made.warning.clone_from(&trained.warning);
    Ok(made)
}
