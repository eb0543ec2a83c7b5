//! Values computed with torchjd and LibMTL on more cases than are committed, where the file is at hand.

use mtl_balance::{Config, Gram, Signals, pcgrad};
use mtl_rng::Seed;
use serde_json::Value;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference/aggregator_cases.json");

/// The file, or `None` with a printed line.
fn cases() -> Option<Value> {
    match std::fs::read_to_string(FILE) {
        Ok(text) => Some(serde_json::from_str(&text).expect("the reference file is JSON")),
        Err(error) => {
            println!("skipped: {FILE}: {error}");
            None
        }
    }
}

fn numbers(value: &Value) -> Vec<f64> {
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
