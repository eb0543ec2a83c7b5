//! Encoder, head and unlabelled objective from another crate: they implement the public traits and train like the built-in
//! ones, under a balancer that reads the tasks' gradients.

use std::collections::BTreeMap;

use mtl_heads::{Head, HeadConfig, HeadInput};
use mtl_metrics::{Prediction, Psnr};
use mtl_model::objective::{Metrics, ObjectiveConfig, ObjectiveInput, Views};
use mtl_model::{DeviceBatch, Error, Model, ModelParts, Objective, Output, Schema, StepInput, step};
use mtl_rng::Seed;
use mtl_task::{Target, Task, TaskKind};
use mtl_tensor::layers::{Conv2d, Linear};
use mtl_tensor::ops::{self, loss};
use mtl_tensor::optim::{self, Optimizer};
use mtl_tensor::{Ctx, Device, Init, Scope, Tensor, Var, to_f64};
use mtl_trunk::{Features, TapSpec, Trunk, TrunkConfig, sharing};

/// One strided convolution.
#[derive(Clone, Debug)]
struct Tiny;

#[derive(Debug)]
struct TinyTrunk(Conv2d, [TapSpec; 1]);

impl TrunkConfig for Tiny {
    fn build(&self, scope: &Scope, channels: usize) -> mtl_tensor::Result<Box<dyn Trunk>> {
        let conv = Conv2d::new(&scope.sub("conv"), (channels, 6), 3, 2, true)?;
        Ok(Box::new(TinyTrunk(conv, [TapSpec { stride: 2, channels: 6 }])))
    }
}

impl Trunk for TinyTrunk {
    fn taps(&self) -> &[TapSpec] {
        &self.1
    }

    fn forward(&self, images: &Tensor, _: &Ctx) -> mtl_tensor::Result<Features> {
        Ok(Features { taps: vec![self.0.forward_relu(images)?] })
    }
}

fn pooled(features: &Features) -> mtl_tensor::Result<Tensor> {
    ops::global_avg_pool(features.deepest()?)
}

/// Nearest prototype (Snell et al. 2017, with learned prototypes): logits `2 f·c - |c|²`.
#[derive(Debug)]
struct Prototypes;

#[derive(Debug)]
struct PrototypeHead {
    task: String,
    centres: Var,
}

impl HeadConfig for Prototypes {
    fn build(&self, scope: &Scope, task: &Task, input: &HeadInput) -> mtl_heads::Result<Box<dyn Head>> {
        let width = input.taps.last().map_or(0, |tap| tap.channels);
        let centres =
            scope.param("centres", (task.kind.classes().len(), width), Init::Normal { fan_in: width, gain: 1.0 })?;
        Ok(Box::new(PrototypeHead { task: task.name.clone(), centres }))
    }

    fn serves(&self, kind: &TaskKind) -> bool {
        matches!(kind, TaskKind::Classification { .. })
    }
}

impl Head for PrototypeHead {
    fn forward(&self, features: &Features, _: &Ctx) -> mtl_heads::Result<Tensor> {
        let centres = self.centres.as_tensor();
        let offset = (centres.sqr()?.sum(1)? * -1.0)?;
        let doubled = (centres * 2.0)?;
        Ok(ops::linear(&pooled(features)?, &doubled, &offset)?)
    }

    fn loss(&self, logits: &Tensor, target: &Target) -> mtl_heads::Result<Option<Tensor>> {
        let Target::Class(labels) = target else { panic!("{}: labels of another kind", self.task) };
        let weighting = loss::ClassWeighting { weights: None, smoothing: 0.0 };
        Ok(Some(loss::cross_entropy(logits, labels, &weighting)?))
    }

    fn predict(&self, probabilities: &Tensor) -> mtl_heads::Result<Prediction> {
        Ok(Prediction::Class(probabilities.argmax(1)?.to_vec1::<u32>()?))
    }

    fn probabilities(&self, logits: &Tensor) -> mtl_heads::Result<Tensor> {
        Ok(loss::probabilities(logits)?)
    }
}

/// Predicts the mean colour of each image from the pooled features; mean squared error.
#[derive(Debug)]
struct MeanColour;

#[derive(Debug)]
struct MeanColourObjective {
    name: String,
    map: Linear,
    size: (usize, usize),
}

impl ObjectiveConfig for MeanColour {
    fn build(&self, input: &ObjectiveInput<'_>) -> Result<Option<Box<dyn Objective>>, Error> {
        let width = input.taps.last().map_or(0, |tap| tap.channels);
        let map = Linear::new(&input.params.scope(input.name), width, input.schema.channels)?;
        let size = (input.schema.height, input.schema.width);
        Ok(Some(Box::new(MeanColourObjective { name: input.name.to_owned(), map, size })))
    }
}

impl Objective for MeanColourObjective {
    fn name(&self) -> &str {
        &self.name
    }

    fn prefix(&self) -> &str {
        &self.name
    }

    fn loss(&self, features: &Features, batch: &DeviceBatch, _: &Ctx) -> Result<Option<Tensor>, Error> {
        let colours = to_f64(&batch.images.mean((2, 3))?)?.into_iter().map(|value| value as f32).collect::<Vec<_>>();
        Ok(Some(loss::mean_squared(&self.map.forward(&pooled(features)?)?, &colours)?))
    }

    fn output(&self, views: &Views<'_>) -> Result<Output, Error> {
        let colours = self.map.forward(&pooled(views.plain)?)?.detach();
        let (count, channels) = colours.dims2()?;
        let flat = colours.reshape((count, channels, 1, 1))?;
        Ok(Output::Images(flat.broadcast_as((count, channels, self.size.0, self.size.1))?.contiguous()?))
    }

    fn metrics(&self) -> Metrics {
        Metrics::Images(Psnr::new())
    }
}

const COUNT: usize = 8;

/// Images of one colour; class 1 is bright.
fn batch() -> DeviceBatch {
    let labels: Vec<i32> = (0..COUNT as i32).map(|at| at % 2).collect();
    let value = |at: usize, channel: usize| if labels[at] == 1 { 0.8 - 0.1 * channel as f32 } else { -0.6 };
    let plane = |at, channel| std::iter::repeat_n(value(at, channel), 8 * 8);
    let values: Vec<f32> = (0..COUNT).flat_map(|at| (0..3).flat_map(move |channel| plane(at, channel))).collect();
    let images = Tensor::from_vec(values, (COUNT, 3, 8, 8), &Device::Cpu).unwrap();
    DeviceBatch { images, targets: vec![Target::Class(labels)], classes: vec![-1; COUNT], parts: 1 }
}

fn schema(kind: TaskKind) -> Schema {
    Schema::new("lamps", 3, (8, 8), vec![Task::new("lamp", kind)])
}

fn parts() -> ModelParts<'static> {
    ModelParts {
        seed: 3,
        trunk: &Tiny,
        sharing: &sharing::hard::Config {},
        heads: BTreeMap::from([("lamp".to_owned(), &Prototypes as &dyn HeadConfig)]),
        generators: BTreeMap::new(),
        objectives: BTreeMap::from([("colour".to_owned(), &MeanColour as &dyn ObjectiveConfig)]),
    }
}

#[test]
fn they_train_together() {
    let classes = TaskKind::Classification { classes: vec!["off".into(), "on".into()] };
    let model = Model::from_parts(&parts(), &schema(classes), &Device::Cpu).unwrap();
    assert_eq!(model.objective_names(), ["lamp", "colour"]);
    let names: Vec<String> = model.params.all().into_keys().collect();
    let expected = ["colour.bias", "colour.weight", "heads.lamp.centres", "trunk.conv.bias", "trunk.conv.weight"];
    assert_eq!(names, expected);

    let batch = batch();
    let mut balancer = mtl_balance::Config::default_of("pcgrad").unwrap().build(&model.objective_names()).unwrap();
    let params = model.trainable(&model.joint_prefixes());
    let mut optimizer =
        Optimizer::new(optim::Config::Sgd { momentum: 0.0, weight_decay: 0.0 }, &params, |_| 1.0).unwrap();
    let mut losses = Vec::new();
    for at in 0..60 {
        let cx = Ctx::train(Seed::new(1), at);
        let input = StepInput { batch: &batch, step: at, epoch: 0, compare: false };
        let output = step::step(&model, &mut *balancer, &input, &cx, &mut cx.stream("balancer")).unwrap();
        assert_eq!(output.grads.len(), params.len(), "every parameter gets a gradient");
        assert_eq!(output.stages.iter().map(|(stage, _)| stage.as_str()).collect::<Vec<_>>(), ["conv"]);
        optimizer.step(&output.grads, 0.2, 1.0).unwrap();
        losses.push(output.losses.into_iter().map(|(_, loss)| loss).collect::<Vec<_>>());
    }
    let (first, last) = (&losses[0], &losses[losses.len() - 1]);
    assert!(last[0] < 0.1 && last[0] < 0.5 * first[0] && last[1] < 0.5 * first[1], "{first:?} {last:?}");

    let outputs = model.outputs(&batch.images, false).unwrap();
    let (_, prediction) = outputs.tasks().next().unwrap();
    let Prediction::Class(found) = prediction else { panic!("{prediction:?}") };
    let Target::Class(labels) = &batch.targets[0] else { unreachable!() };
    assert!(found.iter().zip(labels).all(|(found, label)| *found as i32 == *label), "{found:?}");
}

#[test]
fn a_head_that_does_not_serve_its_task_is_refused() {
    let depth = TaskKind::Dense { unit: "m".into() };
    let error = Model::from_parts(&parts(), &schema(depth), &Device::Cpu).unwrap_err().to_string();
    assert!(error.starts_with("heads.lamp: the head does not serve tasks of kind"), "{error}");
}
