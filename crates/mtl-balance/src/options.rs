//! Options applied to any gradient-based balancer: weight EMA, update interval, gradient normalisation, norm matching.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::solve::{is_rounding, square_length};
use crate::vector::narrow;
use crate::{Aggregation, Balancer, Error, Gram, Needs, Requirements, Signals, State};

/// The table `[balancer_options]`. By default the balancer is unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateOptions {
    /// Exponential moving average of the weights, `w <- ema w + (1 - ema) w_new`, at least 0 and below 1. It smooths weights that
    /// jump from batch to batch (CR-MOGM, Zhou et al. 2022, with 0.9). Default: 0.
    pub ema: f64,
    /// Update interval in steps. Between updates the weights stay, and a step costs one pass through the trunk. Default: 1.
    pub every: u64,
    /// Scale every gradient to the mean length of all gradients before the method is applied. Default: false.
    pub normalise: bool,
    /// Scale the update to the length of the mean gradient. Update lengths differ up to 200-fold between methods on the same
    /// gradients, so that a learning rate suits one method only. An update that is zero up to rounding stays zero. Lengths are
    /// those of the compared gradients: with `gradients_wrt = "representation"`, of the features' gradients. Default: false.
    pub match_norm: bool,
}

impl Default for UpdateOptions {
    fn default() -> Self {
        Self { ema: 0.0, every: 1, normalise: false, match_norm: false }
    }
}

impl UpdateOptions {
    /// `inner` with these options, for a run with these tasks.
    ///
    /// # Errors
    /// Options outside their range; options that need an input that the method does not use; fewer tasks than
    /// [`Requirements::min_tasks`].
    pub fn apply(&self, inner: Box<dyn Balancer>, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let rule = "the share kept must be at least 0 and below 1";
        Error::ensure((0.0..1.0).contains(&self.ema), "balancer_options.ema", self.ema, rule)?;
        Error::ensure(self.every > 0, "balancer_options.every", self.every as f64, "1 or more steps")?;
        let Requirements { needs, outputs_update, min_tasks, .. } = inner.requirements();
        if (2..min_tasks).contains(&tasks.len()) {
            return Err(Error::TooFewTasks { min_tasks, tasks: tasks.len() });
        }
        if *self == Self::default() {
            return Ok(inner);
        }
        let problems = [
            (
                self.normalise && !needs.gram(),
                "balancer_options.normalise",
                "this balancer uses losses only; choose one that uses gradients, or remove the option",
            ),
            (
                self.match_norm && !needs.gram(),
                "balancer_options.match_norm",
                "this balancer uses losses only; choose one that uses gradients, or remove the option",
            ),
            (
                self.every > 1 && (!needs.gram() || outputs_update),
                "balancer_options.every",
                "this balancer's weights cost nothing, or it gives an update without weights; only weights from gradients can be kept",
            ),
            (
                self.normalise && needs == Needs::HalvesGram,
                "balancer_options.normalise",
                "this balancer compares two halves of a batch and scales them itself",
            ),
            (
                self.ema > 0.0 && outputs_update,
                "balancer_options.ema",
                "this balancer gives an update without weights; there is nothing to average",
            ),
        ];
        if let Some((_, key, problem)) = problems.into_iter().find(|(holds, ..)| *holds) {
            return Err(Error::IncompatibleOption { key, problem });
        }
        let last = vec![None; tasks.len()];
        Ok(Box::new(WithOptions { inner, options: self.clone(), tasks: tasks.to_vec(), last, factor: 1.0 }))
    }
}

/// A balancer with options.
struct WithOptions {
    inner: Box<dyn Balancer>,
    options: UpdateOptions,
    tasks: Vec<String>,
    /// The last weight of each task.
    last: Vec<Option<f64>>,
    /// The last factor that scaled an update to the mean gradient's length.
    factor: f64,
}

/// Key of the factor in the state.
const FACTOR: &str = "factor";

/// Key of a task's last weight in the state.
fn key(task: &str) -> String {
    format!("weight/{task}")
}

impl WithOptions {
    fn is_due(&self, step: u64) -> bool {
        step.is_multiple_of(self.options.every) || self.last.iter().all(Option::is_none)
    }

    /// The last weights; of a task without one, the mean of the others.
    fn kept(&self, present: &[usize]) -> Vec<f64> {
        let known: Vec<f64> = present.iter().filter_map(|&task| self.last[task]).collect();
        let mean = if known.is_empty() { 1.0 } else { known.iter().sum::<f64>() / known.len() as f64 };
        present.iter().map(|&task| self.last[task].unwrap_or(mean)).collect()
    }

    /// The method's result for gradients scaled to their mean length.
    fn normalised(&mut self, signals: &Signals, gram: &Gram, stream: &mut Stream) -> Result<Aggregation, Error> {
        // Gradients of finished tasks are rounding and must not be scaled up.
        let nonzero = gram.present();
        let length = |i: usize| gram.at(i, i).sqrt();
        let mean = nonzero.iter().map(|&i| length(i)).sum::<f64>() / nonzero.len().max(1) as f64;
        let mut factors = vec![0.0; gram.size()];
        nonzero.iter().for_each(|&i| factors[i] = mean / length(i));
        let scaled = Gram::from_fn(gram.size(), |i, j| gram.at(i, j) * factors[i] * factors[j]);
        let rows: Option<Vec<Vec<f32>>> = signals.gradients.map(|rows| {
            let scale =
                |(row, &factor): (&Vec<f32>, &f64)| row.iter().map(|&v| narrow(f64::from(v) * factor)).collect();
            rows.iter().zip(&factors).map(scale).collect()
        });
        let signals = Signals { gram: Some(&scaled), gradients: rows.as_deref(), ..*signals };
        let mut found = self.inner.aggregate(&signals, stream)?;
        found.weights.iter_mut().zip(&factors).for_each(|(weight, factor)| *weight *= factor);
        Ok(found)
    }

    /// The factor that scales an update to the length of the mean gradient; 1 where the update is zero up to rounding.
    fn matching(found: &Aggregation, gram: &Gram) -> f64 {
        let m = gram.size();
        let mean = square_length(gram, &vec![1.0 / m.max(1) as f64; m]).sqrt();
        let length = match &found.vector {
            Some(vector) => vector.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt(),
            None => square_length(gram, &found.weights).sqrt(),
        };
        let factor = mean / length;
        if factor.is_finite() && !is_rounding(length, gram, &found.weights) { factor } else { 1.0 }
    }
}

impl Balancer for WithOptions {
    fn requirements(&self) -> Requirements {
        self.inner.requirements()
    }

    fn needs_at(&self, step: u64) -> Needs {
        if self.is_due(step) { self.inner.needs_at(step) } else { Needs::FeatureGram }
    }

    fn feedback(&mut self, values: &[f64]) -> Result<(), Error> {
        self.inner.feedback(values)
    }

    fn aggregate(&mut self, signals: &Signals, stream: &mut Stream) -> Result<Aggregation, Error> {
        signals.check(&self.tasks, self.needs_at(signals.step))?;
        let mut found: Aggregation = if self.is_due(signals.step) {
            let mut found = match signals.gram.filter(|_| self.options.normalise) {
                Some(gram) => self.normalised(signals, gram, stream)?,
                None => self.inner.aggregate(signals, stream)?,
            };
            for (&task, weight) in signals.present.iter().zip(&mut found.weights) {
                let before = self.last[task].unwrap_or(*weight);
                *weight = self.options.ema * before + (1.0 - self.options.ema) * *weight;
                self.last[task] = Some(*weight);
            }
            found
        } else {
            self.kept(signals.present).into()
        };
        if self.options.match_norm {
            // Between updates the Gram matrix is that of the features: the factor of the last update stays.
            if let Some(gram) = signals.gram.filter(|_| self.is_due(signals.step)) {
                self.factor = Self::matching(&found, gram);
            }
            found.weights.iter_mut().for_each(|weight| *weight *= self.factor);
            found.vector.iter_mut().flatten().for_each(|v| *v = narrow(f64::from(*v) * self.factor));
        }
        Ok(found)
    }

    fn state(&self) -> State {
        let known = self.tasks.iter().zip(&self.last).filter_map(|(task, last)| Some((key(task), vec![(*last)?])));
        let factor = self.options.match_norm.then(|| (FACTOR.to_owned(), vec![self.factor]));
        self.inner.state().into_iter().chain(known).chain(factor).collect()
    }

    fn restore(&mut self, mut state: State) -> Result<(), Error> {
        let last: Vec<Option<Vec<f64>>> = self.tasks.iter().map(|task| state.remove(&key(task))).collect();
        if let Some(at) =
            last.iter().position(|row| row.as_ref().is_some_and(|row| row.len() != 1 || !row[0].is_finite()))
        {
            let problem = format!("`{}` = {:?} is not a saved weight", key(&self.tasks[at]), last[at]);
            return Err(Error::State { method: "balancer_options", problem });
        }
        let factor = match state.remove(FACTOR).as_deref() {
            None => 1.0,
            Some(&[factor]) if factor.is_finite() && factor >= 0.0 => factor,
            Some(row) => {
                let problem = format!("`{FACTOR}` = {row:?} is not a saved factor");
                return Err(Error::State { method: "balancer_options", problem });
            }
        };
        self.inner.restore(state)?;
        self.factor = factor;
        self.last = last.into_iter().map(|row| Some(row?[0])).collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;

    use super::*;
    use crate::{Aggregator, Config};

    const ROWS: [[f32; 3]; 2] = [[3.0, 0.0, 0.0], [-1.0, 1.0, 0.0]];

    fn tasks() -> Vec<String> {
        vec!["a".to_owned(), "b".to_owned()]
    }

    fn with_options(method: &str, options: &UpdateOptions) -> Result<Box<dyn Balancer>, Error> {
        options.apply(Config::default_of(method).unwrap().build(&tasks()).unwrap(), &tasks())
    }

    fn ask(balancer: &mut dyn Balancer, step: u64, scale: f32) -> Aggregation {
        let rows: Vec<Vec<f32>> = ROWS
            .iter()
            .enumerate()
            .map(|(i, row)| row.iter().map(|v| v * if i == 0 { scale } else { 1.0 }).collect())
            .collect();
        let (tasks, gram) = (tasks(), Gram::of_rows(&rows));
        let signals = Signals::new(&tasks, &[0, 1], &[1.0, 1.0]).with_gram(&gram).with_gradients(&rows).at(step, 0);
        balancer.aggregate(&signals, &mut Seed::new(step).stream("b", &[])).unwrap()
    }

    #[test]
    fn weights_are_averaged_from_the_first_step_on() {
        let ema = UpdateOptions { ema: 0.9, ..UpdateOptions::default() };
        let (mut plain, mut averaged) =
            (with_options("upgrad", &UpdateOptions::default()).unwrap(), with_options("upgrad", &ema).unwrap());
        assert_eq!(ask(&mut *averaged, 0, 1.0), ask(&mut *plain, 0, 1.0));
        let (first, second) = (ask(&mut *plain, 0, 1.0).weights, ask(&mut *plain, 1, 0.1).weights);
        let found = ask(&mut *averaged, 1, 0.1).weights;
        for i in 0..2 {
            assert!((found[i] - (0.9 * first[i] + 0.1 * second[i])).abs() < 1e-12);
        }
    }

    #[test]
    fn weights_stay_between_updates_and_the_steps_are_cheap() {
        let mut balancer = with_options("upgrad", &UpdateOptions { every: 3, ..UpdateOptions::default() }).unwrap();
        assert_eq!(balancer.needs_at(1), Needs::TrunkGram); // no weights yet, and a run can start at any step
        let first = ask(&mut *balancer, 0, 1.0);
        assert_eq!([0, 1, 2, 3].map(|step| balancer.needs_at(step) == Needs::TrunkGram), [true, false, false, true]);
        assert_eq!(ask(&mut *balancer, 1, 0.1), first);
        assert_ne!(ask(&mut *balancer, 3, 0.1), first);
        let mut resumed = with_options("upgrad", &UpdateOptions { every: 3, ..UpdateOptions::default() }).unwrap();
        resumed.restore(balancer.state()).unwrap();
        assert_eq!(ask(&mut *resumed, 4, 1.0), ask(&mut *balancer, 4, 1.0));
        assert!(resumed.restore(State::from([("weight/a".to_owned(), vec![f64::NAN])])).is_err());
    }

    #[test]
    fn updates_and_gradients_have_the_configured_lengths() {
        let mean = Gram::of_rows(&ROWS.map(|row| row.to_vec()));
        let mean = square_length(&mean, &[0.5, 0.5]).sqrt();
        for method in ["mgda", "upgrad", "db_mtl", "imtl_g"] {
            let mut balancer =
                with_options(method, &UpdateOptions { match_norm: true, ..UpdateOptions::default() }).unwrap();
            let found = ask(&mut *balancer, 0, 1.0);
            let vector: Vec<f64> = match found.vector {
                Some(vector) => vector.iter().map(|&v| f64::from(v)).collect(),
                None => (0..3).map(|c| (0..2).map(|i| found.weights[i] * f64::from(ROWS[i][c])).sum()).collect(),
            };
            let length = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
            assert!((length - mean).abs() < 1e-6, "{method}: {length}, not {mean}");
        }
        // An update that is zero up to rounding is not scaled.
        let opposed: Vec<Vec<f64>> = vec![vec![1.13, 0.31], vec![-0.71, 0.93], vec![-0.23, -1.37]];
        for method in ["mgda", "nash_mtl", "upgrad"] {
            let options = UpdateOptions { match_norm: true, ..UpdateOptions::default() };
            let found =
                Aggregator::new(&Config::default_of(method).unwrap()).options(&options).update(&opposed).unwrap();
            assert!(found.weights.iter().all(|w| w.abs() < 10.0), "{method}: {found:?}");
            assert!(found.vector.iter().all(|v| v.abs() < 1e-6), "{method}: {found:?}");
        }
        // For gradients of equal length the minimum-norm point halves the angle.
        let mut balancer =
            with_options("mgda", &UpdateOptions { normalise: true, ..UpdateOptions::default() }).unwrap();
        let weights = ask(&mut *balancer, 0, 1.0).weights;
        // The gradient of a finished task is not scaled up.
        let options = UpdateOptions { normalise: true, ..UpdateOptions::default() };
        let done =
            Aggregator::new(&Config::default_of("mgda").unwrap()).options(&options).update(&[[1.0, 0.0], [0.0, 1e-12]]);
        assert_eq!(done.unwrap().weights, [1.0, 0.0]);
        assert!((weights[0] * 3.0 - weights[1] * 2f64.sqrt()).abs() < 1e-12, "{weights:?}");
    }

    #[test]
    fn too_few_tasks_are_refused() {
        for (settings, four) in [
            (r#"{"krum": {}}"#, true),
            (r#"{"trimmed_mean": {}}"#, true),
            (r#"{"krum": {"outliers": 2}}"#, false),
            (r#"{"trimmed_mean": {"trim": 2}}"#, false),
        ] {
            let config: Config = serde_json::from_str(settings).unwrap();
            let of = |m: usize| crate::aggregate(&config, &vec![[1.0, 0.0]; m]);
            assert!(of(2).unwrap_err().to_string().contains("and the run has 2"));
            assert_eq!(of(4).is_ok(), four);
            assert!(of(1).is_ok() && of(5).is_ok());
        }
    }

    #[test]
    fn incompatible_options_are_refused() {
        let on = UpdateOptions { match_norm: true, ..UpdateOptions::default() };
        assert!(with_options("dwa", &on).err().unwrap().to_string().contains("balancer_options.match_norm"));
        assert!(with_options("graddrop", &UpdateOptions { every: 2, ..UpdateOptions::default() }).is_err());
        assert!(with_options("graddrop", &UpdateOptions { ema: 0.5, ..UpdateOptions::default() }).is_err());
        assert!(with_options("mgda", &UpdateOptions { every: 0, ..UpdateOptions::default() }).is_err());
        assert!(with_options("mgda", &UpdateOptions { ema: 1.0, ..UpdateOptions::default() }).is_err());
        assert!(with_options("sdmgrad", &UpdateOptions { normalise: true, ..UpdateOptions::default() }).is_err());
    }
}
