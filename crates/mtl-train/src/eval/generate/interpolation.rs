//! Frames between two latents.
//!
//! With the means `m_a`, `m_b` of the classes of both ends and `d = z - m`, frame `t` from 0 to 1 has the latent
//!
//! ```text
//! z(t) = (1 - t) m_a + t m_b + slerp(d_a, d_b, t)
//! slerp(d_a, d_b, t) = (sin((1 - t) w) d_a + sin(t w) d_b) / sin w,  w the angle between d_a and d_b
//! ```
//! (Shoemake 1985). On a straight line the middle would be nearer to the mean than samples are, and its images flatter. If the
//! classes differ, each frame is the mix `(1 - t) G(z(t), a) + t G(z(t), b)` of two images: labels have no values between.

use mtl_tensor::{Tensor, from_host, to_f64};

use super::animation::{write_apng, write_gif};
use super::choice::Chosen;
use super::inversion::invert;
use super::request::{Endpoint, Generated, Inversion, InversionStep};
use crate::error::{Error, Result};
use crate::eval::pictures::{Tile, tiles, write_grid};

/// Most frames from one end to the other.
const MOST: usize = 1000;
/// Animations are enlarged by whole factors until their shorter side has at least this many pixels.
const SIDE: u32 = 128;
/// Frames per row of the picture.
const COLUMNS: usize = 12;

/// An end with its latent.
struct End {
    z: Tensor,
    label: i32,
    inversion: Option<Inversion>,
}

/// Writes frames from one end to the other and back as `interpolation.gif` and `interpolation.apng`, and those of one way as a
/// picture.
pub(super) fn write(
    chosen: &Chosen<'_>,
    ends: &[Endpoint; 2],
    frames: usize,
    progress: &mut dyn FnMut(InversionStep<'_>),
) -> Result<Generated> {
    if !(2..=MOST).contains(&frames) {
        return Err(Error::setting("frames", format!("{frames}: from 2 to {MOST}")));
    }
    let mut found = Vec::new();
    for end in ends {
        found.push(match end {
            Endpoint::Seed(seed) => {
                let label = chosen.class.or_else(|| chosen.trained_labels().next()).unwrap_or(-1);
                let truncation = chosen.request.sampling.truncation;
                let z = chosen.latents(&[label], truncation, &mut Chosen::stream(*seed))?;
                End { z, label, inversion: None }
            }
            Endpoint::Image(path) => {
                let inverted = invert(chosen, path, progress)?;
                End { z: inverted.z, label: inverted.label, inversion: Some(inverted.report) }
            }
        });
    }
    let between = decode_between(chosen, &found[0], &found[1], frames)?;
    let mut made = chosen.begin()?;
    made.notes = notes(chosen, ends, &found);
    made.inversions = found.into_iter().filter_map(|end| end.inversion).collect();
    let there: Vec<_> = between.iter().map(|tile| tile.enlarged(SIDE)).collect();
    let back = there[1..frames - 1].iter().rev();
    let loops: Vec<_> = there.iter().chain(back).cloned().collect();
    let [gif, apng] = ["interpolation.gif", "interpolation.apng"].map(|name| made.folder.join(name));
    write_gif(&gif, &loops)?;
    write_apng(&apng, &loops)?;
    made.animations = vec![gif, apng];
    made.grid = made.folder.join("frames.png");
    write_grid(&made.grid, &between, COLUMNS)?;
    Ok(made)
}

/// The classes of the ends, where the request does not name them.
fn notes(chosen: &Chosen<'_>, ends: &[Endpoint; 2], found: &[End]) -> Vec<String> {
    let mut notes = Vec::new();
    if chosen.classes.is_empty() {
        return notes;
    }
    let name = |end: &End| chosen.class_name(end.label).unwrap_or_default();
    if chosen.class.is_none()
        && let Some((_, end)) = ends.iter().zip(found).find(|(end, _)| matches!(end, Endpoint::Seed(_)))
    {
        notes.push(format!("seeds are of class `{}`, the first one", name(end)));
    }
    if found[0].label != found[1].label {
        notes.push(format!(
            "the ends are of the classes `{}` and `{}`: each frame is a mix of its images of both, so that there is no jump",
            name(&found[0]),
            name(&found[1])
        ));
    }
    notes
}

/// The frames from one end to the other.
fn decode_between(chosen: &Chosen<'_>, a: &End, b: &End, frames: usize) -> Result<Vec<Tile>> {
    let mean = |end: &End| -> Result<Vec<f64>> { Ok(to_f64(&chosen.mean(end.label)?)?) };
    let (mean_a, mean_b, z_a, z_b) = (mean(a)?, mean(b)?, to_f64(&a.z)?, to_f64(&b.z)?);
    let share = |frame: usize| frame as f64 / (frames - 1) as f64;
    let mut values = Vec::new();
    for frame in 0..frames {
        values.extend(between([&z_a, &z_b], [&mean_a, &mean_b], share(frame)));
    }
    let z = from_host(values, (frames, z_a.len()), &a.z)?;
    let mut images = chosen.decode(&z, &vec![a.label; frames])?;
    if a.label != b.label {
        let other = chosen.decode(&z, &vec![b.label; frames])?;
        let shares = from_host((0..frames).map(share).collect(), (frames, 1, 1, 1), &images)?;
        images = (&images + (other - &images)?.broadcast_mul(&shares)?)?;
    }
    tiles(&images)
}

/// The latent a share `t` of the way from `z[0]` to `z[1]`, see the module.
pub(super) fn between(z: [&[f64]; 2], mean: [&[f64]; 2], t: f64) -> Vec<f64> {
    let [a, b] = [0, 1].map(|end: usize| z[end].iter().zip(mean[end]).map(|(z, m)| z - m).collect::<Vec<f64>>());
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let lengths = (dot(&a, &a) * dot(&b, &b)).sqrt();
    let angle = if lengths > 0.0 { (dot(&a, &b) / lengths).clamp(-1.0, 1.0).acos() } else { 0.0 };
    // Of equal and of opposite directions no arc is defined; a straight line is.
    let (from, to) = match angle.sin() {
        sine if sine < 1e-6 => (1.0 - t, t),
        sine => (((1.0 - t) * angle).sin() / sine, (t * angle).sin() / sine),
    };
    let means = mean[0].iter().zip(mean[1]).map(|(a, b)| (1.0 - t) * a + t * b);
    means.zip(a.iter().zip(&b)).map(|(mean, (a, b))| mean + from * a + to * b).collect()
}
