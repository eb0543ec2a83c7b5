//! Values computed with torchjd, LibMTL and conflictfree.

mod table;

use mtl_balance::methods::{graddrop, gradvac, mgda, pcgrad};
use mtl_balance::{
    Aggregation, Aggregator, Balancer, Config, Error, Gram, Needs, Requirements, Signals, State, UpdateOptions,
};
use mtl_rng::{Seed, Stream};
use serde_json::Value;

pub use table::{Ours, Row, SCALARS, TABLE};

/// The committed numbers; `reference/README.md` says how they were made.
pub fn file() -> Value {
    serde_json::from_str(include_str!("reference/aggregators.json")).expect("the reference file is JSON")
}

pub fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap_or_else(|| panic!("no list: {value}"));
    list.iter().map(|number| number.as_f64().unwrap_or(f64::NAN)).collect()
}

fn close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-300f64, |largest, value| largest.max(value.abs()));
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance * scale, "{what}: {found:?}, expected {expected:?}");
    }
}

/// Gradients of a case, and their inner products.
pub struct Case<'a> {
    pub name: &'a str,
    pub rows: Vec<Vec<f64>>,
    pub gram: Gram,
    values: &'a Value,
}

pub fn cases(file: &Value) -> Vec<Case<'_>> {
    let case = |values: &Value| {
        let rows: Vec<Vec<f64>> = values["jacobian"].as_array().unwrap().iter().map(numbers).collect();
        let gram = values["gramian"].as_array().unwrap().iter().flat_map(numbers).collect();
        (Gram::new(rows.len(), gram).unwrap(), rows)
    };
    let named = |values| {
        let (gram, rows) = case(values);
        Case { name: values["name"].as_str().unwrap(), rows, gram, values }
    };
    file["cases"].as_array().unwrap().iter().map(named).collect()
}

/// The result of one call.
#[derive(Debug)]
pub struct Outcome {
    pub weights: Vec<f64>,
    pub vector: Vec<f64>,
}

impl Case<'_> {
    pub fn theirs(&self, library: &str, method: &str) -> &Value {
        &self.values[library][method]
    }

    /// The results of a row, one per call, and whether they are weights; `None` where the library failed.
    fn calls(&self, row: &Row) -> Option<(Vec<Vec<f64>>, bool)> {
        let value = self.theirs(row.library, row.theirs).as_object()?;
        let list = |(key, of): (&String, &Value)| match of {
            Value::Array(calls) if key.starts_with("sequence") || key.starts_with("weights_") => {
                let call = |call: &Value| numbers(call.get("vector").unwrap_or(call));
                Some((calls.iter().map(call).collect(), key.starts_with("weights_")))
            }
            _ => None,
        };
        value.iter().find_map(list).or_else(|| Some((vec![numbers(value.get("vector")?)], false)))
    }

    /// The results of `calls` calls of a method with these settings on the same gradients.
    pub fn call(&self, config: &str, counted: bool, calls: usize) -> Vec<Outcome> {
        let config: Config = serde_json::from_str(config).unwrap();
        let m = self.rows.len();
        let (tasks, present) = ((0..m).map(|task| task.to_string()).collect::<Vec<_>>(), (0..m).collect::<Vec<_>>());
        let losses: Vec<f64> = (1..=m).map(|i| if counted { i as f64 } else { 1.0 }).collect();
        let mut balancer = config.build(&tasks).unwrap();
        let narrow = self.narrow();
        let answer = |call| {
            let signals = Signals::new(&tasks, &present, &losses).with_gram(&self.gram).with_halves(&self.gram);
            let signals = signals.with_gradients(&narrow).at(call, 0);
            let found = balancer.aggregate(&signals, &mut Seed::new(0).stream("balance", &[])).unwrap();
            let vector = found.vector.map(|vector| vector.into_iter().map(f64::from).collect());
            Outcome { vector: vector.unwrap_or_else(|| self.mixed(&found.weights)), weights: found.weights }
        };
        (0..calls as u64).map(answer).collect()
    }

    fn narrow(&self) -> Vec<Vec<f32>> {
        self.rows.iter().map(|row| row.iter().map(|v| *v as f32).collect()).collect()
    }

    fn mixed(&self, weights: &[f64]) -> Vec<f64> {
        let along = |c: usize| self.rows.iter().zip(weights).map(|(row, w)| row[c] * w).sum();
        (0..self.rows[0].len()).map(along).collect()
    }

    fn answers(&self, row: &Row, calls: usize) -> Vec<Outcome> {
        let m = self.rows.len();
        let of = |weights: Vec<f64>| Outcome { vector: self.mixed(&weights), weights };
        let ascending = || (0..m).collect::<Vec<_>>();
        match &row.ours {
            Ours::Method(config) => self.call(config, row.counted, calls),
            Ours::PcGrad(false) => vec![of(pcgrad::project(&self.gram, ascending))],
            Ours::PcGrad(true) => vec![of(pcgrad::project(&self.gram, || (0..m).rev().collect()))],
            Ours::GradVac => {
                let mut wanted = vec![vec![0.0; m]; m];
                let mut turn = || of(gradvac::turn(&self.gram, 0.5, &mut wanted, &ascending(), ascending));
                (0..calls).map(|_| turn()).collect()
            }
            Ours::GradDrop(leak) => {
                let mut draws = numbers(&self.theirs(row.library, row.theirs)["U"]).into_iter();
                let rows = self.narrow();
                let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
                let (vector, weights) = graddrop::drop(&rows, *leak, || draws.next().unwrap());
                vec![Outcome { vector: vector.into_iter().map(f64::from).collect(), weights }]
            }
            Ours::Nothing(_) => Vec::new(),
        }
    }

    /// The largest difference, relative to the largest number of the library's result, or of the gradients where that result is zero up
    /// to rounding; `None` where nothing is to be compared.
    pub fn difference(&self, row: &Row) -> Option<Result<f64, String>> {
        if row.apart.contains(&self.name) || matches!(row.ours, Ours::Nothing(_)) {
            return None;
        }
        if self.theirs(row.library, row.theirs).is_null() {
            return None; // Not computed with the library.
        }
        let Some((expected, weights)) = self.calls(row) else { return Some(Err("the library failed".into())) };
        let found = self.answers(row, expected.len());
        let gradients = self.rows.iter().flatten().fold(1e-300f64, |most, v| most.max(v.abs()));
        let mut worst = 0.0f64;
        for (found, expected) in found.iter().zip(&expected) {
            let (found, all) = if weights { (&found.weights, 1.0) } else { (&found.vector, gradients) };
            let largest = expected.iter().fold(0.0f64, |most, v| most.max(v.abs()));
            let size = if largest > 1e-8 * all { largest } else { all };
            for (a, b) in found.iter().zip(expected) {
                let off = (a - b).abs() / size;
                if off.is_nan() || off > row.within {
                    return Some(Err(format!("{expected:?}; ours {found:?}")));
                }
                worst = worst.max(off);
            }
        }
        Some(Ok(worst))
    }
}

#[test]
fn every_value_is_reproduced() {
    let file = file();
    let (mut off, mut compared) = (Vec::new(), 0);
    for row in TABLE {
        for case in cases(&file) {
            match case.difference(row) {
                None => {}
                Some(Ok(_)) => compared += 1,
                Some(Err(what)) => off.push(format!("{} {} on {}: {what}", row.library, row.theirs, case.name)),
            }
        }
    }
    assert!(off.is_empty(), "{} of {compared}:\n{}", off.len(), off.join("\n"));
    assert!(compared >= 370, "only {compared} compared");
}

/// Every value of the file is in a row of the table, compared or left out with a reason.
#[test]
fn every_value_of_the_file_has_a_row() {
    let file = file();
    for case in file["cases"].as_array().unwrap() {
        for (library, values) in case.as_object().unwrap().iter().filter(|(_, values)| values.is_object()) {
            for method in values.as_object().unwrap().keys() {
                let known = TABLE.iter().any(|row| row.library == library && row.theirs == method);
                assert!(known, "{library} {method} is in no row of the table");
            }
        }
    }
    for key in file.as_object().unwrap().keys() {
        let known =
            ["versions", "libmtl_commit", "dtype", "convention", "notes", "cases", "scalarizers", "DWA_T2_sequence"];
        let known = known.contains(&key.as_str()) || key.starts_with("FAMO_sequence") || key == AVERAGED;
        assert!(known, "{key} is read by no test");
    }
    for case in file["scalarizers"].as_array().unwrap() {
        for name in case["results"].as_object().unwrap().keys() {
            assert!(SCALARS.iter().any(|(theirs, _)| theirs == name), "{name} is in no row of the table");
        }
    }
}

/// MGDA on divided gradients. LibMTL applies the weights to the divided gradients, the paper's code and this crate to the original
/// ones. The weights are the same up to the error of LibMTL's Frank-Wolfe iterations; its combination is never shorter.
#[test]
fn weights_of_divided_gradients_equal_libmtl() {
    let file = file();
    let mut compared = 0;
    for case in cases(&file) {
        let rows = &case.rows;
        let length = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>().sqrt();
        for (theirs, scale) in [("MGDA_l2", mgda::Scale::L2), ("MGDA_loss+_losses_1..m", mgda::Scale::LossL2)] {
            let one = scale == mgda::Scale::L2;
            let losses: Vec<f64> = (1..=rows.len()).map(|i| if one { 1.0 } else { i as f64 }).collect();
            let Some(weights) = case.theirs("LibMTL", theirs)["returned_weights"].as_array() else { continue };
            if weights.iter().any(Value::is_null) || rows.iter().any(|row| length(row) == 0.0) {
                continue;
            }
            let weights: Vec<f64> = weights.iter().map(|w| w.as_f64().unwrap()).collect();
            let config = mgda::Config { rows: scale, ..Default::default() };
            let found = Aggregator::new(&config).losses(&losses).update(rows).unwrap().weights;
            let divided = |weights: &[f64]| -> Vec<f64> {
                let by = |i: usize| length(&rows[i]) * losses[i];
                (0..rows[0].len()).map(|c| (0..rows.len()).map(|i| weights[i] * rows[i][c] / by(i)).sum()).collect()
            };
            let (ours, theirs) = (divided(&found), divided(&weights));
            assert!(length(&ours) <= length(&theirs) + 1e-12, "{}: LibMTL's is shorter", case.name);
            assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 3e-2), "{ours:?}, LibMTL {theirs:?}");
            compared += 1;
        }
    }
    assert!(compared >= 12, "only {compared} cases compared");
}

/// The case with the largest errors of the libraries, in 60 digits (mpmath 1.3: enumeration of active sets, mpmath eigenvalues).
#[test]
fn lengths_a_million_times_apart_are_exact() {
    let rows = [vec![1000.0, 2000.0, -500.0], vec![0.001, -0.002, 0.001], vec![0.5, 0.1, 0.2]];
    for (method, expected) in [
        (r#"{"upgrad": {}}"#, [527.945, 277.810888888889, 27.8446666666667]),
        (r#"{"dualproj": {}}"#, [527.916666666667, 277.866666666667, 27.8166666666667]),
        (r#"{"aligned_mtl": {}}"#, [2.242553745929644e-4, 2.6950194837125764e-5, -6.736415471120095e-5]),
        (r#"{"aligned_mtl": {"length": "median"}}"#, [0.264261282236924, 0.0317579592333981, -0.0793815440682285]),
        (r#"{"aligned_mtl": {"length": "rmse"}}"#, [726.675982111578, 87.3292751039429, -218.286466367768]),
    ] {
        let config: Config = serde_json::from_str(method).unwrap();
        close(method, &mtl_balance::aggregate(&config, &rows).unwrap().vector, &expected, 1e-12);
    }
}

/// LibMTL and torchjd: gradients of scalarised losses.
#[test]
fn loss_methods_equal_the_libraries() {
    let file = file();
    for case in file["scalarizers"].as_array().unwrap() {
        let losses = numbers(&case["losses"]);
        let tasks: Vec<String> = (0..losses.len()).map(|task| task.to_string()).collect();
        let present: Vec<usize> = (0..losses.len()).collect();
        for (theirs, ours) in SCALARS.iter().filter_map(|(theirs, ours)| Some((theirs, ours.ok()?))) {
            let config: Config = serde_json::from_str(ours).unwrap();
            let signals = Signals::new(&tasks, &present, &losses);
            let weights = config.build(&tasks).unwrap().weights(&signals, &mut Seed::new(0).stream("b", &[])).unwrap();
            close(
                &format!("{theirs} of {losses:?}"),
                &weights,
                &numbers(&case["results"][theirs]["dvalue_dloss"]),
                1e-8, // of FAMO, which adds 1e-8 to a loss
            );
        }
        let theirs = &case["results"]["UW_logvar_-0.5_0.3_1.2"];
        let state = tasks.iter().zip(numbers(&theirs["log_var"]));
        let state = state.map(|(task, s)| (format!("task/{task}"), vec![s, 0.0, 0.0, 0.0])).collect();
        let mut balancer = Config::default_of("uncertainty").unwrap().build(&tasks).unwrap();
        balancer.restore(state).unwrap();
        let signals = Signals::new(&tasks, &present, &losses);
        let weights = balancer.weights(&signals, &mut Seed::new(0).stream("b", &[])).unwrap();
        close("UW at other variances", &weights, &numbers(&theirs["dvalue_dloss"]), 1e-12);
    }
}

#[test]
fn dwa_equals_libmtl() {
    let file = file();
    let epochs = file["DWA_T2_sequence"].as_array().unwrap();
    let tasks: Vec<String> = (0..3).map(|task| task.to_string()).collect();
    let mut balancer = Config::default_of("dwa").unwrap().build(&tasks).unwrap();
    for (epoch, case) in epochs.iter().enumerate() {
        let losses = numbers(&case["epoch_mean_losses"]);
        let signals = Signals::new(&tasks, &[0, 1, 2], &losses).at(epoch as u64, epoch as u64);
        let weights = balancer.weights(&signals, &mut Seed::new(0).stream("balance", &[])).unwrap();
        close(&format!("epoch {epoch}"), &weights, &numbers(&case["weights_used_this_epoch"]), 1e-12);
    }
}

#[test]
fn famo_equals_torchjd() {
    let file = file();
    let calls = file["FAMO_sequence(lr=0.025,wd=1e-3,Adam)"].as_array().unwrap();
    let tasks: Vec<String> = (0..3).map(|task| task.to_string()).collect();
    let mut balancer = Config::default_of("famo").unwrap().build(&tasks).unwrap();
    for (call, case) in calls.iter().enumerate() {
        let losses = numbers(&case["before"]);
        let signals = Signals::new(&tasks, &[0, 1, 2], &losses).at(call as u64, 0);
        let weights = balancer.weights(&signals, &mut Seed::new(0).stream("balance", &[])).unwrap();
        close(&format!("call {call}"), &weights, &numbers(&case["dvalue_dloss"]), 1e-6);
        balancer.feedback(&numbers(&case["after"])).unwrap();
        let logits: Vec<f64> = tasks.iter().map(|task| balancer.state()[&format!("task/{task}")][0]).collect();
        close(&format!("call {call}"), &logits, &numbers(&case["logits_after_update"]), 1e-6);
    }
}

const AVERAGED: &str = "CRMOGM_alpha0.9_UPGrad_weights_sequence(three_conflict, cls_seg_gen, cls_seg_gen)";

/// Gives these weights, one list per call.
struct Given(Vec<Vec<f64>>);

impl Balancer for Given {
    fn requirements(&self) -> Requirements {
        Requirements { needs: Needs::TrunkGram, ..Requirements::default() }
    }

    fn aggregate(&mut self, _: &Signals, _: &mut Stream) -> Result<Aggregation, Error> {
        Ok(self.0.remove(0).into())
    }

    fn restore(&mut self, _: State) -> Result<(), Error> {
        Ok(())
    }
}

/// The first weights are those of UPGrad. The gradients of the last two calls are equal and not in the file: their weights are computed
/// from the second call, and the third call is compared.
#[test]
fn an_average_of_weights_equals_torchjd() {
    let file = file();
    let sequence: Vec<Vec<f64>> = file[AVERAGED].as_array().unwrap().iter().map(numbers).collect();
    let case = cases(&file).into_iter().find(|case| case.name == "three_conflict_3x4").unwrap();
    let tasks: Vec<String> = (0..3).map(|task| task.to_string()).collect();
    let options = UpdateOptions { ema: 0.9, ..UpdateOptions::default() };
    let upgrad = Config::default_of("upgrad").unwrap();
    let first = Aggregator::new(&upgrad).options(&options).update(&case.rows).unwrap();
    close("the first", &first.weights, &sequence[0], 1e-3);
    let later: Vec<f64> = sequence[0].iter().zip(&sequence[1]).map(|(a, b)| (b - 0.9 * a) / 0.1).collect();
    let given = Given(vec![sequence[0].clone(), later.clone(), later]);
    let mut balancer = options.apply(Box::new(given), &tasks).unwrap();
    for (call, expected) in sequence.iter().enumerate() {
        let signals = Signals::new(&tasks, &[0, 1, 2], &[1.0; 3]).with_gram(&case.gram).at(call as u64, 0);
        let found = balancer.weights(&signals, &mut Seed::new(0).stream("balance", &[])).unwrap();
        close(&format!("call {call}"), &found, expected, 1e-9);
    }
}
