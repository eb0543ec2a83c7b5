//! Gradient conflict: cosines and norms of the tasks' gradients per stage of the encoder, and their summary over a run.
//!
//! For two tasks: the cosine of their gradients, a conflict if it is negative, and the magnitude similarity
//! `2 |a| |b| / (|a|^2 + |b|^2)`, 1 for gradients of equal norm (Yu et al. 2020, definitions 1 to 3).

use std::collections::BTreeMap;

use mtl_balance::Gram;
use serde::{Deserialize, Serialize};

/// Name of the whole encoder among its stages.
pub const WHOLE: &str = "trunk";

/// Comparison of the tasks' gradients in one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Step of the joint stage.
    pub step: u64,
    /// The tasks that took part.
    pub tasks: Vec<String>,
    /// By stage of the encoder; [`WHOLE`] is the whole encoder.
    pub stages: BTreeMap<String, Angles>,
}

/// The gradients of all tasks with respect to some parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Angles {
    /// Length of each task's gradient.
    pub norms: Vec<f64>,
    /// Cosine of each pair, in the order (0, 1), (0, 2), ..., (1, 2), ...; none where a gradient is zero.
    pub cosines: Vec<Option<f64>>,
    /// Share of the pairs whose cosine is negative.
    pub conflict_rate: f64,
    /// Mean magnitude similarity of the pairs.
    pub magnitude_similarity: f64,
}

/// `(i, j)` of all pairs, in the order of [`Angles::cosines`].
fn pairs(tasks: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..tasks).flat_map(move |i| (i + 1..tasks).map(move |j| (i, j)))
}

fn similarity(a: f64, b: f64) -> f64 {
    // Divided by the longer first: squares of numbers of any size.
    let (long, short) = (a.max(b), a.min(b));
    if long == 0.0 { 1.0 } else { 2.0 * (short / long) / (1.0 + (short / long).powi(2)) }
}

impl Angles {
    /// From their inner products.
    pub fn of(gram: &Gram) -> Self {
        let norms: Vec<f64> = (0..gram.size()).map(|i| gram.at(i, i).max(0.0).sqrt()).collect();
        let cosines: Vec<Option<f64>> = pairs(gram.size()).map(|(i, j)| gram.cosine(i, j)).collect();
        let count = cosines.len().max(1) as f64;
        let conflicts = cosines.iter().flatten().filter(|cosine| **cosine < 0.0).count();
        let similar: f64 = pairs(gram.size()).map(|(i, j)| similarity(norms[i], norms[j])).sum();
        Self { norms, conflict_rate: conflicts as f64 / count, magnitude_similarity: similar / count, cosines }
    }
}

/// Inner products over all stages, of `size` gradients.
pub fn whole(size: usize, stages: &[(String, Gram)]) -> Gram {
    Gram::from_fn(size, |i, j| stages.iter().map(|(_, gram)| gram.at(i, j)).sum())
}

impl Comparison {
    /// From the inner products of each stage; `None` with fewer than two tasks, or where nothing was compared.
    pub fn of(step: u64, tasks: Vec<String>, stages: &[(String, Gram)]) -> Option<Self> {
        if tasks.len() < 2 || stages.is_empty() {
            return None;
        }
        let whole = whole(tasks.len(), stages);
        let stages = stages.iter().map(|(name, gram)| (name.clone(), Angles::of(gram)));
        let stages = stages.chain([(WHOLE.to_owned(), Angles::of(&whole))]).collect();
        Some(Self { step, tasks, stages })
    }
}

/// Gradient conflict of two tasks over a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskPair {
    /// Their names.
    pub tasks: [String; 2],
    /// Steps in which both were compared.
    pub steps: u64,
    /// Share of those steps with a negative cosine.
    pub conflict_rate: f64,
    /// Mean cosine.
    pub cosine: f64,
    /// Mean magnitude similarity.
    pub magnitude_similarity: f64,
    /// The stage with the most conflicts, and its share of steps.
    pub worst_stage: Option<(String, f64)>,
}

/// A sentence: "`class` and `depth`: conflicting gradients (cosine < 0) in 61 % of 40 steps, mean cosine -0.12, most often in
/// stage3 (70 %)".
impl std::fmt::Display for TaskPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b] = &self.tasks;
        let (rate, steps, cosine) = (100.0 * self.conflict_rate, self.steps, self.cosine);
        write!(
            f,
            "`{a}` and `{b}`: conflicting gradients (cosine < 0) in {rate:.0} % of {steps} steps, mean cosine {cosine:+.2}"
        )?;
        if let Some((stage, rate)) = self.worst_stage.as_ref().filter(|(_, rate)| *rate > 0.0) {
            write!(f, ", most often in {stage} ({:.0} %)", 100.0 * rate)?;
        }
        if self.magnitude_similarity < 0.5 {
            write!(f, "; gradient norms differ strongly (magnitude similarity {:.2})", self.magnitude_similarity)?;
        }
        Ok(())
    }
}

/// Sums over the steps of a pair.
#[derive(Default)]
struct Sums {
    steps: u64,
    conflicts: u64,
    cosine: f64,
    similarity: f64,
    /// Conflicts and steps by stage.
    stages: BTreeMap<String, (u64, u64)>,
}

/// All pairs of tasks, the most frequent conflicts first.
pub fn summary(comparisons: impl Iterator<Item = Comparison>) -> Vec<TaskPair> {
    let mut sums: Vec<([String; 2], Sums)> = Vec::new();
    for comparison in comparisons {
        for (at, (i, j)) in pairs(comparison.tasks.len()).enumerate() {
            let names = [comparison.tasks[i].clone(), comparison.tasks[j].clone()];
            let place = sums.iter().position(|(other, _)| *other == names).unwrap_or_else(|| {
                sums.push((names, Sums::default()));
                sums.len() - 1
            });
            let sum = &mut sums[place].1;
            for (stage, angles) in &comparison.stages {
                let Some(&Some(cosine)) = angles.cosines.get(at) else { continue };
                let conflict = u64::from(cosine < 0.0);
                if stage == WHOLE {
                    sum.steps += 1;
                    sum.conflicts += conflict;
                    sum.cosine += cosine;
                    sum.similarity += similarity(angles.norms[i], angles.norms[j]);
                } else {
                    let (conflicts, steps) = sum.stages.entry(stage.clone()).or_default();
                    *conflicts += conflict;
                    *steps += 1;
                }
            }
        }
    }
    let pair = |(tasks, sum): ([String; 2], Sums)| {
        let steps = sum.steps as f64;
        let rate = |(stage, (conflicts, steps)): (String, (u64, u64))| (stage, conflicts as f64 / steps as f64);
        TaskPair {
            tasks,
            steps: sum.steps,
            conflict_rate: sum.conflicts as f64 / steps,
            cosine: sum.cosine / steps,
            magnitude_similarity: sum.similarity / steps,
            worst_stage: sum.stages.into_iter().map(rate).max_by(|a, b| a.1.total_cmp(&b.1)),
        }
    };
    let mut found: Vec<TaskPair> = sums.into_iter().filter(|(_, sum)| sum.steps > 0).map(pair).collect();
    found.sort_by(|a, b| b.conflict_rate.total_cmp(&a.conflict_rate).then(a.cosine.total_cmp(&b.cosine)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(step: u64, first: [f64; 4], second: [f64; 4]) -> Comparison {
        let gram = |entries: [f64; 4]| Gram::new(2, entries.to_vec()).unwrap();
        let stages = [("stem".to_owned(), gram(first)), ("stage1".to_owned(), gram(second))];
        Comparison::of(step, vec!["class".to_owned(), "depth".to_owned()], &stages).unwrap()
    }

    #[test]
    fn by_hand() {
        let one = comparison(0, [4.0, -1.0, -1.0, 1.0], [0.0, 0.0, 0.0, 0.0]);
        let (stem, none, whole) = (&one.stages["stem"], &one.stages["stage1"], &one.stages[WHOLE]);
        assert_eq!((stem.norms.as_slice(), stem.cosines.as_slice()), (&[2.0, 1.0][..], &[Some(-0.5)][..]));
        assert_eq!((stem.conflict_rate, stem.magnitude_similarity), (1.0, 0.8));
        assert_eq!((none.cosines[0], none.conflict_rate), (None, 0.0));
        assert_eq!(whole.cosines, [Some(-0.5)]);
        assert!(Comparison::of(0, vec!["class".to_owned()], &[]).is_none());
    }

    #[test]
    fn a_run_in_words() {
        let steps = [
            comparison(0, [1.0, -0.5, -0.5, 1.0], [1.0, 0.25, 0.25, 1.0]),
            comparison(1, [1.0, -0.5, -0.5, 1.0], [1.0, 0.75, 0.75, 1.0]),
        ];
        let found = summary(steps.into_iter());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].conflict_rate, found[0].steps), (0.5, 2));
        let expected = "`class` and `depth`: conflicting gradients (cosine < 0) in 50 % of 2 steps, mean cosine +0.00, most often in stem (100 %)";
        assert_eq!(found[0].to_string(), expected);
    }
}
