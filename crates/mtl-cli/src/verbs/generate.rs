//! `mtl generate`: new images from a run's generators.

use std::path::Path;

use indicatif::ProgressBar;
use mtl_gen::Sampling;
use mtl_train::{Edit, Endpoint, GenerateRequest, Generated, Inversion, InversionStep, Work};

use crate::args::Generate;
use crate::failure::Failure;
use crate::output::{json, out, say};
use crate::paths::must_exist;
use crate::screen::Console;

/// Frames of an interpolation by default.
const FRAMES: usize = 24;

/// Generates images and prints their paths.
pub fn run(args: &Generate, console: &Console) -> Result<(), Failure> {
    must_exist(&args.run, "run folder").map_err(Failure::Usage)?;
    let sampling = Sampling {
        truncation: args.truncation.unwrap_or(Sampling::default().truncation),
        guidance: args.guidance,
        steps: args.steps,
    };
    let request = GenerateRequest {
        count: args.count,
        class: args.class.clone(),
        seed: args.seed,
        generator: args.generator.clone(),
        out: args.out.clone(),
        sampling,
        work: work(args)?,
        edit: args.edit.as_deref().map(edit).transpose()?,
        predict: args.predict,
    };
    let mut screen = InversionScreen { console, bar: None };
    let result = mtl_train::generate(&args.run, &request, args.device.as_deref(), &mut |step| screen.show(step));
    screen.close();
    let generated = result?;
    for note in &generated.notes {
        say(format_args!("note: {note}"));
    }
    if let Some(warning) = &generated.warning {
        say(format_args!("warning: {warning}"));
    }
    if args.json {
        return Ok(json(&generated)?);
    }
    Ok(show(&generated)?)
}

/// The kind of images; files are checked before the run is loaded.
fn work(args: &Generate) -> Result<Work, Failure> {
    let exists = |path: &Path| must_exist(path, "image").map_err(Failure::Data);
    if args.grid {
        return Ok(Work::Grid);
    }
    if !args.like.is_empty() {
        args.like.iter().try_for_each(|path| exists(path))?;
        return Ok(Work::Like(args.like.clone()));
    }
    let [a, b] = &args.interpolate[..] else { return Ok(Work::Samples) };
    let end = |text: &String| match text.parse() {
        Ok(seed) => Ok(Endpoint::Seed(seed)),
        Err(_) => exists(Path::new(text)).map(|()| Endpoint::Image(text.into())),
    };
    Ok(Work::Interpolate { ends: [end(a)?, end(b)?], frames: args.frames.unwrap_or(FRAMES) })
}

fn edit(text: &str) -> Result<Edit, Failure> {
    match text.split_once('=') {
        Some((key, class)) if !class.is_empty() => Ok(Edit { key: key.to_owned(), class: class.to_owned() }),
        _ => Err(Failure::Usage(format!("--edit {text}: write class=NAME with the new class"))),
    }
}

/// Progress of optimisations: a bar, or a line per image.
struct InversionScreen<'a> {
    console: &'a Console,
    bar: Option<ProgressBar>,
}

impl InversionScreen<'_> {
    fn show(&mut self, now: InversionStep<'_>) {
        let error = format!("RMSE {:.1} grey levels", now.rmse);
        if now.step == 1 {
            self.close();
            self.bar = self.console.steps(now.steps);
            let name = now.image.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match &self.bar {
                Some(bar) => bar.set_prefix(name),
                None => self.console.say(format_args!("like    {name}: {} steps from {error} ...", now.steps)),
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_position(now.step as u64);
            bar.set_message(error);
        }
    }

    fn close(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn show(made: &Generated) -> std::io::Result<()> {
    for inversion in &made.inversions {
        out(nearness(inversion))?;
    }
    out(format_args!("grid    {}", made.grid.display()))?;
    for animation in &made.animations {
        out(format_args!("loop    {}", animation.display()))?;
    }
    for (what, images) in [("before", &made.before), ("images", &made.images)] {
        if let Some(folder) = images.first().and_then(|image| image.parent()) {
            let files = if images.len() == 1 { "1 file" } else { &format!("{} files", images.len()) };
            out(format_args!("{what}  {files} in {}", folder.display()))?;
        }
    }
    if let Some(table) = &made.predictions {
        out(format_args!("table   {}", table.display()))?;
    }
    if let Some(overlays) = &made.overlays {
        out(format_args!("masks   {}", overlays.display()))?;
    }
    if let Some(found) = &made.agreement {
        out(format_args!(
            "class   {} of {} images are of their class by the model's own prediction of `{}`, which is no independent judge",
            found.agreeing, found.images, found.task
        ))?;
    }
    Ok(())
}

/// How near the generator came to an image.
fn nearness(found: &Inversion) -> String {
    let class = match (&found.class, found.probability) {
        (None, _) => String::new(),
        (Some(class), None) => format!("class {class}, "),
        (Some(class), Some(p)) => format!("class {class} (predicted, {:.0} %), ", 100.0 * p),
    };
    format!(
        "like    {}: {class}RMSE {:.1} -> {:.1} grey levels, PSNR {:.1} -> {:.1} dB in {} steps from the start `{}`",
        found.image.display(),
        found.start_rmse,
        found.rmse,
        found.start_psnr,
        found.psnr,
        found.steps,
        found.start
    )
}
