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

use crate::{Balancer, Error, Wrap};

/// What a method goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The losses, and nothing else.
    Losses,
    /// The task gradients: their lengths and the angles between them.
    Gradients,
    /// Gradients of other images than those that are learnt from.
    Stochastic,
    /// What a weight does to the losses one step later.
    Bilevel,
    /// Gradients that are wrong altogether.
    Robust,
}

impl Family {
    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Losses => "losses",
            Self::Gradients => "gradients",
            Self::Stochastic => "stochastic",
            Self::Bilevel => "bilevel",
            Self::Robust => "robust",
        }
    }
}

/// What the registry knows of a method.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// What it goes by.
    pub family: Family,
    /// Where it was published.
    pub paper: &'static str,
    /// What holds for every update of it; `-` for nothing.
    pub promise: &'static str,
    /// Its default configuration.
    pub default: fn() -> Config,
}

/// Makes [`Config`], [`BALANCERS`] and the dispatch between them from one list.
macro_rules! balancers {
    ($($family:ident: $variant:ident, $module:ident, $promise:literal, $summary:literal, $paper:literal;)*) => {
        /// Which method balances the tasks, with its settings. An externally tagged enum: `[balancer.pcgrad]`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case", deny_unknown_fields)]
        pub enum Config {
            $(#[doc = $summary] $variant(crate::$module::Config),)*
        }

        /// All methods by name.
        pub const BALANCERS: &[Entry<Method>] = &[
            $(Entry {
                name: stringify!($module),
                summary: $summary,
                item: Method {
                    family: Family::$family,
                    paper: $paper,
                    promise: $promise,
                    default: || Config::$variant(crate::$module::Config::default()),
                },
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
    Losses: Fixed, fixed, "-", "constant weights, 1 for each task unless set: the baseline to beat", "Xin et al. 2022, arXiv 2209.11379";
    Losses: Uncertainty, uncertainty, "evens out the scales of losses", "learns a noise level for each task from its loss", "Kendall et al. 2018, arXiv 1705.07115";
    Losses: UwSo, uw_so, "weights sum to 1", "uncertainty weights without anything learned", "Kirchdorfer et al. 2024, arXiv 2408.07985";
    Losses: ImtlL, imtl_l, "evens out the scales of losses", "learns a scale for each loss, so that all weighted losses come to 1", "Liu et al. 2021, ICLR";
    Losses: Dwa, dwa, "weights sum to the number of tasks", "more weight to tasks whose loss fell less from epoch to epoch", "Liu et al. 2019, arXiv 1803.10704";
    Losses: Gls, gls, "blind to the scales of losses", "the geometric mean of the losses", "Chennupati et al. 2019, arXiv 1904.08492";
    Losses: LogSum, log_sum, "blind to the scales of losses", "one over the loss: blind to scale", "Navon et al. 2022, arXiv 2202.01017";
    Losses: Stch, stch, "the largest loss counts most", "the largest loss, smoothly", "Lin et al. 2024, arXiv 2402.19078";
    Losses: Famo, famo, "weights sum to 1", "weighs less who fell fastest, by asking for the losses after the step", "Liu et al. 2023, arXiv 2306.03792";
    Losses: Rlw, rlw, "weights sum to 1", "random weights, anew at each step", "Lin et al. 2022, arXiv 2111.10603";
    Gradients: NormScaling, norm_scaling, "blind to the scales of losses", "every task gradient brought to the same usual length", "arXiv 2509.23915";
    Gradients: Gradnorm, gradnorm, "weights sum to the number of tasks", "lengths of task gradients follow how far behind their tasks are", "Chen et al. 2018, arXiv 1711.02257";
    Gradients: DbMtl, db_mtl, "blind to the scales of losses", "logarithms of losses, averaged gradients made equally long", "Lin et al. 2023, arXiv 2308.12029";
    Gradients: ExcessMtl, excess_mtl, "weights sum to the number of tasks", "more weight to tasks far from the best they can do", "He et al. 2024, ICML";
    Gradients: Gradvac, gradvac, "-", "task gradients turned towards the angles they usually have", "Wang et al. 2021, arXiv 2010.05874";
    Gradients: Pcgrad, pcgrad, "works against neither of two tasks", "projects conflicting task gradients off each other", "Yu et al. 2020, arXiv 2001.06782";
    Gradients: Graddrop, graddrop, "-", "each coordinate goes with one sign, drawn by its share", "Chen et al. 2020, arXiv 2010.06808";
    Gradients: Mgda, mgda, "works against no task (rows = none)", "the shortest common descent direction", "Sener and Koltun 2018, arXiv 1810.04650";
    Gradients: Cagrad, cagrad, "stays near the mean gradient", "near the mean gradient, where the worst-off task gains most", "Liu et al. 2021, arXiv 2110.14048";
    Gradients: ImtlG, imtl_g, "works against no task", "equal projections on all task gradients", "Liu et al. 2021, ICLR";
    Gradients: Nash, nash, "works against no task, blind to scales", "the bargain that maximises the product of gains", "Navon et al. 2022, arXiv 2202.01017";
    Gradients: Fairgrad, fairgrad, "works against no task", "gains as fair as `alpha` says", "Ban and Ji 2024, arXiv 2402.15638";
    Gradients: Aligned, aligned, "-", "task gradients made orthogonal and equally long", "Senushkin et al. 2023, arXiv 2305.19000";
    Gradients: Dualproj, dualproj, "works against no task", "the mean gradient turned until it works against no task", "Lopez-Paz and Ranzato 2017, arXiv 1706.08840";
    Gradients: Upgrad, upgrad, "works against no task", "each gradient turned until it works against no task, then the mean", "Quinton and Rey 2024, arXiv 2406.16232";
    Gradients: Config, config, "works against no task", "the same angle to every task gradient", "Liu et al. 2025, arXiv 2408.11104";
    Gradients: Pcd, pcd, "never works against the primary task", "as near to the primary gradient as leaves the others some progress", "TMLR 2026, arXiv 2606.29521";
    Stochastic: Moco, moco, "-", "the shortest common direction of gradients averaged over steps", "Fernando et al. 2023, ICLR";
    Stochastic: Sdmgrad, sdmgrad, "-", "a common direction near the mean, from two halves of the batch", "Xiao et al. 2023, arXiv 2305.18409";
    Stochastic: Modo, modo, "weights sum to 1", "small steps towards the shortest direction, from two halves of the batch", "Chen et al. 2023, arXiv 2305.20057";
    Bilevel: AutoLambda, auto_lambda, "-", "weights that lower the primary tasks' loss on other images", "Liu et al. 2022, arXiv 2202.03091";
    Robust: Krum, krum, "-", "the task gradients with most company, no others", "Blanchard et al. 2017, arXiv 1703.02757";
    Robust: TrimmedMean, trimmed_mean, "-", "the mean of each coordinate without its extremes", "Yin et al. 2018, arXiv 1803.01498";
}

impl Config {
    /// The default configuration of the method called `name`.
    ///
    /// # Errors
    /// [`UnknownName`] with the nearest name.
    pub fn named(name: &str) -> Result<Self, UnknownName> {
        Ok((find("balancer", BALANCERS, name)?.item.default)())
    }

    /// The method as written on a command line, and what is put around it: its name, also with hyphens, and `ew` for equal fixed
    /// weights; single settings of either as `key=value`.
    ///
    /// # Errors
    /// What is wrong, with the nearest name of a method or key.
    pub fn typed(name: &str, settings: &[String]) -> Result<(Self, Wrap), String> {
        let name = name.to_lowercase().replace('-', "_");
        let default = Self::named(if name == "ew" { "fixed" } else { &name }).map_err(|error| error.to_string())?;
        let words = |error: serde_json::Error| error.to_string();
        let mut tree = serde_json::to_value(&default).map_err(words)?;
        let mut around = serde_json::to_value(Wrap::default()).map_err(words)?;
        for setting in settings {
            let (key, text) =
                setting.split_once('=').ok_or_else(|| format!("`{setting}` is not of the form key=value"))?;
            let read: serde_json::Value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
            let method = &mut tree[default.name()];
            if let Some(place) = method.get_mut(key) {
                *place = read;
                // A task may be called `1`.
                if serde_json::from_value::<Self>(tree.clone()).is_err() {
                    let mut other = tree.clone();
                    other[default.name()][key] = text.into();
                    tree = if serde_json::from_value::<Self>(other.clone()).is_ok() { other } else { tree };
                }
                continue;
            }
            if let Some(place) = around.get_mut(key) {
                *place = read;
                continue;
            }
            let keys = method.as_object().into_iter().chain(around.as_object()).flatten();
            let known: Vec<String> = keys.map(|(key, _)| key.clone()).collect();
            return Err(UnknownName::new("setting", key, known.iter().map(String::as_str)).to_string());
        }
        Ok((serde_json::from_value(tree).map_err(words)?, serde_json::from_value(around).map_err(words)?))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::Fixed(crate::fixed::Config::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cagrad, dwa, fixed, pcgrad};

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
            Config::Pcgrad(pcgrad::Config { route: crate::Route::Features })
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
    fn typed_on_a_command_line() {
        let typed = |name: &str, settings: &[&str]| {
            Config::typed(name, &settings.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())
                .map(|(config, _)| config)
        };
        assert_eq!(typed("imtl-g", &[]).unwrap(), Config::named("imtl_g").unwrap());
        assert_eq!(typed("EW", &[]).unwrap(), Config::default());
        let cagrad = cagrad::Config { c: 0.4, rescale: false, ..Default::default() };
        assert_eq!(typed("cagrad", &["c=0.4", "rescale=false"]).unwrap(), Config::Cagrad(cagrad));
        let features = pcgrad::Config { route: crate::Route::Features };
        assert_eq!(typed("pcgrad", &["route=features"]).unwrap(), Config::Pcgrad(features));
        let (_, around) = Config::typed("mgda", &["match_norm=true".to_owned()]).unwrap();
        assert_eq!(around, Wrap { match_norm: true, ..Wrap::default() });
        assert_eq!(typed("pcd", &["primary=1"]).unwrap(), typed("pcd", &["primary=\"1\""]).unwrap());
        assert!(typed("mgda", &["match_nrom=true"]).unwrap_err().contains("did you mean `match_norm`"));
        assert!(typed("mgad", &[]).unwrap_err().contains("did you mean `mgda`"));
        assert!(typed("cagrad", &["rescal=1"]).unwrap_err().contains("did you mean `rescale`"));
        assert!(typed("cagrad", &["c"]).unwrap_err().contains("key=value"));
        assert!(typed("cagrad", &["c=much"]).is_err());
    }

    #[test]
    fn names_are_the_tags_in_files() {
        for entry in BALANCERS {
            let config = (entry.item.default)();
            assert_eq!(config.name(), entry.name);
            let json = serde_json::to_value(&config).unwrap();
            assert!(json.get(entry.name).is_some(), "{json}");
            assert_eq!(serde_json::from_value::<Config>(json).unwrap(), config);
        }
    }
}
