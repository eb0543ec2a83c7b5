//! Every value of the reference file, and the method that is compared with it.

/// The method of this crate in a comparison.
pub enum Ours {
    /// A method with these settings.
    Method(&'static str),
    /// PCGrad in ascending or (true) descending order.
    PcGrad(bool),
    /// GradVac in ascending order.
    GradVac,
    /// GradDrop with the file's random numbers and this leak.
    GradDrop(f64),
    /// None, for this reason.
    Nothing(&'static str),
}

/// A value of the file.
pub struct Row {
    pub library: &'static str,
    /// The library's method with its settings, as in the file.
    pub theirs: &'static str,
    pub ours: Ours,
    /// Whether the losses are 1, 2, 3, ...; otherwise all are 1.
    pub counted: bool,
    /// Allowed difference; see `Case::difference`.
    pub within: f64,
    /// Cases that are not compared.
    pub apart: &'static [&'static str],
}

const fn row(
    library: &'static str,
    theirs: &'static str,
    ours: Ours,
    within: f64,
    apart: &'static [&'static str],
) -> Row {
    Row { library, theirs, ours, counted: false, within, apart }
}

const fn counted(row: Row) -> Row {
    Row { counted: true, ..row }
}

// Intended differences where the libraries return zero, fail, or average over finished tasks: a gradient of length zero is
// left out, a single task has weight 1, and where no direction improves all tasks the update is zero.
const ZERO_ROW: &str = "zero_row_3x3";
const OPPOSED: &str = "antiparallel_2x2";
const ALL_ZERO: &str = "all_zero_3x3";
const SINGLE: &str = "single_task_1x3";
/// Lengths a million times apart, where the libraries' solvers stop early or regularise; see the test in sixty digits.
const FAR_APART: &str = "huge_scale_ratio_3x3";
const PARALLEL: &str = "parallel_rows_3x3";
const CONFLICT: &str = "three_conflict_3x4";
const RANDOM: &str = "random_5x6";
const BARGAINS: &[&str] = &[ZERO_ROW, OPPOSED, ALL_ZERO, SINGLE];
/// CAGrad's solvers stop at 1e-4, in two of these cases too early (`cagrad.rs` tests the optimality conditions).
const CAGRAD: &[&str] = &[ZERO_ROW, OPPOSED, SINGLE, FAR_APART, CONFLICT, RANDOM];

use Ours::{GradDrop, GradVac, Method, Nothing, PcGrad};

const EXACT: &str = "exact_own_solver";

/// [`BARGAINS`], and the case in which the solver stops early or regularises.
const LOOSE: &[&str] = &[ZERO_ROW, OPPOSED, ALL_ZERO, SINGLE, FAR_APART];
/// Solvers with a regularisation of 1e-4.
const REGULARISED: &[&str] = &[ZERO_ROW, OPPOSED, FAR_APART];
/// Methods that add 1e-8 to lengths before a division.
const ADDED: &[&str] = &[OPPOSED, FAR_APART];

pub const TABLE: &[Row] = &[
    row(EXACT, "MGDA_exact_min_norm", Method(r#"{"mgda": {}}"#), 1e-9, &[ZERO_ROW]),
    row(EXACT, "FairGrad_exact_alpha0.5", Method(r#"{"fairgrad": {"alpha": 0.5}}"#), 1e-9, BARGAINS),
    row(EXACT, "FairGrad_exact_alpha1.0", Method(r#"{"fairgrad": {}}"#), 1e-9, BARGAINS),
    row(EXACT, "FairGrad_exact_alpha1.0", Method(r#"{"nash_mtl": {"max_norm": 0}}"#), 1e-9, BARGAINS),
    row(EXACT, "FairGrad_exact_alpha2.0", Method(r#"{"fairgrad": {"alpha": 2.0}}"#), 1e-9, BARGAINS),
    row("torchjd", "Mean", Nothing("the sum, divided by the number of tasks"), 0.0, &[]),
    row("torchjd", "Sum", Method(r#"{"fixed": {}}"#), 1e-12, &[]),
    row("torchjd", "UPGrad", Method(r#"{"upgrad": {}}"#), 5e-3, REGULARISED),
    row("torchjd", "UPGrad_tight_eps", Method(r#"{"upgrad": {}}"#), 1e-6, &[ZERO_ROW, FAR_APART]),
    row("torchjd", "DualProj", Method(r#"{"dualproj": {}}"#), 5e-3, REGULARISED),
    row("torchjd", "DualProj_tight_eps", Method(r#"{"dualproj": {}}"#), 1e-6, &[ZERO_ROW, FAR_APART]),
    row(
        "torchjd",
        "MGDA_default(eps=1e-3,iters=100)",
        Method(r#"{"mgda": {}}"#),
        1e-6,
        &[ZERO_ROW, PARALLEL, CONFLICT, RANDOM, FAR_APART],
    ),
    row(
        "torchjd",
        "MGDA_tight(eps=1e-12,iters=3000)",
        Method(r#"{"mgda": {}}"#),
        1e-6,
        &[ZERO_ROW, PARALLEL, RANDOM, FAR_APART],
    ),
    row("torchjd", "PCGrad_order_ascending", PcGrad(false), 1e-6, &[]),
    row("torchjd", "PCGrad_order_descending", PcGrad(true), 1e-6, &[]),
    row("torchjd", "CAGrad_c0.5", Method(r#"{"cagrad": {"rescale": false}}"#), 1e-6, CAGRAD),
    row("torchjd", "CAGrad_c0.4", Method(r#"{"cagrad": {"c": 0.4, "rescale": false}}"#), 1e-6, CAGRAD),
    row("torchjd", "AlignedMTL_min", Method(r#"{"aligned_mtl": {}}"#), 1e-6, &[ZERO_ROW, FAR_APART]),
    row(
        "torchjd",
        "AlignedMTL_median",
        Method(r#"{"aligned_mtl": {"length": "median"}}"#),
        1e-6,
        &[ZERO_ROW, FAR_APART],
    ),
    row("torchjd", "AlignedMTL_rmse", Method(r#"{"aligned_mtl": {"length": "rmse"}}"#), 1e-6, &[ZERO_ROW, FAR_APART]),
    row("torchjd", "IMTLG", Method(r#"{"imtl_g": {}}"#), 1e-6, &[OPPOSED]),
    row("torchjd", "ConFIG", Method(r#"{"config": {}}"#), 1e-6, &[OPPOSED]),
    row("torchjd", "NashMTL_maxnorm0_first_call", Method(r#"{"nash_mtl": {"max_norm": 0}}"#), 1e-6, LOOSE),
    row("torchjd", "NashMTL_maxnorm1_first_call", Method(r#"{"nash_mtl": {}}"#), 1e-6, LOOSE),
    row("torchjd", "FairGrad_alpha0.5", Method(r#"{"fairgrad": {"alpha": 0.5}}"#), 1e-6, LOOSE),
    row("torchjd", "FairGrad_alpha1.0", Method(r#"{"fairgrad": {}}"#), 1e-6, LOOSE),
    row("torchjd", "FairGrad_alpha2.0", Method(r#"{"fairgrad": {"alpha": 2.0}}"#), 1e-6, LOOSE),
    row("torchjd", "GradVac_beta0.5_order_ascending", GradVac, 1e-6, ADDED),
    row("torchjd", "GradDrop_fixedU", GradDrop(0.0), 1e-6, &[]),
    row("torchjd", "GradDrop_fixedU_leak0.3", GradDrop(0.3), 1e-6, &[]),
    row("torchjd", "PCD_tau0.02_primary_is_row0", Method(r#"{"pcd": {}}"#), 1e-6, &[ZERO_ROW, OPPOSED]),
    row("torchjd", "SDMGradWeighting_defaults", Method(r#"{"sdmgrad": {}}"#), 1e-6, &[ZERO_ROW, ALL_ZERO]),
    row("torchjd", "MoDoWeighting_gamma0.1_rho0.1", Method(r#"{"modo": {}}"#), 1e-6, &[ZERO_ROW, ALL_ZERO]),
    row(
        "torchjd",
        "ExcessMTLWeighting_step0.1",
        Nothing(
            "its first step uses the excess itself, the paper and LibMTL its ratio to the first excess (compared with LibMTL in `excess_mtl.rs`)",
        ),
        0.0,
        &[],
    ),
    row("torchjd", "Krum_byz0_sel1", Method(r#"{"krum": {}}"#), 1e-6, &[ZERO_ROW, ALL_ZERO]),
    row(
        "torchjd",
        "Krum_byz1_sel2",
        Method(r#"{"krum": {"outliers": 1, "selected": 2}}"#),
        1e-6,
        &[ZERO_ROW, ALL_ZERO],
    ),
    row("torchjd", "TrimmedMean_1", Method(r#"{"trimmed_mean": {}}"#), 1e-6, &[ZERO_ROW, ALL_ZERO]),
    row("torchjd", "TrimmedMean_2", Method(r#"{"trimmed_mean": {"trim": 2}}"#), 1e-6, &[ZERO_ROW, ALL_ZERO]),
    row(
        "torchjd",
        "UPGrad_pref_0.5_0.3_0.2",
        Method(r#"{"upgrad": {"preference": {"0": 0.5, "1": 0.3, "2": 0.2}}}"#),
        5e-3,
        REGULARISED,
    ),
    row(
        "torchjd",
        "DualProj_pref_0.5_0.3_0.2",
        Method(r#"{"dualproj": {"preference": {"0": 0.5, "1": 0.3, "2": 0.2}}}"#),
        5e-3,
        REGULARISED,
    ),
    row(
        "torchjd",
        "AlignedMTL_pref_0.5_0.3_0.2",
        Method(r#"{"aligned_mtl": {"preference": {"0": 0.5, "1": 0.3, "2": 0.2}}}"#),
        1e-6,
        &[ZERO_ROW, FAR_APART],
    ),
    row(
        "torchjd",
        "ConFIG_pref_0.5_0.3_0.2",
        Method(r#"{"config": {"preference": {"0": 0.5, "1": 0.3, "2": 0.2}}}"#),
        1e-6,
        &[],
    ),
    row("LibMTL", "MGDA_none", Method(r#"{"mgda": {}}"#), 1e-6, &[ZERO_ROW, CONFLICT, RANDOM, SINGLE]),
    row(
        "LibMTL",
        "MGDA_l2",
        Nothing(
            "it applies the weights to the divided gradients, the paper's code and this crate to the original ones; another test compares the weights",
        ),
        0.0,
        &[],
    ),
    row("LibMTL", "MGDA_loss+_losses_1..m", Nothing("as MGDA_l2"), 0.0, &[]),
    row("LibMTL", "PCGrad_order_ascending(includes j==i)", PcGrad(false), 1e-6, ADDED),
    row("LibMTL", "CAGrad_c0.5_rescale1", Method(r#"{"cagrad": {}}"#), 1e-6, CAGRAD),
    row("LibMTL", "CAGrad_c0.5_rescale0", Method(r#"{"cagrad": {"rescale": false}}"#), 1e-6, CAGRAD),
    row("LibMTL", "FairGrad_alpha1", Method(r#"{"fairgrad": {}}"#), 1e-6, LOOSE),
    row("LibMTL", "UPGrad", Method(r#"{"upgrad": {}}"#), 5e-3, REGULARISED),
    row("LibMTL", "GradVac_beta0.5_3calls_order_ascending", GradVac, 1e-6, ADDED),
    counted(row(
        "LibMTL",
        "DB_MTL_beta0.9_sigma0_losses_1..m_3calls",
        Method(r#"{"db_mtl": {}}"#),
        1e-6,
        &[FAR_APART, SINGLE],
    )),
    counted(row("LibMTL", "DB_MTL_beta0_losses_1..m", Method(r#"{"db_mtl": {"beta": 0.0}}"#), 1e-6, &[FAR_APART])),
    row(
        "LibMTL",
        "MoCo_defaults_2calls",
        Method(r#"{"moco": {"softmax": true}}"#),
        1e-6,
        &[ZERO_ROW, FAR_APART, SINGLE],
    ),
    row(
        "LibMTL",
        "IMTL(G with loss_scale=0)",
        Method(r#"{"imtl_g": {}}"#),
        1e-6,
        &[ZERO_ROW, PARALLEL, OPPOSED, ALL_ZERO],
    ),
    row("conflictfree", "ConFIG_update", Method(r#"{"config": {}}"#), 1e-6, &[OPPOSED]),
    // Again, up to the error of the solvers.
    row(
        "torchjd",
        "CAGrad_c0.5",
        Method(r#"{"cagrad": {"rescale": false}}"#),
        1e-3,
        &[ZERO_ROW, OPPOSED, SINGLE, FAR_APART],
    ),
    row(
        "torchjd",
        "CAGrad_c0.4",
        Method(r#"{"cagrad": {"c": 0.4, "rescale": false}}"#),
        1e-3,
        &[ZERO_ROW, OPPOSED, SINGLE, FAR_APART],
    ),
    row("LibMTL", "CAGrad_c0.5_rescale1", Method(r#"{"cagrad": {}}"#), 1e-3, &[ZERO_ROW, OPPOSED, SINGLE, FAR_APART]),
];

/// Methods of losses: the library's name, and our settings or the reason for none.
pub const SCALARS: &[(&str, Result<&str, &str>)] = &[
    ("Sum", Ok(r#"{"fixed": {}}"#)),
    ("Mean", Err("the sum, divided by the number of tasks")),
    ("GeometricMean", Ok(r#"{"gls": {}}"#)),
    ("STCH_mu0.1", Ok(r#"{"stch": {"mu": 0.1}}"#)),
    ("STCH_mu1.0", Ok(r#"{"stch": {}}"#)),
    ("UW_init0", Ok(r#"{"uncertainty": {}}"#)),
    ("IMTLL_init0", Ok(r#"{"imtl_l": {}}"#)),
    ("UW_logvar_-0.5_0.3_1.2", Err("compared from a state")),
    ("COSMOS_l2_r.5.3.2", Err("no method here")),
    ("PBI_theta5_w.5.3.2", Err("no method here")),
    ("FAMO_first_call", Ok(r#"{"famo": {}}"#)),
];
