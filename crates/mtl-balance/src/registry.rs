//! The list of all methods, and the configuration that selects one.
//!
//! ```toml
//! [balancer.fixed.weights]
//! stress = 1.0
//! lesion = 0.5
//! ```
//! or `[balancer.dwa]` with `temperature = 2.0`, or `balancer = { pcgrad = {} }`.

use crate::methods::*;
use crate::{Balancer, Error, Method};
use Family::{Bilevel, Gradients, Losses, Robust, Stochastic};

/// The information that a method uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Losses only.
    Losses,
    /// Task gradients: their lengths and angles.
    Gradients,
    /// Task gradients on independent samples, or averaged over steps: without the bias of one batch.
    Stochastic,
    /// The effect of a weight on the losses one step later.
    Bilevel,
    /// Task gradients of which some may be wrong.
    Robust,
}

impl Family {
    /// The name in `mtl list balancers`.
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

/// Columns of the list of methods.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The information that the method uses.
    pub family: Family,
    /// A property of every update; `-` for none. "No conflict": the update has no negative inner product with any task gradient.
    pub guarantee: &'static str,
}

mtl_registry::registry! {
    /// The method that balances the tasks, with its settings: one table `[balancer.pcgrad]`.
    pub enum Config: "balancer" as dyn Method = Fixed;
    /// All methods.
    pub const BALANCERS: Facts;

    Fixed(fixed::Config), "fixed", "constant weights, 1 per task unless set: the baseline", "Xin et al. 2022, arXiv 2209.11379" => Facts { family: Losses, guarantee: "-" };
    Uncertainty(uncertainty::Config), "uncertainty", "a learned noise level per task scales its loss", "Kendall et al. 2018, arXiv 1705.07115" => Facts { family: Losses, guarantee: "equalises weighted losses" };
    UwSo(uw_so::Config), "uw_so", "softmax of the inverse losses: uncertainty weighting in closed form", "Kirchdorfer et al. 2024, arXiv 2408.07985" => Facts { family: Losses, guarantee: "weights sum to 1" };
    ImtlL(imtl_l::Config), "imtl_l", "a learned scale per loss brings all weighted losses to 1", "Liu et al. 2021, ICLR" => Facts { family: Losses, guarantee: "equalises weighted losses" };
    Dwa(dwa::Config), "dwa", "more weight to tasks whose loss fell less from epoch to epoch", "Liu et al. 2019, arXiv 1803.10704" => Facts { family: Losses, guarantee: "weights sum to the number of tasks" };
    Gls(gls::Config), "gls", "geometric mean of the losses", "Chennupati et al. 2019, arXiv 1904.08492" => Facts { family: Losses, guarantee: "invariant to loss scales" };
    LogSum(log_sum::Config), "log_sum", "sum of the logarithms of the losses", "Navon et al. 2022, arXiv 2202.01017" => Facts { family: Losses, guarantee: "invariant to loss scales" };
    Stch(stch::Config), "stch", "smooth maximum of the losses", "Lin et al. 2024, arXiv 2402.19078" => Facts { family: Losses, guarantee: "largest loss has the largest weight" };
    Famo(famo::Config), "famo", "less weight to tasks whose loss fell fastest in the last step", "Liu et al. 2023, arXiv 2306.03792" => Facts { family: Losses, guarantee: "weights sum to 1" };
    Rlw(rlw::Config), "rlw", "random weights, drawn at each step", "Lin et al. 2022, arXiv 2111.10603" => Facts { family: Losses, guarantee: "weights sum to 1" };
    NormScaling(norm_scaling::Config), "norm_scaling", "all gradients scaled to the same mean length", "arXiv 2509.23915" => Facts { family: Gradients, guarantee: "invariant to loss scales" };
    Gradnorm(gradnorm::Config), "gradnorm", "learned weights: gradient lengths follow how far each loss lags behind", "Chen et al. 2018, arXiv 1711.02257" => Facts { family: Gradients, guarantee: "weights sum to the number of tasks" };
    DbMtl(db_mtl::Config), "db_mtl", "logarithms of losses; averaged gradients scaled to equal length", "Lin et al. 2023, arXiv 2308.12029" => Facts { family: Gradients, guarantee: "invariant to loss scales" };
    ExcessMtl(excess_mtl::Config), "excess_mtl", "more weight to tasks far from their optimum", "He et al. 2024, ICML" => Facts { family: Gradients, guarantee: "weights sum to the number of tasks" };
    Gradvac(gradvac::Config), "gradvac", "gradients rotated towards the mean cosine of each pair", "Wang et al. 2021, arXiv 2010.05874" => Facts { family: Gradients, guarantee: "-" };
    Pcgrad(pcgrad::Config), "pcgrad", "conflicting gradients projected onto each other's normal plane", "Yu et al. 2020, arXiv 2001.06782" => Facts { family: Gradients, guarantee: "no conflict between two tasks" };
    Graddrop(graddrop::Config), "graddrop", "per coordinate, gradients of one randomly drawn sign", "Chen et al. 2020, arXiv 2010.06808" => Facts { family: Gradients, guarantee: "-" };
    Mgda(mgda::Config), "mgda", "minimum-norm point of the convex hull of the gradients", "Sener and Koltun 2018, arXiv 1810.04650" => Facts { family: Gradients, guarantee: "no conflict (rows = none)" };
    Cagrad(cagrad::Config), "cagrad", "near the mean gradient, maximises the smallest decrease of a task", "Liu et al. 2021, arXiv 2110.14048" => Facts { family: Gradients, guarantee: "stays near the mean gradient" };
    ImtlG(imtl_g::Config), "imtl_g", "equal projections onto all gradients", "Liu et al. 2021, ICLR" => Facts { family: Gradients, guarantee: "no conflict" };
    NashMtl(nash_mtl::Config), "nash_mtl", "Nash bargaining solution: maximises the product of the decreases", "Navon et al. 2022, arXiv 2202.01017" => Facts { family: Gradients, guarantee: "no conflict, invariant to loss scales" };
    Fairgrad(fairgrad::Config), "fairgrad", "alpha-fair shares of the decrease", "Ban and Ji 2024, arXiv 2402.15638" => Facts { family: Gradients, guarantee: "no conflict" };
    AlignedMtl(aligned_mtl::Config), "aligned_mtl", "gradients made orthogonal and equally long", "Senushkin et al. 2023, arXiv 2305.19000" => Facts { family: Gradients, guarantee: "-" };
    Dualproj(dualproj::Config), "dualproj", "mean gradient projected onto the dual cone", "Lopez-Paz and Ranzato 2017, arXiv 1706.08840" => Facts { family: Gradients, guarantee: "no conflict" };
    Upgrad(upgrad::Config), "upgrad", "each gradient projected onto the dual cone, then the mean", "Quinton and Rey 2024, arXiv 2406.16232" => Facts { family: Gradients, guarantee: "no conflict" };
    ConflictFree(conflict_free::Config), "config", "equal angles to all gradients", "Liu et al. 2025, arXiv 2408.11104" => Facts { family: Gradients, guarantee: "no conflict" };
    Pcd(pcd::Config), "pcd", "nearest to the primary gradient such that all other tasks improve", "TMLR 2026, arXiv 2606.29521" => Facts { family: Gradients, guarantee: "no conflict with the primary task" };
    Moco(moco::Config), "moco", "minimum-norm point of gradients averaged over steps", "Fernando et al. 2023, ICLR" => Facts { family: Stochastic, guarantee: "-" };
    Sdmgrad(sdmgrad::Config), "sdmgrad", "common descent direction near the mean, from two halves of the batch", "Xiao et al. 2023, arXiv 2305.18409" => Facts { family: Stochastic, guarantee: "-" };
    Modo(modo::Config), "modo", "projected steps towards the minimum-norm point, from two halves of the batch", "Chen et al. 2023, arXiv 2305.20057" => Facts { family: Stochastic, guarantee: "weights sum to 1" };
    AutoLambda(auto_lambda::Config), "auto_lambda", "learned weights that lower the primary tasks' loss on another batch", "Liu et al. 2022, arXiv 2202.03091" => Facts { family: Bilevel, guarantee: "-" };
    Krum(krum::Config), "krum", "mean of the gradients with the nearest neighbours", "Blanchard et al. 2017, arXiv 1703.02757" => Facts { family: Robust, guarantee: "-" };
    TrimmedMean(trimmed_mean::Config), "trimmed_mean", "mean of each coordinate without its extremes", "Yin et al. 2018, arXiv 1803.01498" => Facts { family: Robust, guarantee: "-" };
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// Settings outside their range; a task name that the run does not have.
    pub fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        self.member().build(tasks)
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        self.member().build(tasks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    use crate::GradientsWrt;

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
        assert_eq!(read("[balancer.pcgrad]").unwrap(), Config::default_of("pcgrad").unwrap());
        assert_eq!(
            read("balancer = { dwa = { temperature = 3.0 } }").unwrap(),
            Config::Dwa(dwa::Config { temperature: 3.0 })
        );
        let weights = [("stress".to_owned(), 0.5)].into();
        assert_eq!(read("[balancer.fixed.weights]\nstress = 0.5").unwrap(), Config::Fixed(fixed::Config { weights }));
        assert_eq!(
            read("[balancer.pcgrad]\ngradients_wrt = \"representation\"").unwrap(),
            Config::Pcgrad(pcgrad::Config { gradients_wrt: GradientsWrt::Representation })
        );
    }

    #[test]
    fn mistakes_are_errors_that_name_the_key() {
        let error = read("[balancer.dwa]\ntemprature = 2.0").unwrap_err();
        assert!(error.contains("temprature") && error.contains("line 2") && error.contains("temperature"), "{error}");
        assert!(read("[balancer.pcgard]").unwrap_err().contains("pcgrad"));
        assert!(read("[balancer.pcgrad]\n[balancer.dwa]").is_err());
        assert!(read("[balancer.pcgrad]\ngradients_wrt = \"features\"").is_err());
        assert!(Config::default_of("pcgard").unwrap_err().to_string().contains("did you mean `pcgrad`?"));
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
