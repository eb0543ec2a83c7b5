//! All routes of a joint step give the same gradients of the trunk for the same weights.

use std::cell::RefCell;
use std::ops::Range;

use mtl_balance::{Aggregation, Balancer, Gram, Needs, Requirements, Signals, State};
use mtl_model::step::step;
use mtl_model::{Model, StepInput, StepOutput, objectives};
use mtl_rng::{Seed, Stream};
use mtl_tensor::{Ctx, Device, Tensor, to_f64};
use mtl_train::data::Plan;

use crate::tiny;

thread_local! {
    /// The last products of two halves given to the balancer.
    static SEEN: RefCell<Option<Gram>> = const { RefCell::new(None) };
}

/// Fixed weights with arbitrary requirements, or with an update of their own.
struct Pretender(Needs, Vec<f64>, bool);

impl Balancer for Pretender {
    fn requirements(&self) -> Requirements {
        Requirements { needs: self.0, ..Requirements::default() }
    }
    fn aggregate(&mut self, signals: &Signals, _: &mut Stream) -> Result<Aggregation, mtl_balance::Error> {
        assert_eq!(signals.gram.is_some(), self.0.gram());
        assert_eq!(signals.gradients.is_some(), self.0 == Needs::Gradients);
        assert_eq!(signals.halves.is_some(), self.0 == Needs::HalvesGram);
        if let Some(halves) = signals.halves {
            SEEN.set(Some(halves.clone()));
        }
        let weights: Vec<f64> = signals.present.iter().map(|&at| self.1[at]).collect();
        let vector = signals.gradients.filter(|_| self.2).map(|rows| {
            let sum = |at: usize| rows.iter().zip(&weights).map(|(row, w)| f64::from(row[at]) * w).sum::<f64>() as f32;
            (0..rows[0].len()).map(sum).collect()
        });
        Ok(Aggregation { weights, vector })
    }
    fn restore(&mut self, _: State) -> Result<(), mtl_balance::Error> {
        Ok(())
    }
}

fn run(needs: Needs, weights: &[f64], vector: bool) -> (StepOutput, Vec<String>) {
    run_with(&[], needs, (weights, vector), false)
}

fn run_with(more: &[&str], needs: Needs, weights: (&[f64], bool), compare: bool) -> (StepOutput, Vec<String>) {
    run_on(more, 0..6, needs, weights, compare)
}

fn run_on(
    more: &[&str],
    rows: Range<usize>,
    needs: Needs,
    (weights, vector): (&[f64], bool),
    compare: bool,
) -> (StepOutput, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::new(tiny(dir.path(), more)).unwrap();
    let config = &plan.config;
    let mut parts = config.model();
    if let Some(objectives::Config::Generator(reconstruction)) = parts.objectives.get_mut("reconstruction") {
        reconstruction.weight = 0.5;
    }
    let model = Model::new(&parts, &plan.schema, &Device::Cpu).unwrap();
    let mut batch = plan.batch_of(&plan.split.train[rows.clone()], &Device::Cpu).unwrap();
    batch.classes = [0, 1, 2, 3, 4, 5][rows].to_vec();
    let input = StepInput { batch: &batch, step: 0, epoch: 0, compare };
    let tasks = model.objective_names();
    let mut balancer = Pretender(needs, weights.to_vec(), vector);
    let cx = Ctx::train(Seed::new(1), 0);
    let output = step(&model, &mut balancer, &input, &cx, &mut Seed::new(1).stream("t", &[])).unwrap();
    (output, tasks)
}

#[test]
fn give_the_same_trunk_gradients() {
    let weights = [1.0, 0.3, 2.0, 0.7];
    let (reference, tasks) = run(Needs::Losses, &weights, false);
    assert_eq!(tasks, ["class", "parts", "depth", "reconstruction"]);
    let routes = [Needs::FeatureGram, Needs::TrunkGram, Needs::Gradients].map(|needs| (needs, false));
    for (needs, vector) in routes.into_iter().chain([(Needs::Gradients, true)]) {
        let (other, _) = run(needs, &weights, vector);
        assert_eq!(other.losses, reference.losses);
        assert_eq!(other.grads.keys().collect::<Vec<_>>(), reference.grads.keys().collect::<Vec<_>>());
        for (name, grad) in &reference.grads {
            let (a, b) = (to_f64(grad).unwrap(), to_f64(&other.grads[name]).unwrap());
            // Heads keep their own gradient where weights are not weights of losses.
            let task = tasks.iter().position(|task| {
                name.starts_with(&format!("heads.{task}.")) || (task == "reconstruction" && name.starts_with("vae."))
            });
            let factor = task.map_or(1.0, |at| weights[at]);
            let scale = a.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
            let worst = a.iter().zip(&b).fold(0f64, |m, (a, b)| m.max((a - factor * b).abs()));
            assert!(worst / scale < 1e-4, "{needs:?} {name}: {worst} of {scale}");
        }
    }
}

/// A step that compares the tasks' gradients in addition to its own route.
#[test]
fn comparing_changes_no_gradient() {
    let weights = [1.0, 0.3, 2.0, 0.7];
    for needs in [Needs::Losses, Needs::FeatureGram, Needs::TrunkGram, Needs::Gradients] {
        let (plain, _) = run(needs, &weights, false);
        let (compared, tasks) = run_with(&[], needs, (&weights, false), true);
        assert_eq!(compared.gram.is_some(), needs.gram());
        assert_eq!(compared.stages.iter().map(|(stage, _)| stage.as_str()).collect::<Vec<_>>(), STAGES);
        assert!(compared.stages.iter().all(|(_, gram)| gram.size() == tasks.len()));
        for (name, grad) in &plain.grads {
            let (a, b) = (to_f64(grad).unwrap(), to_f64(&compared.grads[name]).unwrap());
            let scale = a.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
            let worst = a.iter().zip(&b).fold(0f64, |m, (a, b)| m.max((a - b).abs()));
            assert!(worst / scale < 1e-4, "{needs:?} {name}: {worst} of {scale}");
        }
    }
}

const STAGES: [&str; 4] = ["stage1", "stage2", "stage3", "stem"];

/// Where a loss is a mean over images and nothing else couples them, two halves of a batch give the gradient of the whole; and
/// the compared gradients are those of the halves.
#[test]
fn two_halves_are_the_whole() {
    let more = [
        "model.trunk.resnet.norm=group",
        "heads.depth.dense.norm=group",
        "objectives.reconstruction=none",
        "data.tasks=[\"class\", \"depth\"]",
        "heads.class.classification.dropout=0",
    ];
    let weights = [1.0, 0.3];
    let (whole, _) = run_with(&more, Needs::TrunkGram, (&weights, false), false);
    let (halves, _) = run_with(&more, Needs::HalvesGram, (&weights, false), false);
    for (name, grad) in &whole.grads {
        let (a, b) = (to_f64(grad).unwrap(), to_f64(&halves.grads[name]).unwrap());
        let scale = a.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
        let worst = a.iter().zip(&b).fold(0f64, |m, (a, b)| m.max((a - b).abs()));
        assert!(worst / scale < 1e-4, "{name}: {worst} of {scale}");
    }
    let (a, b) = (whole.gram.unwrap(), halves.gram.unwrap());
    assert!((a.at(0, 1) - b.at(0, 1)).abs() < 1e-4 * (a.at(0, 0) * a.at(1, 1)).sqrt());

    // Three images each, from a run of their own.
    let alone = |at: usize, rows: Range<usize>| {
        let weights: Vec<f64> = (0..2).map(|i| f64::from(u8::from(i == at))).collect();
        let found = run_on(&more, rows, Needs::Losses, (&weights, false), false).0.grads;
        found.into_iter().filter(|(name, _)| name.starts_with("trunk.")).collect::<Vec<_>>()
    };
    let seen = SEEN.with_borrow(Clone::clone).unwrap();
    for i in 0..2 {
        for j in 0..2 {
            let product = |a: &[(String, Tensor)], b: &[(String, Tensor)]| -> f64 {
                a.iter().zip(b).map(|((_, a), (_, b))| mtl_tensor::optim::dot(a, b).unwrap()).sum()
            };
            let expected =
                0.5 * (product(&alone(i, 0..3), &alone(j, 3..6)) + product(&alone(j, 0..3), &alone(i, 3..6)));
            let scale = (a.at(i, i) * a.at(j, j)).sqrt();
            assert!((seen.at(i, j) - expected).abs() < 1e-4 * scale, "{i},{j}: {} and {expected}", seen.at(i, j));
        }
    }
}

#[test]
fn the_gram_matrix_is_that_of_the_trunks_gradients() {
    let weights = |at: usize| (0..4).map(|i| f64::from(u8::from(i == at))).collect::<Vec<_>>();
    let gram = run(Needs::TrunkGram, &weights(0), false).0.gram.unwrap();
    let rows: Vec<StepOutput> = (0..4).map(|at| run(Needs::Losses, &weights(at), false).0).collect();
    for i in 0..4 {
        for j in 0..4 {
            let mut product = 0.0;
            for (name, a) in rows[i].grads.iter().filter(|(name, _)| name.starts_with("trunk.")) {
                product += mtl_tensor::optim::dot(a, &rows[j].grads[name]).unwrap();
            }
            let scale = (gram.at(i, i) * gram.at(j, j)).sqrt();
            assert!((product - gram.at(i, j)).abs() < 1e-4 * scale, "{i},{j}: {product} and {}", gram.at(i, j));
        }
    }
}
