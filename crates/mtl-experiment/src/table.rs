//! Table of a comparison: mean and standard deviation over seeds, mean relative change against single tasks.

use mtl_metrics::Direction;
use serde::{Deserialize, Serialize};

use crate::arm::ArmKind;
use crate::compare::ComparisonResult;
use crate::outcome::ArmResult;

/// Mean and standard deviation over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation of the sample (`n - 1` in the denominator); `None` for one value.
    pub deviation: Option<f64>,
}

impl Spread {
    /// Of these values; `None` without any.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        let mean = (n > 0.0).then(|| values.iter().sum::<f64>() / n)?;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self { mean, deviation: (n > 1.0).then(|| (squares / (n - 1.0)).sqrt()) })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3}", self.mean)?;
        self.deviation.map_or(Ok(()), |deviation| write!(f, " \u{b1} {deviation:.3}"))
    }
}

/// The primary score of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The task.
    pub task: String,
    /// Name of the score.
    pub score: String,
    /// Direction of improvement.
    pub direction: Direction,
}

/// One arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Name of the arm.
    pub name: String,
    /// One per column; `None` for tasks that the arm does not learn.
    pub scores: Vec<Option<Spread>>,
    /// Mean over the tasks of the relative change against the single-task baseline, positive where scores are better
    /// (delta-m; Maninis et al. 2019, arXiv 1904.08918); 0.01 is 1 %. `None` unless the arm learns all tasks and no baseline is 0.
    pub mean_change: Option<f64>,
    /// Median time per step, relative to equal weighting.
    pub step_time: Option<f64>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The labelled tasks.
    pub columns: Vec<Column>,
    /// The arms.
    pub rows: Vec<Row>,
}

impl Table {
    /// The table of a comparison. A task without a score (no label on a test image) has no column.
    pub fn new(result: &ComparisonResult) -> Self {
        let column = |task: &String| {
            let score = result.arms.iter().flat_map(|arm| &arm.runs).find_map(|run| run.scores.get(task))?;
            Some(Column { task: task.clone(), score: score.name.clone(), direction: score.direction })
        };
        let columns: Vec<Column> = result.tasks.iter().filter_map(column).collect();
        let arm_of = |kind: ArmKind| result.arms.iter().find(|other| other.arm.kind == kind);
        let alone: Vec<Option<f64>> = columns
            .iter()
            .map(|column| {
                let arm = arm_of(ArmKind::SingleTask { task: column.task.clone() })?;
                Some(spread(arm, column)?.mean)
            })
            .collect();
        let equal = arm_of(ArmKind::EqualWeighting).and_then(median_step);
        let row = |arm: &ArmResult| {
            let scores: Vec<Option<Spread>> = columns.iter().map(|column| spread(arm, column)).collect();
            let changes = columns.iter().zip(&scores).zip(&alone).map(|((column, score), alone)| {
                let (mean, alone) = ((*score)?.mean, (*alone)?);
                let sign = match column.direction {
                    Direction::HigherIsBetter => 1.0,
                    Direction::LowerIsBetter => -1.0,
                };
                (alone != 0.0).then(|| sign * (mean - alone) / alone.abs())
            });
            let changes: Option<Vec<f64>> = changes.collect();
            Row {
                name: arm.arm.name.clone(),
                mean_change: changes.and_then(|changes| Spread::of(&changes)).map(|spread| spread.mean),
                step_time: median_step(arm).zip(equal).map(|(own, equal)| own / equal),
                scores,
            }
        };
        let rows = result.arms.iter().map(row).collect();
        Self { columns, rows }
    }

    /// Column names.
    pub fn header(&self) -> Vec<String> {
        let scores =
            self.columns.iter().map(|column| format!("{}: {} {}", column.task, column.score, column.direction.arrow()));
        let last = ["mean change against single tasks", "step time"].map(str::to_owned);
        ["arm".to_owned()].into_iter().chain(scores).chain(last).collect()
    }

    /// The table as Markdown.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| {
            let cells: Vec<String> = cells.iter().map(|cell| format!(" {} |", cell.replace('|', "\\|"))).collect();
            format!("|{}\n", cells.concat())
        };
        let rule = format!("|---|{}\n", "---:|".repeat(self.columns.len() + 2));
        [line(self.header()), rule].into_iter().chain(self.rows.iter().map(|row| line(row.cells()))).collect()
    }
}

impl Row {
    /// One cell per column name; empty where there is no value.
    pub fn cells(&self) -> Vec<String> {
        let scores = self.scores.iter().map(|score| score.map_or(String::new(), |score| score.to_string()));
        let change = self.mean_change.map_or(String::new(), |change| format!("{:+.1} %", 100.0 * change));
        let time = self.step_time.map_or(String::new(), |time| format!("{time:.2}"));
        [self.name.clone()].into_iter().chain(scores).chain([change, time]).collect()
    }
}

fn spread(arm: &ArmResult, column: &Column) -> Option<Spread> {
    let values: Vec<f64> = arm.runs.iter().filter_map(|run| run.scores.get(&column.task)).map(|s| s.value).collect();
    Spread::of(&values)
}

fn median_step(arm: &ArmResult) -> Option<f64> {
    let mut times: Vec<f64> = arm.runs.iter().map(|run| run.step_seconds).collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use mtl_metrics::Score;

    use super::*;
    use crate::arm::Arm;
    use crate::compare::Comparison;
    use crate::outcome::Outcome;

    fn outcome(scores: &[(&str, f64)], step_seconds: f64) -> Outcome {
        let score = |(task, value): &(&str, f64)| {
            let direction = if *task == "a" { Direction::HigherIsBetter } else { Direction::LowerIsBetter };
            let name = format!("{task} score");
            ((*task).to_owned(), Score { name, value: *value, unit: "m".into(), direction, n: 4 })
        };
        Outcome { seed: 0, run: "r".into(), scores: scores.iter().map(score).collect(), skill: 0.5, step_seconds }
    }

    fn result(arms: Vec<ArmResult>) -> ComparisonResult {
        let tasks = ["a", "b", "without labels"].map(str::to_owned).to_vec();
        ComparisonResult { comparison: Comparison::default(), tasks, arms, trials: Vec::new() }
    }

    fn single(task: &str, score: f64) -> ArmResult {
        let none: std::collections::BTreeMap<String, ()> = Default::default();
        ArmResult { arm: Arm::single_task(task, &none), runs: vec![outcome(&[(task, score)], 0.05)] }
    }

    fn equal() -> ArmResult {
        let runs = vec![outcome(&[("a", 0.7), ("b", 2.0)], 0.1), outcome(&[("a", 0.9), ("b", 2.0)], 0.1)];
        ArmResult { arm: Arm::equal_weighting(), runs }
    }

    #[test]
    fn the_table_by_hand() {
        let balancer = ArmResult {
            arm: Arm::balancer("up|grad").unwrap(),
            runs: vec![
                outcome(&[("a", 1.1), ("b", 2.0)], 0.2),
                outcome(&[("a", 1.1), ("b", 2.0)], 0.3),
                outcome(&[("a", 1.1), ("b", 2.0)], 9.0),
            ],
        };
        let table = Table::new(&result(vec![single("a", 1.0), single("b", 2.5), equal(), balancer]));
        let text = table.markdown();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(
            rows[..2],
            [
                "| arm | a: a score \u{2191} | b: b score \u{2193} | mean change against single tasks | step time |",
                "|---|---:|---:|---:|---:|",
            ]
        );
        assert_eq!(rows[2], "| single task: a | 1.000 |  |  | 0.50 |");
        // (0.8 - 1) / 1 = -20 %, (2.5 - 2) / 2.5 = +20 %; the deviation of 0.7 and 0.9 is 0.2 / sqrt 2.
        assert_eq!(rows[4], "| equal weighting | 0.800 \u{b1} 0.141 | 2.000 \u{b1} 0.000 | +0.0 % | 1.00 |");
        // +10 % and +20 %; the median of 0.2, 0.3 and 9 is 0.3.
        assert_eq!(rows[5], "| up\\|grad | 1.100 \u{b1} 0.000 | 2.000 \u{b1} 0.000 | +15.0 % | 3.00 |");
    }

    #[test]
    fn no_change_against_a_baseline_of_zero_or_none() {
        for arms in [vec![single("a", 0.0), single("b", 2.5), equal()], vec![single("b", 2.5), equal()]] {
            let table = Table::new(&result(arms));
            assert_eq!(table.rows.last().unwrap().mean_change, None);
        }
    }

    #[test]
    fn one_value_has_no_deviation() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[2.0]), Some(Spread { mean: 2.0, deviation: None }));
        assert_eq!(Spread::of(&[1.0, 2.0, 6.0]), Some(Spread { mean: 3.0, deviation: Some(7f64.sqrt()) }));
    }
}
