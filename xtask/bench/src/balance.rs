//! Balancers: a call of the method alone, and a whole training step beside that of the plain sum.

use mtl_balance::{BALANCERS, Config, Feedback, Gram, Signals};
use mtl_data::loader::batch_of;
use mtl_rng::Seed;
use mtl_task::Target;
use mtl_tensor::optim::{self, Optimizer};
use mtl_tensor::{Ctx, Device, Tensor, backward_from};
use mtl_train::model::Model;
use mtl_train::plan::Plan;
use mtl_train::settings;
use mtl_train::step::{StepInput, balanced_tasks, lookahead, losses_after, step};
use serde_json::json;

use crate::workload::{Job, Repeated, Workload};

/// Numbers of a gradient in a call alone: what depends on it is the training step's business.
const PARAMETERS: usize = 64;

/// torchjd's class for a method, where it has one.
fn torchjd(method: &str) -> Option<&'static str> {
    Some(match method {
        "pcgrad" => "PCGrad",
        "gradvac" => "GradVac",
        "mgda" => "MGDA",
        "cagrad" => "CAGrad",
        "imtl_g" => "IMTLG",
        "nash" => "NashMTL",
        "fairgrad" => "FairGrad",
        "aligned" => "AlignedMTL",
        "dualproj" => "DualProj",
        "upgrad" => "UPGrad",
        "config" => "ConFIG",
        "pcd" => "PCD",
        "graddrop" => "GradDrop",
        "trimmed_mean" => "TrimmedMean",
        "krum" => "Krum",
        _ => return None,
    })
}

/// Calls alone, and steps.
pub fn workloads() -> Vec<Workload> {
    let configs = || BALANCERS.iter().map(|entry| (entry.item.default)());
    // What a step of another batch costs is the trainer's to say.
    let calls = configs().filter(|config| !matches!(config.name(), "auto_lambda")).map(call);
    let features =
        Config::typed("upgrad", &["route=features".to_owned()]).map(|(config, _)| ("upgrad-features", config));
    let steps = configs().map(|config| (config.name(), config)).chain(features);
    calls.chain(steps.map(training)).chain([trunk()]).collect()
}

fn call(config: Config) -> Workload {
    let name = config.name();
    let theirs = torchjd(name);
    Workload {
        name: format!("weights/{name}"),
        about: "one call of the method on random gradients of 64 numbers; batch: tasks".into(),
        batches: vec![3, 10],
        kernel: true,
        case: json!({ "op": "weights", "aggregator": theirs, "parameters": PARAMETERS }),
        peers: theirs.map(|_| "torch").into_iter().collect(),
        flop: Box::new(|_| None),
        build: Box::new(move |tasks| {
            let names: Vec<String> = (0..tasks).map(|task| task.to_string()).collect();
            let mut balancer = config.build(&names)?;
            let present: Vec<usize> = (0..tasks).collect();
            let losses = vec![1.0; tasks];
            let row = |task: usize| Seed::new(1).stream("gradient", &[task as u64]).normals(PARAMETERS);
            let rows: Vec<Vec<f32>> = (0..tasks).map(row).collect();
            let gram = Gram::of_rows(&rows);
            let mut at = 0;
            Ok(Box::new(Repeated(move || {
                let signals = Signals::new(&names, &present, &losses).with_gram(&gram).with_halves(&gram);
                at += 1;
                let signals = signals.with_gradients(&rows).at(at, 0);
                balancer.combine(&signals, &mut Seed::new(1).stream("balance", &[at]))?;
                Ok(())
            })))
        }),
    }
}

fn training((name, config): (&'static str, Config)) -> Workload {
    Workload {
        name: format!("balanced/{name}"),
        about: "training step: resnet s, class, mask, depth and VAE of built-in scenes at 64x64, with this balancer"
            .into(),
        batches: vec![64],
        kernel: false,
        case: json!({}),
        peers: if name == "fixed" { Vec::new() } else { vec!["balanced/fixed"] },
        flop: Box::new(|_| None),
        build: Box::new(move |batch| Ok(Box::new(Step::new(&config, batch)?))),
    }
}

/// The trunk's backward pass alone: what an exact method pays for each task but one.
fn trunk() -> Workload {
    Workload {
        name: "balanced/trunk-backward".into(),
        about: "the trunk's backward pass in such a step".into(),
        batches: vec![64],
        kernel: false,
        case: json!({}),
        peers: vec!["balanced/fixed"],
        flop: Box::new(|_| None),
        build: Box::new(|batch| {
            let Step { model, batches: [material, _], .. } = Step::new(&Config::default(), batch)?;
            let features = model.trunk.forward(&material.images, &Ctx::train(Seed::new(4), 0))?;
            let ones = features.taps.iter().map(Tensor::ones_like).collect::<mtl_tensor::Result<Vec<_>>>()?;
            Ok(Box::new(Repeated(move || {
                backward_from(&features.taps, &ones)?;
                Ok(())
            })))
        }),
    }
}

struct Step {
    model: Model,
    balancer: Box<dyn mtl_balance::Balancer>,
    optimizer: Optimizer,
    tasks: Vec<String>,
    /// What is learnt from, and what bilevel methods look ahead on.
    batches: [Material; 2],
    done: u64,
}

struct Material {
    images: Tensor,
    targets: Vec<Target>,
    classes: Vec<i32>,
}

impl Material {
    fn input(&self, step: u64) -> StepInput<'_> {
        StepInput {
            images: &self.images,
            targets: &self.targets,
            classes: &self.classes,
            reconstruction_weight: 0.2,
            reconstruction_images: 16,
            step,
            epoch: 0,
            compare: false,
        }
    }
}

impl Step {
    fn new(config: &Config, batch: usize) -> anyhow::Result<Self> {
        let set = ["data.scenes.count=128", "data.scenes.size=64", "size=64", "stages=[\"joint\"]"].map(str::to_owned);
        let plan = Plan::new(settings::load("standard", None, &set)?)?;
        let model = Model::new(&plan.config, &plan.schema, &Device::Cpu)?;
        let material = |from: usize| -> anyhow::Result<Material> {
            let rows: Vec<usize> = (0..plan.dataset.len()).skip(from).take(batch).collect();
            let found = batch_of(&*plan.dataset, &rows, plan.schema.size())?;
            Ok(Material {
                images: Tensor::from_slice(&found.images, found.shape.to_vec(), &Device::Cpu)?,
                targets: plan.targets(&found),
                classes: vec![0; rows.len()],
            })
        };
        let tasks = balanced_tasks(&model);
        let optimizer = Optimizer::new(optim::Config::default(), &model.params.trained(), |_| 1.0)?;
        Ok(Self {
            balancer: config.build(&tasks)?,
            model,
            optimizer,
            tasks,
            batches: [material(0)?, material(batch)?],
            done: 0,
        })
    }
}

impl Job for Step {
    fn parameters(&self) -> usize {
        self.model.params.count()
    }

    fn step(&mut self) -> anyhow::Result<Option<f64>> {
        let [input, other] = [0, 1].map(|at| self.batches[at].input(self.done));
        let cx = Ctx::train(Seed::new(4), self.done);
        self.done += 1;
        let found = step(&self.model, &mut *self.balancer, &self.tasks, &input, &cx, &mut cx.stream("balancer"))?;
        let feedback = self.balancer.feedback();
        if let Feedback::Lookahead(primary) = &feedback {
            let batches = (&input, &other);
            if let Some(slopes) = lookahead(&self.model, &self.tasks, batches, &found, (1e-3, primary), &cx)? {
                self.balancer.learn(&slopes)?;
            }
        }
        self.optimizer.step(&found.grads, 1e-3, 1.0)?;
        if feedback == Feedback::LossesAfter {
            self.balancer.learn(&losses_after(&self.model, &self.tasks, &input, &found, &cx)?)?;
        }
        Ok(found.losses.iter().map(|(_, loss)| *loss).reduce(|a, b| a + b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_a_call_and_a_step() {
        let all = workloads();
        let has = |name: String| all.iter().any(|workload| workload.name == name);
        for entry in BALANCERS {
            assert!(has(format!("weights/{}", entry.name)) || entry.name == "auto_lambda");
            assert!(has(format!("balanced/{}", entry.name)));
        }
    }
}
