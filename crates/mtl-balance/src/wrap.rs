//! What can be put around a method: an average of its weights, an update every few steps, gradients brought to one length, an
//! update of the mean gradient's length.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::coordinates::narrow;
use crate::solve::{is_rounding, square_length};
use crate::{Balancer, Combination, Error, Feedback, Gram, Needs, Signals, State};

/// Settings around a method. By default none changes anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wrap {
    /// Share of the last weights kept at each step, `w <- ema w + (1 - ema) w_new`, at least 0 and below 1 (CR-MOGM, Zhou et al. 2022, who
    /// have 0.9): weights that jump from batch to batch make no common descent. 0.
    pub ema: f64,
    /// Ask the method every so many steps, and use its weights in between, where a step then costs one pass through the trunk.
    /// 1.
    pub every: u64,
    /// Bring every gradient to the mean length of them all before the method sees it. false.
    pub normalise: bool,
    /// Bring the update to the length of the mean gradient: methods differ 200-fold on the same gradients, and a learning rate
    /// suits one of them only. An update that is zero but for rounding stays zero. Lengths are measured where the method compares
    /// gradients: with `route = features`, there. false.
    pub match_norm: bool,
}

impl Default for Wrap {
    fn default() -> Self {
        Self { ema: 0.0, every: 1, normalise: false, match_norm: false }
    }
}

impl Wrap {
    /// The method with these settings around it.
    ///
    /// # Errors
    /// Settings outside their range, or that need what the method does not compute; a method that needs more tasks.
    pub fn around(&self, inner: Box<dyn Balancer>, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let rule = "the share kept must be at least 0 and below 1";
        Error::unless((0.0..1.0).contains(&self.ema), "balancing.ema", self.ema, rule)?;
        Error::unless(self.every > 0, "balancing.every", self.every as f64, "1 or more steps")?;
        let fewest = inner.fewest_tasks();
        if (2..fewest).contains(&tasks.len()) {
            return Err(Error::TooFewTasks { fewest, tasks: tasks.len() });
        }
        if *self == Self::default() {
            return Ok(inner);
        }
        let needs = inner.needs();
        let unsuited = |key, problem: &str| Err(Error::Unsuited { key, problem: problem.to_owned() });
        if !needs.gram() && (self.normalise || self.match_norm) {
            let key = if self.normalise { "balancing.normalise" } else { "balancing.match_norm" };
            return unsuited(
                key,
                "this balancer sees losses only, no gradients; take one that sees them, or leave it out",
            );
        }
        if self.every > 1 && (needs == Needs::Losses || inner.makes_update()) {
            let problem = "only weights that come from gradients are worth keeping; this balancer's cost nothing, or it \
                           makes an update of its own";
            return unsuited("balancing.every", problem);
        }
        if self.normalise && needs == Needs::HalvesGram {
            return unsuited(
                "balancing.normalise",
                "this balancer compares two halves of a batch, and scales them itself",
            );
        }
        if self.ema > 0.0 && inner.makes_update() {
            return unsuited(
                "balancing.ema",
                "this balancer makes an update of its own; there are no weights to average",
            );
        }
        let last = vec![None; tasks.len()];
        Ok(Box::new(Wrapped { inner, settings: self.clone(), tasks: tasks.to_vec(), last, factor: 1.0 }))
    }
}

/// A method with something around it.
struct Wrapped {
    inner: Box<dyn Balancer>,
    settings: Wrap,
    tasks: Vec<String>,
    /// Each task's weight when it last had one.
    last: Vec<Option<f64>>,
    /// By what the update was last multiplied to have the mean gradient's length.
    factor: f64,
}

/// Key of the factor in the state.
const FACTOR: &str = "factor";

/// Key of a task's last weight in the state.
fn key(task: &str) -> String {
    format!("weight/{task}")
}

impl Wrapped {
    fn is_due(&self, step: u64) -> bool {
        step.is_multiple_of(self.settings.every) || self.last.iter().all(Option::is_none)
    }

    /// The weights kept, a newcomer's being the mean of the others.
    fn kept(&self, present: &[usize]) -> Vec<f64> {
        let known: Vec<f64> = present.iter().filter_map(|&task| self.last[task]).collect();
        let mean = if known.is_empty() { 1.0 } else { known.iter().sum::<f64>() / known.len() as f64 };
        present.iter().map(|&task| self.last[task].unwrap_or(mean)).collect()
    }

    /// The method's answer to gradients that all have their mean length.
    fn normalised(&mut self, signals: &Signals, gram: &Gram, stream: &mut Stream) -> Result<Combination, Error> {
        // Those that are done stay so: their gradients are rounding.
        let there = gram.present();
        let length = |i: usize| gram.at(i, i).sqrt();
        let mean = there.iter().map(|&i| length(i)).sum::<f64>() / there.len().max(1) as f64;
        let mut factors = vec![0.0; gram.size()];
        there.iter().for_each(|&i| factors[i] = mean / length(i));
        let scaled = Gram::from_fn(gram.size(), |i, j| gram.at(i, j) * factors[i] * factors[j]);
        let rows: Option<Vec<Vec<f32>>> = signals.gradients.map(|rows| {
            let scale =
                |(row, &factor): (&Vec<f32>, &f64)| row.iter().map(|&v| narrow(f64::from(v) * factor)).collect();
            rows.iter().zip(&factors).map(scale).collect()
        });
        let signals = Signals { gram: Some(&scaled), gradients: rows.as_deref(), ..*signals };
        let mut found = self.inner.combine(&signals, stream)?;
        found.weights.iter_mut().zip(&factors).for_each(|(weight, factor)| *weight *= factor);
        Ok(found)
    }

    /// By what an update is to be multiplied to have the length of the mean gradient; 1 where it is zero but for rounding.
    fn matching(found: &Combination, gram: &Gram) -> f64 {
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

impl Balancer for Wrapped {
    fn needs(&self) -> Needs {
        self.inner.needs()
    }

    fn needs_at(&self, step: u64) -> Needs {
        if self.is_due(step) { self.inner.needs_at(step) } else { Needs::FeatureGram }
    }

    fn feedback(&self) -> Feedback {
        self.inner.feedback()
    }

    fn learn(&mut self, values: &[f64]) -> Result<(), Error> {
        self.inner.learn(values)
    }

    fn makes_update(&self) -> bool {
        self.inner.makes_update()
    }

    fn reads_progress(&self) -> bool {
        self.inner.reads_progress()
    }

    fn fewest_tasks(&self) -> usize {
        self.inner.fewest_tasks()
    }

    fn refuses_negative_losses(&self) -> bool {
        self.inner.refuses_negative_losses()
    }

    fn combine(&mut self, signals: &Signals, stream: &mut Stream) -> Result<Combination, Error> {
        signals.check(&self.tasks, self.needs_at(signals.step))?;
        let mut found: Combination = if self.is_due(signals.step) {
            let mut found = match signals.gram.filter(|_| self.settings.normalise) {
                Some(gram) => self.normalised(signals, gram, stream)?,
                None => self.inner.combine(signals, stream)?,
            };
            for (&task, weight) in signals.present.iter().zip(&mut found.weights) {
                let before = self.last[task].unwrap_or(*weight);
                *weight = self.settings.ema * before + (1.0 - self.settings.ema) * *weight;
                self.last[task] = Some(*weight);
            }
            found
        } else {
            self.kept(signals.present).into()
        };
        if self.settings.match_norm {
            // In between, lengths are those at the features: the factor is that of the last time the method was asked.
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
        let factor = self.settings.match_norm.then(|| (FACTOR.to_owned(), vec![self.factor]));
        self.inner.state().into_iter().chain(known).chain(factor).collect()
    }

    fn restore(&mut self, mut state: State) -> Result<(), Error> {
        let last: Vec<Option<Vec<f64>>> = self.tasks.iter().map(|task| state.remove(&key(task))).collect();
        if let Some(at) =
            last.iter().position(|row| row.as_ref().is_some_and(|row| row.len() != 1 || !row[0].is_finite()))
        {
            let problem = format!("`{}` = {:?} is not what is saved of a weight", key(&self.tasks[at]), last[at]);
            return Err(Error::State { method: "balancing", problem });
        }
        let factor = match state.remove(FACTOR).as_deref() {
            None => 1.0,
            Some(&[factor]) if factor.is_finite() && factor >= 0.0 => factor,
            Some(row) => {
                let problem = format!("`{FACTOR}` = {row:?} is not what is saved of it");
                return Err(Error::State { method: "balancing", problem });
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
    use crate::Config;

    const ROWS: [[f32; 3]; 2] = [[3.0, 0.0, 0.0], [-1.0, 1.0, 0.0]];

    fn tasks() -> Vec<String> {
        vec!["a".to_owned(), "b".to_owned()]
    }

    fn wrapped(method: &str, wrap: &Wrap) -> Result<Box<dyn Balancer>, Error> {
        wrap.around(Config::named(method).unwrap().build(&tasks()).unwrap(), &tasks())
    }

    fn ask(balancer: &mut dyn Balancer, step: u64, scale: f32) -> Combination {
        let rows: Vec<Vec<f32>> = ROWS
            .iter()
            .enumerate()
            .map(|(i, row)| row.iter().map(|v| v * if i == 0 { scale } else { 1.0 }).collect())
            .collect();
        let (tasks, gram) = (tasks(), Gram::of_rows(&rows));
        let signals = Signals::new(&tasks, &[0, 1], &[1.0, 1.0]).with_gram(&gram).with_gradients(&rows).at(step, 0);
        balancer.combine(&signals, &mut Seed::new(step).stream("b", &[])).unwrap()
    }

    #[test]
    fn the_average_follows_and_the_first_weights_are_as_they_are() {
        let ema = Wrap { ema: 0.9, ..Wrap::default() };
        let (mut plain, mut averaged) =
            (wrapped("upgrad", &Wrap::default()).unwrap(), wrapped("upgrad", &ema).unwrap());
        assert_eq!(ask(&mut *averaged, 0, 1.0), ask(&mut *plain, 0, 1.0));
        let (first, second) = (ask(&mut *plain, 0, 1.0).weights, ask(&mut *plain, 1, 0.1).weights);
        let found = ask(&mut *averaged, 1, 0.1).weights;
        for i in 0..2 {
            assert!((found[i] - (0.9 * first[i] + 0.1 * second[i])).abs() < 1e-12);
        }
    }

    #[test]
    fn in_between_the_weights_stay_and_the_step_is_cheap() {
        let mut balancer = wrapped("upgrad", &Wrap { every: 3, ..Wrap::default() }).unwrap();
        assert_eq!(balancer.needs_at(1), Needs::TrunkGram); // it has none yet, and may begin anywhere
        let first = ask(&mut *balancer, 0, 1.0);
        assert_eq!([0, 1, 2, 3].map(|step| balancer.needs_at(step) == Needs::TrunkGram), [true, false, false, true]);
        assert_eq!(ask(&mut *balancer, 1, 0.1), first);
        assert_ne!(ask(&mut *balancer, 3, 0.1), first);
        let mut resumed = wrapped("upgrad", &Wrap { every: 3, ..Wrap::default() }).unwrap();
        resumed.restore(balancer.state()).unwrap();
        assert_eq!(ask(&mut *resumed, 4, 1.0), ask(&mut *balancer, 4, 1.0));
        assert!(resumed.restore(State::from([("weight/a".to_owned(), vec![f64::NAN])])).is_err());
    }

    #[test]
    fn lengths_are_those_asked_for() {
        let mean = Gram::of_rows(&ROWS.map(|row| row.to_vec()));
        let mean = square_length(&mean, &[0.5, 0.5]).sqrt();
        for method in ["mgda", "upgrad", "db_mtl", "imtl_g"] {
            let mut balancer = wrapped(method, &Wrap { match_norm: true, ..Wrap::default() }).unwrap();
            let found = ask(&mut *balancer, 0, 1.0);
            let vector: Vec<f64> = match found.vector {
                Some(vector) => vector.iter().map(|&v| f64::from(v)).collect(),
                None => (0..3).map(|c| (0..2).map(|i| found.weights[i] * f64::from(ROWS[i][c])).sum()).collect(),
            };
            let length = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
            assert!((length - mean).abs() < 1e-6, "{method}: {length}, not {mean}");
        }
        // Where the update is zero but for rounding there is nothing to bring to a length.
        let opposed: Vec<Vec<f64>> = vec![vec![1.13, 0.31], vec![-0.71, 0.93], vec![-0.23, -1.37]];
        for method in ["mgda", "nash", "upgrad"] {
            let wrap = Wrap { match_norm: true, ..Wrap::default() };
            let found = crate::once((&Config::named(method).unwrap(), &wrap), &opposed, &[1.0; 3], 0).unwrap();
            assert!(found.weights.iter().all(|w| w.abs() < 10.0), "{method}: {found:?}");
            assert!(found.vector.iter().all(|v| v.abs() < 1e-6), "{method}: {found:?}");
        }
        // With gradients of one length the shortest convex combination halves the angle, whatever their lengths were.
        let mut balancer = wrapped("mgda", &Wrap { normalise: true, ..Wrap::default() }).unwrap();
        let weights = ask(&mut *balancer, 0, 1.0).weights;
        // A task that is done is not brought back.
        let wrap = Wrap { normalise: true, ..Wrap::default() };
        let done =
            crate::once((&Config::named("mgda").unwrap(), &wrap), &[vec![1.0, 0.0], vec![0.0, 1e-12]], &[1.0; 2], 0);
        assert_eq!(done.unwrap().weights, [1.0, 0.0]);
        assert!((weights[0] * 3.0 - weights[1] * 2f64.sqrt()).abs() < 1e-12, "{weights:?}");
    }

    #[test]
    fn too_few_tasks_to_go_by_are_refused() {
        for (method, settings) in
            [("krum", ""), ("trimmed_mean", ""), ("krum", "outliers=2"), ("trimmed_mean", "trim=2")]
        {
            let settings: Vec<String> =
                Some(settings.to_owned()).filter(|setting| !setting.is_empty()).into_iter().collect();
            let (config, wrap) = Config::typed(method, &settings).unwrap();
            let of = |m: usize| crate::once((&config, &wrap), &vec![vec![1.0, 0.0]; m], &vec![1.0; m], 0);
            assert!(of(2).unwrap_err().to_string().contains("and the run has 2"));
            assert_eq!(of(4).is_ok(), settings.is_empty());
            assert!(of(1).is_ok() && of(5).is_ok());
        }
    }

    #[test]
    fn what_does_not_suit_a_method_is_refused() {
        let on = Wrap { match_norm: true, ..Wrap::default() };
        assert!(wrapped("dwa", &on).err().unwrap().to_string().contains("balancing.match_norm"));
        assert!(wrapped("graddrop", &Wrap { every: 2, ..Wrap::default() }).is_err());
        assert!(wrapped("graddrop", &Wrap { ema: 0.5, ..Wrap::default() }).is_err());
        assert!(wrapped("mgda", &Wrap { every: 0, ..Wrap::default() }).is_err());
        assert!(wrapped("mgda", &Wrap { ema: 1.0, ..Wrap::default() }).is_err());
        assert!(wrapped("sdmgrad", &Wrap { normalise: true, ..Wrap::default() }).is_err());
    }
}
