//! Checks of single settings: ranges, and settings that exclude each other.

use std::collections::BTreeSet;

use mtl_registry::UnknownName;

use super::{Config, JOINT};
use crate::error::{Error, Result};

/// Names that generators cannot have: prefixes of other parameters, keys of `[stages]`.
const RESERVED: [&str; 5] = ["trunk", "heads", "autoencoder", "run", JOINT];

impl Config {
    /// Image height and width in pixels.
    ///
    /// # Errors
    /// [`Error::Setting`]: `size` is not of the form `64` or `64x128`, not divisible by 8, or outside 32 to 256.
    pub fn image_size(&self) -> Result<(usize, usize)> {
        parse_size(&self.size)
    }

    /// Checks every setting that needs no data.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the key, its value and the values that are possible.
    pub fn check(&self) -> Result<()> {
        let wrong = |key: &str, problem: String| Err(Error::setting(key, problem));
        let budget = &self.budget;
        let given = [budget.steps.map(|v| v as f64), budget.epochs, budget.minutes];
        if given.iter().flatten().count() > 1 {
            return wrong("budget", "give one of steps, epochs and minutes, not several".into());
        }
        if given.iter().flatten().any(|v| !v.is_finite() || *v <= 0.0) {
            return wrong("budget", "steps, epochs and minutes must be above 0".into());
        }
        let run = &self.stages.run;
        if run.is_empty() {
            return wrong("stages.run", "at least one stage is needed, for example [\"joint\"]".into());
        }
        if let Some(twice) = (1..run.len()).find(|&at| run[..at].contains(&run[at])) {
            return wrong("stages.run", format!("\"{}\" is listed twice; each stage runs once", run[twice]));
        }
        if run.iter().skip(1).any(|stage| stage == JOINT) {
            return wrong(
                "stages.run",
                "\"joint\" must come first: generators are trained on the encoder it trains".into(),
            );
        }
        for stage in run {
            self.check_stage(stage)?;
        }
        self.check_names()?;
        let schedule = self.stages.joint.schedule;
        if !(schedule.lr > 0.0 && schedule.lr.is_finite())
            || [schedule.warmup, schedule.min_lr_ratio].iter().any(|share| !(0.0..1.0).contains(share))
        {
            let problem = "lr must be above 0, warmup and min_lr_ratio from 0 to below 1";
            return wrong("stages.joint.schedule", problem.into());
        }
        self.data.sampling.validate().map_err(|error| Error::setting("data.sampling", error.to_string()))?;
        self.data.augment.validate().map_err(|error| Error::setting("data.augment", error.to_string()))
    }

    /// Names of generators and objectives are prefixes of parameters, file names, and keys of logs.
    fn check_names(&self) -> Result<()> {
        let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let generators = self.generators.keys().map(|name| ("generators", name));
        for (table, name) in generators.chain(self.objectives.keys().map(|name| ("objectives", name))) {
            let key = format!("{table}.{name}");
            if name.is_empty() || !name.chars().all(usable) {
                return Err(Error::setting(key, "a name consists of letters, digits, `-` and `_`"));
            }
            if table == "generators" && RESERVED.contains(&name.as_str()) {
                return Err(Error::setting(key, "this name is reserved; choose another one"));
            }
        }
        for (name, generator) in &self.generators {
            let source = generator.init_from().filter(|source| *source != mtl_gen::RANDOM_START);
            let kinds = mtl_gen::GENERATORS.iter().map(|entry| entry.name);
            let known = || self.generators.keys().map(String::as_str).chain(kinds.clone()).collect::<BTreeSet<_>>();
            if let Some(source) = source.filter(|source| !known().contains(source)) {
                let error = UnknownName::new("generator", source, known());
                return Err(Error::setting(
                    format!("generators.{name}.{}.init_from", generator.name()),
                    error.to_string(),
                ));
            }
        }
        Ok(())
    }

    fn check_stage(&self, stage: &str) -> Result<()> {
        let wrong = |key: &str, problem: String| Err(Error::setting(format!("stages.{stage}.{key}"), problem));
        let joint = &self.stages.joint;
        let own = self.stages.settings(stage);
        let clip = if stage == JOINT { joint.clip_grad_norm } else { own.clip_grad_norm };
        let (batch, share) = (self.batch(stage), self.minutes_share(stage));
        if batch < 2 {
            return wrong("batch", format!("{batch} must be at least 2: statistics are taken over a batch"));
        }
        if !clip.is_finite() || clip < 0.0 {
            return wrong("clip_grad_norm", format!("{clip} must be at least 0 (0 disables clipping)"));
        }
        if !share.is_finite() || share <= 0.0 {
            return wrong("minutes_share", format!("{share} must be above 0"));
        }
        if stage == JOINT {
            if !(0.0..1.0).contains(&joint.ema_decay) {
                return wrong("ema_decay", format!("{} must be from 0 (no averaging) to below 1", joint.ema_decay));
            }
            return Ok(());
        }
        if !(0.0..=1.0).contains(&own.ema_half_life) {
            return wrong("ema_half_life", format!("{} must be from 0 (no averaging) to 1", own.ema_half_life));
        }
        if !own.lr_scale.is_finite() || own.lr_scale <= 0.0 {
            return wrong("lr_scale", format!("{} must be above 0", own.lr_scale));
        }
        for (key, value) in [("warmup", own.warmup), ("min_lr_ratio", own.min_lr_ratio)] {
            if !(0.0..1.0).contains(&value) {
                return wrong(key, format!("{value} must be from 0 to below 1"));
            }
        }
        if own.steps == Some(0) {
            return wrong("steps", "0 steps; remove the stage from stages.run to skip it".into());
        }
        Ok(())
    }
}

/// `64` or `64x128` as height and width.
fn parse_size(text: &str) -> Result<(usize, usize)> {
    let wrong = |problem: &str| Error::setting("size", problem);
    let side = |side: &str| {
        let problem = || wrong(&format!("\"{text}\" is not a size; write 64 or 64x128 (height x width, pixels)"));
        side.trim().parse::<usize>().map_err(|_| problem())
    };
    let (height, width) = match text.split_once('x') {
        Some((height, width)) => (side(height)?, side(width)?),
        None => (side(text)?, side(text)?),
    };
    for side in [height, width] {
        if side % 8 != 0 {
            let (below, above) = (side / 8 * 8, side.div_ceil(8) * 8);
            return Err(wrong(&format!("{side} is not divisible by 8; use {} or {above}", below.max(32))));
        }
        if !(32..=256).contains(&side) {
            return Err(wrong(&format!("{side} is outside 32 to 256")));
        }
    }
    Ok((height, width))
}
