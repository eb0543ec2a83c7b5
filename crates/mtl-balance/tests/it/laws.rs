//! Invariances of the update under scaling, rotation and permutation of the gradients.

use mtl_balance::{Aggregator, BALANCERS, Config, Family, Needs, aggregate};
use mtl_rng::Seed;

fn rows(seed: u64, m: usize, n: usize) -> Vec<Vec<f64>> {
    let mut stream = Seed::new(seed).stream("rows", &[]);
    (0..m).map(|_| (0..n).map(|_| stream.normal()).collect()).collect()
}

fn update(config: &Config, rows: &[Vec<f64>]) -> Vec<f64> {
    let losses: Vec<f64> = (1..=rows.len()).map(|i| i as f64 * 0.3).collect();
    Aggregator::new(config).losses(&losses).seed(7).update(rows).unwrap().vector
}

fn close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    let size = expected.iter().fold(1e-12f64, |most, v| most.max(v.abs()));
    let off = found.iter().zip(expected).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
    assert!(off <= tolerance * size, "{what}: {found:?}, expected {expected:?}");
}

fn methods() -> impl Iterator<Item = Config> {
    BALANCERS.iter().map(|entry| (entry.item.default)())
}

fn needs(config: &Config) -> Needs {
    config.build(&["a".to_owned(), "b".to_owned()]).unwrap().requirements().needs
}

/// `v(c J) = c^p v(J)`, where `p` is 1 except for the methods below.
#[test]
fn updates_are_homogeneous_in_the_gradients() {
    let power = |config: &Config| match config.name() {
        // The length of these updates does not depend on the gradients; MoCo's is that of the losses.
        "nash_mtl" | "fairgrad" | "moco" => 0.0,
        _ => 1.0,
    };
    // MoDo's learning rate is absolute, as in the paper: not homogeneous in the gradients.
    for config in methods().filter(|config| config.name() != "modo") {
        for seed in 0..20 {
            let there = rows(seed, 3, 5);
            let factor = [0.01, 0.5, 30.0][seed as usize % 3];
            let scaled: Vec<Vec<f64>> = there.iter().map(|row| row.iter().map(|v| v * factor).collect()).collect();
            let expected: Vec<f64> =
                update(&config, &there).iter().map(|v| v * f64::powf(factor, power(&config))).collect();
            // Single precision in methods of gradients; small constants added to lengths in some.
            close(&format!("{config:?} times {factor}"), &update(&config, &scaled), &expected, 1e-4);
        }
    }
}

/// `v(J Q) = v(J) Q` for methods of inner products.
#[test]
fn rotated_gradients_rotate_the_update() {
    let (cos, sin) = (0.6, 0.8);
    let turn = |row: &[f64]| {
        let mut row = row.to_vec();
        for at in 0..row.len() - 1 {
            let (a, b) = (row[at], row[at + 1]);
            (row[at], row[at + 1]) = (cos * a - sin * b, sin * a + cos * b);
        }
        row
    };
    for config in methods().filter(|config| needs(config) != Needs::Gradients) {
        for seed in 0..20 {
            let there = rows(100 + seed, 4, 6);
            let turned: Vec<Vec<f64>> = there.iter().map(|row| turn(row)).collect();
            close(config.name(), &update(&config, &turned), &turn(&update(&config, &there)), 1e-8);
        }
    }
    // A method per coordinate is not invariant: the test can fail.
    let graddrop = Config::default_of("graddrop").unwrap();
    let there = rows(1, 3, 4);
    let turned: Vec<Vec<f64>> = there.iter().map(|row| turn(row)).collect();
    let off = update(&graddrop, &turned)
        .iter()
        .zip(turn(&update(&graddrop, &there)))
        .map(|(a, b)| (a - b).abs())
        .sum::<f64>();
    assert!(off > 1e-3);
}

/// For methods that draw no order and name no task.
#[test]
fn the_order_of_tasks_does_not_matter() {
    let order = [2, 0, 3, 1];
    for config in methods().filter(|config| !["rlw", "pcgrad", "gradvac", "pcd"].contains(&config.name())) {
        for seed in 0..20 {
            let there = rows(200 + seed, 4, 6);
            let losses = [0.3, 1.2, 0.7, 2.0];
            let ask = |rows: &[Vec<f64>], losses: &[f64]| {
                Aggregator::new(&config).losses(losses).seed(3).update(rows).unwrap()
            };
            let expected = ask(&there, &losses);
            let moved: Vec<Vec<f64>> = order.iter().map(|&at| there[at].clone()).collect();
            let found = ask(&moved, &order.map(|at| losses[at]));
            close(config.name(), &found.vector, &expected.vector, 1e-6);
            let weights: Vec<f64> = order.iter().map(|&at| expected.weights[at]).collect();
            close(config.name(), &found.weights, &weights, 1e-6);
        }
    }
}

/// No convex combination is shorter than MGDA's, and its product with every active gradient is its squared length.
#[test]
fn mgda_satisfies_its_optimality_conditions() {
    let mgda = Config::default_of("mgda").unwrap();
    for seed in 0..100 {
        let m = 2 + seed as usize % 7;
        let there = rows(300 + seed, m, 4);
        let found = aggregate(&mgda, &there).unwrap();
        let square: f64 = found.vector.iter().map(|v| v * v).sum();
        assert!((found.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12 && found.weights.iter().all(|w| *w >= 0.0));
        for (row, weight) in there.iter().zip(&found.weights) {
            let along: f64 = row.iter().zip(&found.vector).map(|(a, b)| a * b).sum();
            assert!(along >= square - 1e-9, "{along} below {square}");
            assert!(*weight == 0.0 || (along - square).abs() < 1e-9, "{along} is not {square}");
        }
    }
}

#[test]
fn families_match_the_requirements() {
    for entry in BALANCERS {
        let needs = needs(&(entry.item.default)());
        match entry.item.facts.family {
            Family::Losses | Family::Bilevel => assert_eq!(needs, Needs::Losses, "{}", entry.name),
            Family::Gradients | Family::Stochastic | Family::Robust => assert!(needs.gram(), "{}", entry.name),
        }
        assert!(entry.item.paper.is_some() && !entry.summary.is_empty());
    }
}
