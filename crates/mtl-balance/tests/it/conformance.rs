//! The documentation of `Balancer`, tested for every method of the registry.

use mtl_balance::methods::pcd;
use mtl_balance::{BALANCERS, Balancer, Config, Error, Feedback, Gram, Needs, Signals, State, UpdateOptions};
use mtl_rng::Seed;

fn tasks(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn build(config: &Config, tasks: &[String]) -> Box<dyn Balancer> {
    config.build(tasks).unwrap_or_else(|error| panic!("{}: {error}", config.name()))
}

/// A method with options.
#[derive(Debug)]
struct Setup(Config, UpdateOptions);

impl Setup {
    fn build(&self, tasks: &[String]) -> Box<dyn Balancer> {
        let inner = build(&self.0, tasks);
        // Without options, methods also run with fewer tasks than `min_tasks`.
        if self.1 == UpdateOptions::default() {
            return inner;
        }
        self.1.apply(inner, tasks).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }
}

/// All of [`configs`] without options, and one method of each kind with each option.
fn setups() -> Vec<Setup> {
    let around = [
        ("upgrad", UpdateOptions { ema: 0.9, ..UpdateOptions::default() }),
        ("upgrad", UpdateOptions { every: 3, ..UpdateOptions::default() }),
        ("gradnorm", UpdateOptions { every: 3, ema: 0.5, match_norm: true, ..UpdateOptions::default() }),
        ("mgda", UpdateOptions { normalise: true, match_norm: true, ..UpdateOptions::default() }),
        ("famo", UpdateOptions { ema: 0.5, ..UpdateOptions::default() }),
        ("sdmgrad", UpdateOptions { ema: 0.5, match_norm: true, ..UpdateOptions::default() }),
        ("db_mtl", UpdateOptions { normalise: true, match_norm: true, ..UpdateOptions::default() }),
    ];
    let around = around.into_iter().map(|(name, options)| Setup(Config::default_of(name).unwrap(), options));
    configs().into_iter().map(|config| Setup(config, UpdateOptions::default())).chain(around).collect()
}

/// Every registered method with its defaults, and settings that use other branches.
fn configs() -> Vec<Config> {
    let mut configs: Vec<Config> = BALANCERS.iter().map(|entry| (entry.item.default)()).collect();
    let others = r#"[{"fixed": {"weights": {"a": 0.0, "b": 2.0}}}, {"pcgrad": {"gradients_wrt": "representation"}}, {"dwa": {"temperature": 0.5}}]"#;
    configs.extend(serde_json::from_str::<Vec<Config>>(others).unwrap());
    configs
}

fn primary() -> Config {
    Config::Pcd(pcd::Config { primary: Some("a".to_owned()), ..pcd::Config::default() })
}

/// One step with these gradients as rows, one per task.
fn step(
    balancer: &mut dyn Balancer,
    tasks: &[String],
    present: &[usize],
    losses: &[f64],
    rows: &[Vec<f32>],
    (step, epoch): (u64, u64),
) -> Result<Vec<f64>, Error> {
    let gram = Gram::of_rows(rows);
    let signals = Signals::new(tasks, present, losses).with_gram(&gram).with_halves(&gram).with_gradients(rows);
    let signals = signals.at(step, epoch);
    let found = balancer.aggregate(&signals, &mut Seed::new(5).stream("balance", &[step]))?;
    if let Some(vector) = &found.vector {
        assert!(vector.iter().all(|v| v.is_finite()) && vector.len() == rows[0].len(), "{vector:?} of {rows:?}");
    }
    if balancer.requirements().feedback != Feedback::Nothing {
        // Feedback: losses a little lower, larger ones by more.
        balancer.feedback(&losses.iter().map(|loss| loss / (1.01 + loss.abs().min(0.1))).collect::<Vec<_>>())?;
    }
    Ok(found.weights)
}

/// Random losses and gradients of step `t`.
fn made_up(t: u64, m: usize) -> (Vec<f64>, Vec<Vec<f32>>) {
    let mut stream = Seed::new(11).stream("made up", &[t]);
    let losses = (0..m).map(|_| stream.range(0.01, 3.0)).collect();
    (losses, (0..m).map(|_| stream.normals(4)).collect())
}

#[test]
fn weights_are_finite_for_any_input() {
    let names = tasks(&["a", "b", "c"]);
    let rows = |rows: [[f32; 3]; 3]| rows.map(|row| row.to_vec()).to_vec();
    let gradients = [
        ("ordinary", rows([[1.0, 0.0, 0.5], [-1.0, 1.0, 0.0], [0.0, -1.0, -0.5]])),
        ("all zero", rows([[0.0; 3]; 3])),
        ("one zero", rows([[0.0; 3], [1.0, 2.0, 3.0], [-1.0, 0.0, 0.0]])),
        ("parallel", rows([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 6.0, 9.0]])),
        ("antiparallel", rows([[1.0, 2.0, 3.0], [-2.0, -4.0, -6.0], [1.0, 2.0, 3.0]])),
        ("scales apart", rows([[1e15, 0.0, 1e15], [-1.0, 1.0, 0.0], [-1e-15, 0.0, -1e-15]])),
        ("subnormal", rows([[1e-40, 0.0, 0.0], [-1e-40, 0.0, 0.0], [1e-45, 0.0, 0.0]])),
        ("largest", rows([[f32::MAX; 3], [-f32::MAX; 3], [f32::MAX, -f32::MAX, 0.0]])),
    ];
    let losses = [[1.0, 2.0, 3.0], [0.0; 3], [0.0, 1e-30, 1e30], [1e300, 0.0, 1.0], [0.3; 3]];
    for setup in setups() {
        for (what, rows) in &gradients {
            let mut balancer = setup.build(&names);
            for epoch in 0..4 {
                for (t, losses) in losses.iter().enumerate() {
                    let at = (epoch * 5 + t as u64, epoch);
                    let weights = step(&mut *balancer, &names, &[0, 1, 2], losses, rows, at).unwrap();
                    assert_eq!(weights.len(), 3);
                    assert!(weights.iter().all(|w| w.is_finite()), "{setup:?}, {what}: {weights:?}");
                }
            }
            assert!(balancer.state().values().flatten().all(|value| value.is_finite()), "{setup:?}, {what}");
            let none = step(&mut *balancer, &names, &[], &[], &[], (20, 4)).unwrap();
            assert!(none.is_empty(), "{setup:?}");
        }
    }
}

#[test]
fn all_zero_gradients_and_equal_losses_treat_all_tasks_alike() {
    let names = tasks(&["x", "y", "z"]);
    for entry in BALANCERS.iter().filter(|entry| entry.name != "rlw") {
        let mut balancer = build(&(entry.item.default)(), &names);
        for t in 0..6 {
            let rows = vec![vec![0.0; 2]; 3];
            let weights = step(&mut *balancer, &names, &[0, 1, 2], &[0.7; 3], &rows, (t, t / 2)).unwrap();
            assert!(weights.iter().all(|w| *w == weights[0]), "{}: {weights:?}", entry.name);
        }
    }
}

#[test]
fn the_order_of_the_tasks_does_not_matter() {
    // With two tasks PCGrad does not depend on its random order, so all methods must pass.
    let (there, back) = (tasks(&["a", "b"]), tasks(&["b", "a"]));
    // Without a name the primary task is the first.
    let named = |Setup(config, options)| Setup(if config.name() == "pcd" { primary() } else { config }, options);
    for setup in setups().into_iter().filter(|setup| setup.0.name() != "rlw").map(named) {
        let (mut one, mut other) = (setup.build(&there), setup.build(&back));
        for t in 0..12 {
            let (mut losses, mut rows) = made_up(t, 2);
            let weights = step(&mut *one, &there, &[0, 1], &losses, &rows, (t, t / 3)).unwrap();
            losses.reverse();
            rows.reverse();
            let reversed = step(&mut *other, &back, &[0, 1], &losses, &rows, (t, t / 3)).unwrap();
            for (a, b) in weights.iter().zip(reversed.iter().rev()) {
                assert!((a - b).abs() < 1e-12 * a.abs().max(1.0), "{setup:?}: {weights:?} {reversed:?}");
            }
        }
    }
}

#[test]
fn a_single_task_keeps_its_direction_and_mostly_weight_1() {
    let names = tasks(&["only"]);
    for entry in BALANCERS {
        let mut balancer = build(&(entry.item.default)(), &names);
        for t in 0..12 {
            let (losses, rows) = made_up(t, 1);
            let weights = step(&mut *balancer, &names, &[0], &losses, &rows, (t, t / 3)).unwrap();
            // Learned weights scale a single task too, as documented.
            let learns = ["uncertainty", "imtl_l", "auto_lambda"].contains(&entry.name);
            let as_documented = if learns { weights[0] > 0.0 } else { weights == [1.0] };
            assert!(as_documented, "{}: {weights:?}", entry.name);
        }
    }
}

/// Methods with the guarantee "no conflict", also for gradient lengths a thousandfold apart.
#[test]
fn guaranteed_absence_of_conflict() {
    let guarantees = BALANCERS.iter().map(|entry| (entry.name, entry.item.facts.guarantee));
    let kinds = ["no conflict", "no conflict (rows = none)", "no conflict, invariant to loss scales"];
    let names: Vec<&str> =
        guarantees.filter(|(_, guarantee)| kinds.contains(guarantee)).map(|(name, _)| name).collect();
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        for seed in 0..300 {
            let m = 2 + seed as usize % 5;
            let names: Vec<String> = (0..m).map(|i| i.to_string()).collect();
            let present: Vec<usize> = (0..m).collect();
            let ratio = [1.0, 0.03, 0.01, 0.003, 0.001][seed as usize / 60];
            let rows: Vec<Vec<f32>> = (0..m)
                .map(|i| {
                    let row = Seed::new(seed).stream("rows", &[i as u64]).normals(m + 1);
                    row.into_iter().map(|v| v * if i == 0 { ratio } else { 1.0 }).collect()
                })
                .collect();
            let mut balancer = build(&Config::default_of(name).unwrap(), &names);
            let weights = step(&mut *balancer, &names, &present, &vec![1.0; m], &rows, (0, 0)).unwrap();
            let gram = Gram::of_rows(&rows);
            let along = |i: usize| -> f64 { gram.row(i).iter().zip(&weights).map(|(g, w)| g * w).sum() };
            let length = (0..m).map(|i| weights[i] * along(i)).sum::<f64>().max(0.0).sqrt();
            for i in 0..m {
                let cosine = along(i) / (gram.at(i, i).sqrt() * length);
                assert!(length == 0.0 || cosine > -1e-7, "{name}, seed {seed}, ratio {ratio}: {cosine} with task {i}");
            }
        }
    }
}

#[test]
fn absent_tasks_change_nothing() {
    let (three, two) = (tasks(&["a", "b", "c"]), tasks(&["a", "c"]));
    for setup in setups() {
        if matches!(&setup.0, Config::Fixed(fixed) if fixed.weights.contains_key("b")) {
            continue; // names a task the smaller run does not have
        }
        let (mut with, mut without) = (setup.build(&three), setup.build(&two));
        let fresh = with.state();
        for t in 0..12 {
            let (losses, rows) = made_up(t, 2);
            let weights = step(&mut *with, &three, &[0, 2], &losses, &rows, (t, t / 3)).unwrap();
            let expected = step(&mut *without, &two, &[0, 1], &losses, &rows, (t, t / 3)).unwrap();
            assert_eq!(weights, expected, "{setup:?}");
        }
        assert_eq!(with.state().get("task/b"), fresh.get("task/b"), "{setup:?}");
        // The absent task can come back.
        let (losses, rows) = made_up(99, 3);
        let weights = step(&mut *with, &three, &[0, 1, 2], &losses, &rows, (99, 4)).unwrap();
        assert!(weights.iter().all(|weight| weight.is_finite()), "{setup:?}: {weights:?}");
    }
}

#[test]
fn a_restored_balancer_continues_bit_for_bit() {
    let names = tasks(&["a", "b", "c"]);
    let present = |t: u64| if t % 3 == 1 { vec![0, 2] } else { vec![0, 1, 2] };
    for setup in setups() {
        // Every stopping point, also within epochs.
        for stop in 0..14 {
            let mut whole = setup.build(&names);
            let mut resumed = setup.build(&names);
            for t in 0..20 {
                let present = present(t);
                let (losses, rows) = made_up(t, present.len());
                let expected = step(&mut *whole, &names, &present, &losses, &rows, (t, t / 4)).unwrap();
                if t >= stop {
                    let weights = step(&mut *resumed, &names, &present, &losses, &rows, (t, t / 4)).unwrap();
                    assert_eq!(weights, expected, "{setup:?}, stopped at {stop}, step {t}");
                }
                if t + 1 == stop {
                    let state = whole.state();
                    resumed.restore(state.clone()).unwrap();
                    assert_eq!(resumed.state(), state, "{setup:?}");
                }
            }
        }
    }
}

#[test]
fn states_of_others_are_refused_and_change_nothing() {
    let names = tasks(&["a", "b"]);
    let foreign = |key: &str, row: &[f64]| State::from([(key.to_owned(), row.to_vec())]);
    for config in configs() {
        let mut balancer = build(&config, &names);
        let (losses, rows) = made_up(0, 2);
        step(&mut *balancer, &names, &[0, 1], &losses, &rows, (0, 0)).unwrap();
        let before = balancer.state();
        let mut wrong = vec![foreign("task/other", &[1.0]), foreign("unheard of", &[])];
        if !before.is_empty() {
            wrong.push(State::new());
            let mut broken = before.clone();
            broken.insert("task/a".to_owned(), vec![f64::NAN; before["task/a"].len()]);
            wrong.push(broken);
            let mut short = before.clone();
            short.entry("task/a".to_owned()).and_modify(|row| row.truncate(row.len() - 1));
            wrong.push(short);
        }
        for state in wrong {
            let error = balancer.restore(state.clone()).expect_err(&format!("{config:?} took {state:?}")).to_string();
            assert!(error.contains(config.name()), "{error}");
            assert_eq!(balancer.state(), before, "{config:?}");
        }
    }
}

/// Methods that keep gradients refuse a state of a model with another number of shared parameters, in the step that shows it.
#[test]
fn gradients_of_another_length_than_the_state_are_refused() {
    let names = tasks(&["a", "b"]);
    let mut refused = Vec::new();
    for entry in BALANCERS {
        let mut balancer = build(&(entry.item.default)(), &names);
        let (losses, rows) = made_up(0, 2);
        step(&mut *balancer, &names, &[0, 1], &losses, &rows, (0, 0)).unwrap();
        let before = balancer.state();
        let kept = before.values().any(|row| row.len() >= rows[0].len());
        for columns in [3, 5] {
            let other: Vec<Vec<f32>> =
                rows.iter().map(|row| row.iter().copied().cycle().take(columns).collect()).collect();
            let mut resumed = build(&(entry.item.default)(), &names);
            resumed.restore(before.clone()).unwrap();
            let result = step(&mut *resumed, &names, &[0, 1], &losses, &other, (1, 0));
            if kept && balancer.requirements().needs == Needs::Gradients {
                let error = result.unwrap_err();
                assert!(matches!(error, Error::State { .. }), "{}: {error}", entry.name);
                assert!(error.to_string().contains(entry.name) && error.to_string().contains("4 numbers"), "{error}");
                assert_eq!(resumed.state(), before, "{}", entry.name);
                refused.push(entry.name);
            } else {
                result.unwrap();
            }
        }
    }
    assert_eq!(refused, ["db_mtl", "db_mtl", "excess_mtl", "excess_mtl", "moco", "moco"]);
}

#[test]
fn numbers_that_are_not_finite_are_errors_that_name_the_task() {
    let names = tasks(&["stress", "lesion", "depth"]);
    for entry in BALANCERS {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut balancer = build(&(entry.item.default)(), &names);
            let (losses, rows) = made_up(0, 3);
            step(&mut *balancer, &names, &[0, 1, 2], &losses, &rows, (0, 0)).unwrap();
            let before = balancer.state();

            let spoilt = [losses[0], bad, losses[2]];
            let error = step(&mut *balancer, &names, &[0, 1, 2], &spoilt, &rows, (41, 1)).unwrap_err().to_string();
            assert!(error.contains("`lesion`") && error.contains("step 41"), "{}: {error}", entry.name);
            // The name follows from the index in the run, not in the batch.
            let error =
                step(&mut *balancer, &names, &[1, 2], &[1.0, bad], &rows[1..], (41, 1)).unwrap_err().to_string();
            assert!(error.contains("`depth`"), "{}: {error}", entry.name);

            if balancer.requirements().needs.gram() {
                let mut spoilt = rows.clone();
                spoilt[2][0] = bad as f32;
                let error =
                    step(&mut *balancer, &names, &[0, 1, 2], &losses, &spoilt, (41, 1)).unwrap_err().to_string();
                assert!(error.contains("`depth`") && error.contains("step 41"), "{}: {error}", entry.name);
                let signals = Signals::new(&names, &[0, 1, 2], &losses);
                let error = balancer.weights(&signals, &mut Seed::new(0).stream("balance", &[])).unwrap_err();
                assert!(matches!(error, Error::Missing { .. }), "{}: {error}", entry.name);
            }
            assert_eq!(balancer.state(), before, "{}", entry.name);
        }
    }
}

#[test]
fn negative_losses_are_refused_as_documented() {
    let names = tasks(&["a", "vae"]);
    for entry in BALANCERS {
        let mut balancer = build(&(entry.item.default)(), &names);
        let (_, rows) = made_up(0, 2);
        let result = step(&mut *balancer, &names, &[0, 1], &[1.0, -2.0], &rows, (3, 0));
        match result {
            Err(error) => {
                assert!(balancer.requirements().nonnegative_losses, "{}: {error}", entry.name);
                assert!(error.to_string().contains("`vae`"), "{error}");
            }
            Ok(weights) => assert!(!balancer.requirements().nonnegative_losses, "{}: {weights:?}", entry.name),
        }
        // Rounding errors below 0 must not stop a run.
        assert!(step(&mut *balancer, &names, &[0, 1], &[1.0, -1e-8], &rows, (3, 0)).is_ok(), "{}", entry.name);
    }
}

#[test]
fn methods_differ() {
    let names = tasks(&["a", "b", "c"]);
    let mut seen: Vec<(&str, Vec<f64>)> = Vec::new();
    for entry in BALANCERS {
        let mut balancer = build(&(entry.item.default)(), &names);
        let mut weights = Vec::new();
        for t in 0..3 {
            let rows = vec![vec![1.0, 0.0, 0.2], vec![-1.0, 1.0, 0.0], vec![0.3, -0.5, 1.0]];
            let losses = [1.0 / (t + 1) as f64, 2.0, 0.7];
            weights = step(&mut *balancer, &names, &[0, 1, 2], &losses, &rows, (t, t)).unwrap();
        }
        for (name, others) in &seen {
            assert_ne!(&weights, others, "{} gives the same as {name}", entry.name);
        }
        seen.push((entry.name, weights));
    }
}
