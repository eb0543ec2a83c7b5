//! Settings of a split.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Split settings. Fractions are of the rows to be divided: those the data set has not assigned itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Share of rows for validation, if the data set gives no validation subset. Default: 0.15, enough for early stopping
    /// on a few hundred images. 0: none.
    pub validation: f64,
    /// Share of rows for test, if the data set gives no test subset. Default: 0.15. 0: none.
    pub test: f64,
    /// Which images count as the same and stay in one subset. Default: `pixels`.
    pub duplicates: Duplicates,
    /// Column of a table whose cells name groups (patients, sites): rows of one group stay in one subset. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { validation: 0.15, test: 0.15, duplicates: Duplicates::Pixels, group: None }
    }
}

/// Which images count as the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// Equal stored bytes.
    Content,
    /// Equal stored bytes, or equal pixels at 32 x 32.
    Pixels,
    /// Near duplicates as well, and chains of them; for sets known to hold several shots of one scene.
    Near,
}

/// Checks the shares.
///
/// # Errors
/// Shares outside of 0 to 1, or that leave no rows to train on.
pub(super) fn check(config: &Config) -> Result<(), Error> {
    for (key, value) in [("split.validation", config.validation), ("split.test", config.test)] {
        if !(0.0..1.0).contains(&value) {
            let reason = "a share from 0 to below 1".into();
            return Err(Error::Option { key, value: value.to_string(), reason });
        }
    }
    let sum = config.validation + config.test;
    if sum >= 1.0 {
        let reason = "validation and test together must leave rows to train on".into();
        return Err(Error::Option { key: "split.validation + split.test", value: sum.to_string(), reason });
    }
    Ok(())
}
