//! Balancers: a call of the method alone, and a training step compared with that of the plain sum.

use mtl_balance::methods::upgrad;
use mtl_balance::{BALANCERS, Config, Feedback, GradientsWrt, Gram, Signals};
use mtl_model::step::{Lookahead, lookahead, losses_after, step};
use mtl_model::{DeviceBatch, Model, StepInput};
use mtl_rng::Seed;
use mtl_tensor::optim::{self, Optimizer};
use mtl_tensor::{Ctx, Tensor, vjp_retain};
use mtl_train::config::load;
use mtl_train::data::Plan;
use serde_json::json;

use crate::inputs;
use crate::workload::{Job, Repeated, Workload};

/// Length of the gradients in a call alone; costs that depend on it are measured by the training step.
const PARAMETERS: usize = 64;

/// torchjd's class for a method, where it has one.
fn torchjd(method: &str) -> Option<&'static str> {
    Some(match method {
        "pcgrad" => "PCGrad",
        "gradvac" => "GradVac",
        "mgda" => "MGDA",
        "cagrad" => "CAGrad",
        "imtl_g" => "IMTLG",
        "nash_mtl" => "NashMTL",
        "fairgrad" => "FairGrad",
        "aligned_mtl" => "AlignedMTL",
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
    // Auto-Lambda costs a step on another batch, which only the training step measures.
    let calls = configs().filter(|config| !matches!(config.name(), "auto_lambda")).map(call);
    let upgrad = upgrad::Config { gradients_wrt: GradientsWrt::Representation, ..upgrad::Config::default() };
    let features = ("upgrad-features", Config::Upgrad(upgrad));
    let steps = configs().map(|config| (config.name(), config)).chain([features]);
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
                balancer.aggregate(&signals, &mut Seed::new(1).stream("balance", &[at]))?;
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

/// The trunk's backward pass alone: the additional cost of an exact method per task but one.
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
            let Step { model, batches: [batch, _], .. } = Step::new(&Config::default(), batch)?;
            let features = model.trunk().forward(&batch.images, &Ctx::train(Seed::new(4), 0))?;
            let ones = features.taps.iter().map(Tensor::ones_like).collect::<mtl_tensor::Result<Vec<_>>>()?;
            Ok(Box::new(Repeated(move || {
                vjp_retain(&features.taps, &ones)?;
                Ok(())
            })))
        }),
    }
}

struct Step {
    model: Model,
    balancer: Box<dyn mtl_balance::Balancer>,
    optimizer: Optimizer,
    /// The training batch, and the one that bilevel methods look ahead on.
    batches: [DeviceBatch; 2],
    done: u64,
}

impl Step {
    fn new(config: &Config, batch: usize) -> anyhow::Result<Self> {
        let set =
            ["data.scenes.count=128", "data.scenes.size=64", "size=64", "stages.run=[\"joint\"]"].map(str::to_owned);
        let plan = Plan::new(load::load("standard", None, &set)?)?;
        let model = Model::new(&plan.config.model(), &plan.schema, inputs::device())?;
        let batch_from = |from: usize| -> anyhow::Result<DeviceBatch> {
            let rows: Vec<usize> = (0..plan.dataset.len()).skip(from).take(batch).collect();
            Ok(DeviceBatch { classes: vec![0; rows.len()], ..plan.batch_of(&rows, inputs::device())? })
        };
        let tasks = model.objective_names();
        let optimizer = Optimizer::new(optim::Config::default(), &model.params.trainable(), |_| 1.0)?;
        Ok(Self {
            balancer: config.build(&tasks)?,
            model,
            optimizer,
            batches: [batch_from(0)?, batch_from(batch)?],
            done: 0,
        })
    }
}

impl Job for Step {
    fn parameters(&self) -> usize {
        self.model.params.count()
    }

    fn step(&mut self) -> anyhow::Result<Option<f64>> {
        let [batch, other] = &self.batches;
        let input = StepInput { batch, step: self.done, epoch: 0, compare: false };
        let cx = Ctx::train(Seed::new(4), self.done);
        self.done += 1;
        let found = step(&self.model, &mut *self.balancer, &input, &cx, &mut cx.stream("balancer"))?;
        let feedback = self.balancer.requirements().feedback;
        if let Feedback::Lookahead(primary) = &feedback {
            let ahead = Lookahead { other, lr: 1e-3, primary };
            if let Some(slopes) = lookahead(&self.model, &input, &found, ahead, &cx)? {
                self.balancer.feedback(&slopes)?;
            }
        }
        self.optimizer.step(&found.grads, 1e-3, 1.0)?;
        if feedback == Feedback::LossesAfter {
            self.balancer.feedback(&losses_after(&self.model, &input, &found, &cx)?)?;
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
