//! The list of all methods, and the configuration that chooses one.
//!
//! ```toml
//! [balancer.fixed.weights]
//! stress = 1.0
//! lesion = 0.5
//! ```
//! or `[balancer.dwa]` with `temperature = 2.0`, or `balancer = { pcgrad = {} }`.

use mtl_registry::{Entry, UnknownName, find};
use serde::{Deserialize, Serialize};

use crate::{Balancer, Error, dwa, fixed, pcgrad, uncertainty};

/// Makes [`Config`], [`BALANCERS`] and the dispatch between them from one list.
macro_rules! balancers {
    ($($variant:ident, $module:ident, $summary:literal;)*) => {
        /// Which method balances the tasks, with its settings. An externally tagged enum: `[balancer.pcgrad]`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case", deny_unknown_fields)]
        pub enum Config {
            $(#[doc = $summary] $variant($module::Config),)*
        }

        /// All methods by name, each with the constructor of its default configuration.
        pub const BALANCERS: &[Entry<fn() -> Config>] = &[
            $(Entry {
                name: stringify!($module),
                summary: $summary,
                item: || Config::$variant($module::Config::default()),
            },)*
        ];

        impl Config {
            /// The name of the method, as in [`BALANCERS`].
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($module),)*
                }
            }

            /// The method, ready for a run with these tasks.
            ///
            /// # Errors
            /// Settings outside their range; names of tasks the run does not have.
            pub fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
                match self {
                    $(Self::$variant(config) => Ok(Box::new(config.build(tasks)?)),)*
                }
            }
        }
    };
}

balancers! {
    Fixed, fixed, "constant weights, 1 for each task unless set: the baseline to beat";
    Uncertainty, uncertainty, "learns a noise level for each task from its loss (Kendall et al. 2018)";
    Dwa, dwa, "more weight to tasks whose loss fell less from epoch to epoch (Liu et al. 2019)";
    Pcgrad, pcgrad, "projects conflicting task gradients off each other (Yu et al. 2020)";
}

impl Config {
    /// The default configuration of the method called `name`.
    ///
    /// # Errors
    /// [`UnknownName`] with the nearest name.
    pub fn named(name: &str) -> Result<Self, UnknownName> {
        Ok((find("balancer", BALANCERS, name)?.item)())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::Fixed(fixed::Config::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Run {
        #[serde(default)]
        balancer: Config,
    }

    fn read(text: &str) -> Result<Config, String> {
        toml::from_str::<Run>(text).map(|run| run.balancer).map_err(|error| error.to_string())
    }

    #[test]
    fn ways_to_write_it() {
        assert_eq!(read("").unwrap(), Config::default());
        assert_eq!(read("[balancer.pcgrad]").unwrap(), Config::named("pcgrad").unwrap());
        assert_eq!(
            read("balancer = { dwa = { temperature = 3.0 } }").unwrap(),
            Config::Dwa(dwa::Config { temperature: 3.0 })
        );
        let weights = [("stress".to_owned(), 0.5)].into();
        assert_eq!(read("[balancer.fixed.weights]\nstress = 0.5").unwrap(), Config::Fixed(fixed::Config { weights }));
        assert_eq!(
            read("[balancer.pcgrad]\nroute = \"features\"").unwrap(),
            Config::Pcgrad(pcgrad::Config { route: pcgrad::Route::Features })
        );
    }

    #[test]
    fn mistakes_are_errors_that_point_at_the_key() {
        let error = read("[balancer.dwa]\ntemprature = 2.0").unwrap_err();
        assert!(error.contains("temprature") && error.contains("line 2") && error.contains("temperature"), "{error}");
        assert!(read("[balancer.pcgard]").unwrap_err().contains("pcgrad"));
        assert!(read("[balancer.pcgrad]\n[balancer.dwa]").is_err());
        assert!(read("[balancer.pcgrad]\nroute = \"feature\"").is_err());
        assert!(Config::named("pcgard").unwrap_err().to_string().contains("did you mean `pcgrad`?"));
    }

    #[test]
    fn names_are_the_tags_in_files() {
        for entry in BALANCERS {
            let config = (entry.item)();
            assert_eq!(config.name(), entry.name);
            let json = serde_json::to_value(&config).unwrap();
            assert!(json.get(entry.name).is_some(), "{json}");
            assert_eq!(serde_json::from_value::<Config>(json).unwrap(), config);
        }
    }
}
