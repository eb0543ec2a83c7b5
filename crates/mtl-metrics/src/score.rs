//! Score: a value with name, unit, direction and number of labels.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Direction of improvement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Accuracy, IoU, Dice, PSNR.
    HigherIsBetter,
    /// RMSE, MAE.
    LowerIsBetter,
}

impl Direction {
    /// Whether `a` is strictly better than `b`. False if either is NaN.
    pub fn better(self, a: f64, b: f64) -> bool {
        match self {
            Self::HigherIsBetter => a > b,
            Self::LowerIsBetter => a < b,
        }
    }

    /// `↑` or `↓`, for table heads.
    pub fn arrow(self) -> &'static str {
        match self {
            Self::HigherIsBetter => "↑",
            Self::LowerIsBetter => "↓",
        }
    }
}

/// One value of a table. It is always finite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Stable name for tables and files, such as `accuracy` or `dice/lesion`.
    pub name: String,
    /// The value, in `unit`.
    pub value: f64,
    /// `fraction` (0 to 1), `dB`, or the unit of the task's labels.
    pub unit: Cow<'static, str>,
    /// Direction of improvement.
    pub direction: Direction,
    /// Number of labels: images, cells or pixels, as documented by the accumulator.
    pub n: usize,
}

impl Score {
    /// The unit of fractions between 0 and 1.
    pub const FRACTION: &'static str = "fraction";

    /// A fraction between 0 and 1, higher is better.
    pub fn fraction(name: impl Into<String>, value: f64, n: usize) -> Self {
        Self { name: name.into(), value, unit: Self::FRACTION.into(), direction: Direction::HigherIsBetter, n }
    }

    /// Whether this score is strictly better than `other`, a score of the same name.
    pub fn better_than(&self, other: &Self) -> bool {
        self.direction.better(self.value, other.value)
    }
}

/// `numerator / denominator`, `None` for a denominator of 0.
pub(crate) fn ratio(numerator: u64, denominator: u64) -> Option<f64> {
    (denominator > 0).then(|| numerator as f64 / denominator as f64)
}

/// Mean of the defined values, `None` without any.
pub(crate) fn mean_defined(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, n) = values.flatten().fold((0.0, 0u64), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_follows_the_direction() {
        assert!(Direction::HigherIsBetter.better(2.0, 1.0));
        assert!(Direction::LowerIsBetter.better(1.0, 2.0));
        for direction in [Direction::HigherIsBetter, Direction::LowerIsBetter] {
            assert!(!direction.better(1.0, 1.0));
            assert!(!direction.better(f64::NAN, 1.0) && !direction.better(1.0, f64::NAN));
        }
    }

    #[test]
    fn scores_survive_json() {
        let score = Score::fraction("accuracy", 0.5, 10);
        let text = serde_json::to_string(&score).unwrap();
        assert_eq!(text, r#"{"name":"accuracy","value":0.5,"unit":"fraction","direction":"higher_is_better","n":10}"#);
        assert_eq!(serde_json::from_str::<Score>(&text).unwrap(), score);
    }

    #[test]
    fn means_skip_undefined_values() {
        assert_eq!(mean_defined([Some(1.0), None, Some(2.0)].into_iter()), Some(1.5));
        assert_eq!(mean_defined([None, None].into_iter()), None);
        assert_eq!(ratio(0, 0), None);
    }
}
