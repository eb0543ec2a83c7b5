//! Values computed with torchjd and LibMTL on more cases than are committed, where the file is at hand.

use mtl_balance::{Config, Gram, Signals, pcgrad};
use mtl_rng::Seed;
use serde_json::Value;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference/aggregator_cases.json");

/// The file, or `None` with a printed line.
pub fn cases() -> Option<Value> {
    match std::fs::read_to_string(FILE) {
        Ok(text) => Some(serde_json::from_str(&text).expect("the reference file is JSON")),
        Err(error) => {
            println!("skipped: {FILE}: {error}");
            None
        }
    }
}

pub fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap_or_else(|| panic!("no list: {value}"));
    list.iter().map(|number| number.as_f64().unwrap_or_else(|| panic!("no number: {number}"))).collect()
}

fn close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-300f64, |largest, value| largest.max(value.abs()));
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance * scale, "{what}: {found:?}, expected {expected:?}");
    }
}

#[test]
fn pcgrad_in_fixed_orders_equals_torchjd() {
    let Some(file) = cases() else { return };
    let mut compared = 0;
    for case in file["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let rows: Vec<Vec<f64>> = case["jacobian"].as_array().unwrap().iter().map(numbers).collect();
        let gram: Vec<f64> = case["gramian"].as_array().unwrap().iter().flat_map(numbers).collect();
        let gram = Gram::new(rows.len(), gram).unwrap();
        for (variant, descending) in [("PCGrad_order_ascending", false), ("PCGrad_order_descending", true)] {
            let expected = &case["torchjd"][variant];
            let mut order: Vec<usize> = (0..rows.len()).collect();
            if descending {
                order.reverse();
            }
            let weights = pcgrad::project(&gram, || order.clone());
            let what = format!("{name}, {variant}");
            close(&what, &weights, &numbers(&expected["weights"]), 1e-12);
            // The update vector, relative to the gradients it is put together from: `antiparallel` sums to zero.
            let update: Vec<f64> = (0..rows[0].len())
                .map(|column| rows.iter().zip(&weights).map(|(row, weight)| row[column] * weight).sum())
                .collect();
            let vector = numbers(&expected["vector"]);
            let size = rows.iter().flatten().fold(0.0f64, |largest, value| largest.max(value.abs()));
            let error = update.iter().zip(&vector).fold(0.0f64, |largest, (a, b)| largest.max((a - b).abs()));
            assert!(error <= 1e-12 * size, "{what}: {update:?}, expected {vector:?}");
            compared += 1;
        }
    }
    assert!(compared >= 20, "only {compared} cases compared");
}

/// Update of a method with these settings on a case's Jacobian, losses all 1, from the case's own Gram matrix.
pub fn update(config: &str, rows: &[Vec<f64>], gram: &Gram) -> Vec<f64> {
    let config: Config = serde_json::from_str(config).unwrap();
    let tasks: Vec<String> = (0..rows.len()).map(|task| task.to_string()).collect();
    let present: Vec<usize> = (0..rows.len()).collect();
    let losses = vec![1.0; rows.len()];
    let signals = Signals::new(&tasks, &present, &losses).with_gram(gram);
    let weights = config.build(&tasks).unwrap().weights(&signals, &mut Seed::new(0).stream("balance", &[])).unwrap();
    (0..rows[0].len()).map(|column| rows.iter().zip(&weights).map(|(row, weight)| row[column] * weight).sum()).collect()
}

/// What we do on purpose where the libraries return zero, fail, or average over tasks that are done: a gradient of length zero
/// is left out, a single task keeps weight 1, and where no direction helps all tasks the update is zero.
const ZERO_ROW: &str = "zero_row_3x3";
const OPPOSED: &str = "antiparallel_2x2";
const ALL_ZERO: &str = "all_zero_3x3";
const SINGLE: &str = "single_task_1x3";
/// Lengths a million times apart, where the libraries' solvers stop early or regularise; see the test below.
const FAR_APART: &str = "huge_scale_ratio_3x3";
const BARGAINS: &[&str] = &[ZERO_ROW, OPPOSED, ALL_ZERO, SINGLE];
/// CAGrad's solvers there stop at 1e-4, two of the cases among them (see `cagrad.rs` for the exact answer).
const CAGRAD: &[&str] = &[ZERO_ROW, OPPOSED, SINGLE, FAR_APART, "three_conflict_3x4", "random_5x6"];

/// Library, its name of the method, ours, relative difference, and the cases told apart above.
pub const TABLE: &[(&str, &str, &str, f64, &[&str])] = &[
    ("exact_own_solver", "MGDA_exact_min_norm", r#"{"mgda": {}}"#, 1e-9, &[ZERO_ROW]),
    ("exact_own_solver", "FairGrad_exact_alpha0.5", r#"{"fairgrad": {"alpha": 0.5}}"#, 1e-9, BARGAINS),
    ("exact_own_solver", "FairGrad_exact_alpha1.0", r#"{"fairgrad": {}}"#, 1e-9, BARGAINS),
    ("exact_own_solver", "FairGrad_exact_alpha1.0", r#"{"nash": {"max_norm": 0}}"#, 1e-9, BARGAINS),
    ("exact_own_solver", "FairGrad_exact_alpha2.0", r#"{"fairgrad": {"alpha": 2.0}}"#, 1e-9, BARGAINS),
    ("torchjd", "UPGrad_tight_eps", r#"{"upgrad": {}}"#, 1e-6, &[ZERO_ROW, FAR_APART]),
    ("torchjd", "DualProj_tight_eps", r#"{"dualproj": {}}"#, 1e-6, &[ZERO_ROW, FAR_APART]),
    ("torchjd", "CAGrad_c0.5", r#"{"cagrad": {"rescale": false}}"#, 1e-6, CAGRAD),
    ("torchjd", "CAGrad_c0.4", r#"{"cagrad": {"c": 0.4, "rescale": false}}"#, 1e-6, CAGRAD),
    ("LibMTL", "CAGrad_c0.5_rescale1", r#"{"cagrad": {}}"#, 1e-6, CAGRAD),
    ("torchjd", "AlignedMTL_min", r#"{"aligned": {}}"#, 1e-6, &[ZERO_ROW]),
    ("torchjd", "AlignedMTL_median", r#"{"aligned": {"length": "median"}}"#, 1e-6, &[ZERO_ROW]),
    ("torchjd", "AlignedMTL_rmse", r#"{"aligned": {"length": "rmse"}}"#, 1e-6, &[ZERO_ROW, FAR_APART]),
    ("torchjd", "IMTLG", r#"{"imtl_g": {}}"#, 1e-6, &[OPPOSED]),
    ("torchjd", "ConFIG", r#"{"config": {}}"#, 1e-6, &[]),
    ("conflictfree", "ConFIG_update", r#"{"config": {}}"#, 1e-6, &[OPPOSED]),
];

/// Methods of the Gram matrix.
#[test]
fn gram_methods_equal_the_libraries() {
    let Some(file) = cases() else { return };
    let mut off = Vec::new();
    for (library, method, config, tolerance, apart) in TABLE {
        for case in file["cases"].as_array().unwrap() {
            let name = case["name"].as_str().unwrap();
            let rows: Vec<Vec<f64>> = case["jacobian"].as_array().unwrap().iter().map(numbers).collect();
            let gram: Vec<f64> = case["gramian"].as_array().unwrap().iter().flat_map(numbers).collect();
            let found = update(config, &rows, &Gram::new(rows.len(), gram).unwrap());
            let theirs = &case[library][method]["vector"];
            if apart.contains(&name) {
                continue;
            }
            let Some(theirs) = theirs.as_array() else {
                off.push(format!("{library} {method} on {name}: {}; ours {found:?}", case[library][method]));
                continue;
            };
            let theirs: Vec<f64> = theirs.iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect();
            // Relative to the gradients: some updates are zero.
            let size = rows.iter().flatten().fold(1e-300f64, |most, v| most.max(v.abs()));
            let error = found.iter().zip(&theirs).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
            if error.is_nan() || error > tolerance * size {
                off.push(format!("{library} {method} on {name}: {theirs:?}; ours {found:?}"));
            }
        }
    }
    assert!(off.is_empty(), "{}", off.join("\n"));
}

/// MGDA on divided gradients: LibMTL applies the weights to those, the paper's code and ours to the gradients as they are; the weights
/// are the same, as far as LibMTL's Frank-Wolfe iterations get: ours are never longer.
#[test]
fn weights_of_divided_gradients_equal_libmtl() {
    let Some(file) = cases() else { return };
    let mut compared = 0;
    for case in file["cases"].as_array().unwrap() {
        let rows: Vec<Vec<f64>> = case["jacobian"].as_array().unwrap().iter().map(numbers).collect();
        let length = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>().sqrt();
        for (theirs, scale) in [("MGDA_l2", "l2"), ("MGDA_loss+_losses_1..m", "loss_l2")] {
            let losses: Vec<f64> = (1..=rows.len()).map(|i| if scale == "l2" { 1.0 } else { i as f64 }).collect();
            let Some(weights) = case["LibMTL"][theirs]["returned_weights"].as_array() else { continue };
            if weights.iter().any(Value::is_null) || rows.iter().any(|row| length(row) == 0.0) {
                continue;
            }
            let weights: Vec<f64> = weights.iter().map(|w| w.as_f64().unwrap()).collect();
            let (config, _) = Config::typed("mgda", &[format!("rows={scale}")]).unwrap();
            let found = mtl_balance::once((&config, &Default::default()), &rows, &losses, 0).unwrap().weights;
            let divided = |weights: &[f64]| -> Vec<f64> {
                let by = |i: usize| length(&rows[i]) * losses[i];
                (0..rows[0].len()).map(|c| (0..rows.len()).map(|i| weights[i] * rows[i][c] / by(i)).sum()).collect()
            };
            let (ours, theirs) = (divided(&found), divided(&weights));
            assert!(length(&ours) <= length(&theirs) + 1e-12, "{}: LibMTL's is shorter", case["name"]);
            assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 3e-2), "{ours:?}, LibMTL {theirs:?}");
            compared += 1;
        }
    }
    assert!(compared >= 12, "only {compared} cases compared");
}

/// The case the libraries are furthest from, in 60 digits (mpmath 1.3: all active sets, its own eigenvalues).
#[test]
fn lengths_a_million_times_apart_are_exact() {
    let rows = [vec![1000.0, 2000.0, -500.0], vec![0.001, -0.002, 0.001], vec![0.5, 0.1, 0.2]];
    let gram = Gram::from_fn(3, |i, j| rows[i].iter().zip(&rows[j]).map(|(a, b): (&f64, &f64)| a * b).sum());
    for (config, expected) in [
        (r#"{"upgrad": {}}"#, [527.945, 277.810888888889, 27.8446666666667]),
        (r#"{"dualproj": {}}"#, [527.916666666667, 277.866666666667, 27.8166666666667]),
        (r#"{"aligned": {"length": "rmse"}}"#, [726.675982111578, 87.3292751039429, -218.286466367768]),
    ] {
        close(config, &update(config, &rows, &gram), &expected, 1e-12);
    }
}

/// Methods that choose among gradients, or among their coordinates.
#[test]
fn guards_equal_torchjd() {
    let Some(file) = cases() else { return };
    let mut compared = 0;
    for case in file["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let rows: Vec<Vec<f64>> = case["jacobian"].as_array().unwrap().iter().map(numbers).collect();
        for (theirs, name_of, settings) in [
            ("Krum_byz0_sel1", "krum", vec![]),
            ("Krum_byz1_sel2", "krum", vec!["outliers=1".to_owned(), "selected=2".to_owned()]),
            ("TrimmedMean_1", "trimmed_mean", vec![]),
        ] {
            let Some(expected) = case["torchjd"][theirs]["vector"].as_array() else { continue };
            if [ZERO_ROW, ALL_ZERO].contains(&name) {
                continue;
            }
            let expected: Vec<f64> = expected.iter().map(|v| v.as_f64().unwrap()).collect();
            let (config, _) = Config::typed(name_of, &settings).unwrap();
            let found =
                mtl_balance::once((&config, &Default::default()), &rows, &vec![1.0; rows.len()], 0).unwrap().vector;
            close(&format!("{theirs} on {name}"), &found, &expected, 1e-6);
            compared += 1;
        }
    }
    assert!(compared >= 8, "only {compared} cases compared");
}

/// LibMTL and torchjd: gradients of scalarised losses.
#[test]
fn loss_methods_equal_the_libraries() {
    let Some(file) = cases() else { return };
    for case in file["scalarizers"].as_array().unwrap() {
        let losses = numbers(&case["losses"]);
        let tasks: Vec<String> = (0..losses.len()).map(|task| task.to_string()).collect();
        let present: Vec<usize> = (0..losses.len()).collect();
        for (theirs, ours) in [
            ("GeometricMean", r#"{"gls": {}}"#),
            ("STCH_mu0.1", r#"{"stch": {"mu": 0.1}}"#),
            ("STCH_mu1.0", r#"{"stch": {}}"#),
            ("UW_init0", r#"{"uncertainty": {}}"#),
            ("IMTLL_init0", r#"{"imtl_l": {}}"#),
        ] {
            let config: Config = serde_json::from_str(ours).unwrap();
            let signals = Signals::new(&tasks, &present, &losses);
            let weights = config.build(&tasks).unwrap().weights(&signals, &mut Seed::new(0).stream("b", &[])).unwrap();
            close(
                &format!("{theirs} of {losses:?}"),
                &weights,
                &numbers(&case["results"][theirs]["dvalue_dloss"]),
                1e-12,
            );
        }
    }
}

#[test]
fn dwa_equals_libmtl() {
    let Some(file) = cases() else { return };
    let epochs = file["DWA_T2_sequence"].as_array().unwrap();
    let tasks: Vec<String> = (0..3).map(|task| task.to_string()).collect();
    let mut balancer = Config::named("dwa").unwrap().build(&tasks).unwrap();
    for (epoch, case) in epochs.iter().enumerate() {
        let losses = numbers(&case["epoch_mean_losses"]);
        let signals = Signals::new(&tasks, &[0, 1, 2], &losses).at(epoch as u64, epoch as u64);
        let weights = balancer.weights(&signals, &mut Seed::new(0).stream("balance", &[])).unwrap();
        close(&format!("epoch {epoch}"), &weights, &numbers(&case["weights_used_this_epoch"]), 1e-12);
    }
}

#[test]
fn uncertainty_starts_as_libmtl() {
    let Some(file) = cases() else { return };
    for case in file["scalarizers"].as_array().unwrap() {
        let losses = numbers(&case["losses"]);
        let tasks: Vec<String> = (0..losses.len()).map(|task| task.to_string()).collect();
        let present: Vec<usize> = (0..losses.len()).collect();
        let mut balancer = Config::named("uncertainty").unwrap().build(&tasks).unwrap();
        let signals = Signals::new(&tasks, &present, &losses);
        let weights = balancer.weights(&signals, &mut Seed::new(0).stream("balance", &[])).unwrap();
        close("UW_init0", &weights, &numbers(&case["results"]["UW_init0"]["dvalue_dloss"]), 1e-12);
    }
}

/// Methods that remember: several calls one after the other.
#[test]
fn methods_with_memory_equal_the_libraries_call_by_call() {
    let Some(file) = cases() else { return };
    let mut compared = 0;
    let mut off = Vec::new();
    for case in file["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        if [ZERO_ROW, ALL_ZERO, SINGLE].contains(&name) {
            continue; // ours by design, see above
        }
        let rows: Vec<Vec<f64>> = case["jacobian"].as_array().unwrap().iter().map(numbers).collect();
        let m = rows.len();
        let tasks: Vec<String> = (0..m).map(|task| task.to_string()).collect();
        let present: Vec<usize> = (0..m).collect();
        // Which library's value, under which key a call's numbers are, our settings, losses, cases told apart: LibMTL adds 1e-8 to
        // lengths and losses, which shows where lengths are a million times apart, and PCD works against its primary task.
        let counted: Vec<f64> = (1..=m).map(|i| i as f64).collect();
        let ones = vec![1.0; m];
        type Row<'a> = (&'a str, &'a str, &'a str, &'a str, &'a [f64], &'a [&'a str]);
        let (db_mtl, pcd) = ("DB_MTL_beta0.9_sigma0_losses_1..m_3calls", "PCD_tau0.02_primary_is_row0");
        let calls = ("sequence_of_2_calls_same_matrix", "weights_2_calls");
        let table: &[Row<'_>] = &[
            ("LibMTL", db_mtl, "sequence", r#"{"db_mtl": {}}"#, &counted, &[FAR_APART]),
            ("LibMTL", "MoCo_defaults_2calls", "sequence", r#"{"moco": {"softmax": true}}"#, &ones, &[FAR_APART]),
            ("torchjd", pcd, calls.0, r#"{"pcd": {}}"#, &ones, &[OPPOSED]),
            ("torchjd", "SDMGradWeighting_defaults", calls.1, r#"{"sdmgrad": {}}"#, &ones, &[]),
            ("torchjd", "MoDoWeighting_gamma0.1_rho0.1", calls.1, r#"{"modo": {}}"#, &ones, &[]),
        ];
        for (library, method, key, config, losses, apart) in table {
            if apart.contains(&name) {
                continue;
            }
            let config: Config = serde_json::from_str(config).unwrap();
            let mut balancer = config.build(&tasks).unwrap();
            let Some(calls) = case[*library][*method][*key].as_array() else {
                off.push(format!("{method} on {name}: {}", case[*library][*method]));
                continue;
            };
            for (call, expected) in calls.iter().enumerate() {
                let dot = |i: usize, j: usize| rows[i].iter().zip(&rows[j]).map(|(a, b)| a * b).sum();
                let gram = Gram::from_fn(m, dot);
                let narrow: Vec<Vec<f32>> = rows.iter().map(|row| row.iter().map(|v| *v as f32).collect()).collect();
                let signals = Signals::new(&tasks, &present, losses).with_gram(&gram).with_halves(&gram);
                let signals = signals.with_gradients(&narrow).at(call as u64, 0);
                let found = balancer.combine(&signals, &mut Seed::new(0).stream("balance", &[])).unwrap();
                let weights = found.weights;
                let along = |c: usize| rows.iter().zip(&weights).map(|(row, w)| row[c] * w).sum::<f64>();
                let vector = match found.vector {
                    Some(vector) => vector.into_iter().map(f64::from).collect(),
                    None => (0..rows[0].len()).map(along).collect::<Vec<f64>>(),
                };
                let (found, expected) = match &expected["vector"] {
                    serde_json::Value::Null if key.starts_with("weights") => (weights, numbers(expected)),
                    serde_json::Value::Null => (vector, numbers(expected)),
                    theirs => (vector, numbers(theirs)),
                };
                // Relative to the answer or, where that is next to nothing, to a thousandth of the gradients.
                let size = expected.iter().fold(1e-3 * gram.at(0, 0).sqrt(), |most, v| most.max(v.abs()));
                let error = found.iter().zip(&expected).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
                compared += 1;
                if error.is_nan() || error > 1e-6 * size {
                    off.push(format!("{method} on {name}, call {call}: {expected:?}; ours {found:?}"));
                }
            }
        }
    }
    assert!(off.is_empty(), "{}", off.join("\n"));
    assert!(compared >= 60, "only {compared} calls compared");
}

#[test]
fn famo_equals_torchjd() {
    let Some(file) = cases() else { return };
    let calls = file["FAMO_sequence(lr=0.025,wd=1e-3,Adam)"].as_array().unwrap();
    let tasks: Vec<String> = (0..3).map(|task| task.to_string()).collect();
    let mut balancer = Config::named("famo").unwrap().build(&tasks).unwrap();
    for (call, case) in calls.iter().enumerate() {
        let losses = numbers(&case["before"]);
        let signals = Signals::new(&tasks, &[0, 1, 2], &losses).at(call as u64, 0);
        let weights = balancer.weights(&signals, &mut Seed::new(0).stream("balance", &[])).unwrap();
        close(&format!("call {call}"), &weights, &numbers(&case["dvalue_dloss"]), 1e-6);
        balancer.learn(&numbers(&case["after"])).unwrap();
        let logits: Vec<f64> = tasks.iter().map(|task| balancer.state()[&format!("task/{task}")][0]).collect();
        close(&format!("call {call}"), &logits, &numbers(&case["logits_after_update"]), 1e-6);
    }
}

#[test]
fn an_average_begins_with_the_first_weights_as_in_torchjd() {
    let Some(file) = cases() else { return };
    let key = "CRMOGM_alpha0.9_UPGrad_weights_sequence(three_conflict, cls_seg_gen, cls_seg_gen)";
    let case = |name: &str| file["cases"].as_array().unwrap().iter().find(|case| case["name"] == name).cloned();
    let expected = numbers(&file[key][0]);
    let Some(case) = case("three_conflict_3x4") else { panic!("the first case of the sequence is there") };
    let rows: Vec<Vec<f64>> = case["jacobian"].as_array().unwrap().iter().map(numbers).collect();
    let wrap = mtl_balance::Wrap { ema: 0.9, ..Default::default() };
    let found = mtl_balance::once((&Config::named("upgrad").unwrap(), &wrap), &rows, &[1.0; 3], 0).unwrap();
    close("CR-MOGM", &found.weights, &expected, 1e-3);
}
