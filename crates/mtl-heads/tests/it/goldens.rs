//! Heads and the whole model against PyTorch: outputs, loss, every gradient, five optimizer steps.

use std::collections::BTreeMap;

use mtl_heads::classification::{self, Pool};
use mtl_heads::segmentation::{self, Network as Decoding};
use mtl_heads::{Config, Head, HeadInput, dense, multi_label, regression};
use mtl_task::{Target, Task, TaskKind};
use mtl_tensor::layers::NormKind;
use mtl_tensor::{Ctx, DType, Tensor, Var, optim, to_f64};
use mtl_trunk::{Features, TapSpec, resnet};

use crate::golden::{self, Golden, Network};

const ADAM: optim::Config = optim::Config::Adam { beta1: 0.9, beta2: 0.999 };
const ADAMW: optim::Config = optim::Config::Adamw { beta1: 0.9, beta2: 0.999, weight_decay: 0.05 };
const SGD: optim::Config = optim::Config::Sgd { momentum: 0.9, weight_decay: 0.0 };

fn names(prefix: &str, n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{prefix}{i}")).collect()
}

fn task(kind: TaskKind) -> Task {
    Task::new("leaf", kind)
}

/// Taps given as (stride, channels), for images of 16 x 24 pixels.
fn head_input(taps: &[(usize, usize)]) -> HeadInput {
    let taps = taps.iter().map(|&(stride, channels)| TapSpec { stride, channels }).collect();
    HeadInput { taps, height: 16, width: 24, class_counts: None, values: None }
}

/// The labels `key` as a target of this kind of task.
fn target(golden: &Golden, key: &str, kind: &TaskKind) -> Target {
    let values: Vec<f32> = to_f64(golden.tensor(key)).unwrap().into_iter().map(|value| value as f32).collect();
    let target = match kind {
        TaskKind::Classification { .. } => Target::Class(values.iter().map(|&v| v as i32).collect()),
        TaskKind::MultiLabel { .. } => Target::MultiLabel(values.clone()),
        TaskKind::Segmentation { .. } => Target::Mask(values.iter().map(|&v| v as u8).collect()),
        TaskKind::Dense { .. } => Target::Dense(values.clone()),
        TaskKind::Regression { .. } => Target::Value(values.clone()),
    };
    assert!(0 < target.present() && target.present() < values.len(), "a golden has present and missing labels");
    target
}

/// The golden's random features as variables, by name and in order.
fn features(golden: &Golden, taps: usize, dtype: DType) -> (BTreeMap<String, Var>, Features) {
    let tap = |at: usize| {
        let name = format!("tap{at}");
        let var = Var::from_tensor(&golden.tensor(&name).to_dtype(dtype).unwrap()).unwrap();
        (name, var)
    };
    let vars: BTreeMap<String, Var> = (0..taps).map(tap).collect();
    let taps = vars.values().map(|var| var.as_tensor().clone()).collect();
    (vars, Features { taps })
}

/// One head on random features.
fn compare(
    name: &str,
    config: &Config,
    taps: &[(usize, usize)],
    task: &Task,
    output: &str,
    optimizer: optim::Config,
    lr: f64,
) {
    golden::compare(name, optimizer, lr, |golden: &Golden, dtype: DType| {
        let params = golden::params(dtype);
        let head = config.build(&params.scope("head"), task, &head_input(taps)).unwrap();
        let labels = target(golden, "labels", &task.kind);
        let (inputs, features) = features(golden, taps.len(), dtype);
        let output = output.to_owned();
        let pass = move |cx: &Ctx| {
            let logits = head.forward(&features, cx).unwrap();
            let loss = head.loss(&logits, &labels).unwrap().unwrap();
            (vec![(output.clone(), logits)], loss)
        };
        Network { params, inputs, pass: Box::new(pass) }
    });
}

/// tests/goldens/classification.py
#[test]
fn classification_equals_pytorch() {
    let taps = [(2, 4), (4, 8), (8, 16)];
    let task = task(TaskKind::Classification { classes: names("c", 4) });
    for (name, pool, hidden, optimizer, lr) in [
        ("average", Pool::Average, None, ADAM, 0.01),
        ("pyramid", Pool::Pyramid, None, ADAMW, 0.01),
        ("flatten", Pool::Flatten, None, SGD, 0.1),
        ("hidden", Pool::Pyramid, Some(12), ADAMW, 0.01),
    ] {
        let class_weights = Some(vec![0.5, 1.0, 2.0, 1.5]);
        let config = classification::Config {
            pool,
            hidden,
            dropout: 0.0,
            label_smoothing: 0.1,
            class_weight_power: 0.0,
            class_weights,
        };
        let golden = format!("classification_{name}");
        compare(&golden, &Config::Classification(config), &taps, &task, "logits", optimizer, lr);
    }
}

/// tests/goldens/multi_label.py
#[test]
fn multi_label_equals_pytorch() {
    let positive_weights = Some(vec![1.0, 3.0, 0.5]);
    let config = multi_label::Config { pool: Pool::Pyramid, hidden: None, dropout: 0.0, positive_weights };
    let task = task(TaskKind::MultiLabel { labels: names("l", 3) });
    compare("multi_label", &Config::MultiLabel(config), &[(2, 4), (4, 8), (8, 16)], &task, "logits", ADAMW, 0.01);
}

/// tests/goldens/segmentation.py
#[test]
fn segmentation_equals_pytorch() {
    let task = task(TaskKind::Segmentation { classes: names("c", 3) });
    let config = segmentation::Config { dice: 0.5, class_weights: Some(vec![0.5, 2.0, 1.0]), ..Default::default() };
    let taps = [(2, 8), (4, 8), (8, 16)];
    compare("segmentation_unet", &Config::Segmentation(config), &taps, &task, "logits", ADAMW, 0.003);
    let config = segmentation::Config { network: Decoding::Fcn, ..Default::default() };
    compare("segmentation_fcn", &Config::Segmentation(config), &[(2, 4), (4, 8)], &task, "logits", ADAM, 0.003);
}

/// tests/goldens/dense.py
#[test]
fn dense_equals_pytorch() {
    let config = dense::Config { norm: NormKind::Group, delta: 0.1, scale: 10.0 };
    let task = task(TaskKind::Dense { unit: TaskKind::RELATIVE.into() });
    compare("dense", &Config::Dense(config), &[(2, 8), (4, 8), (8, 16)], &task, "output", SGD, 0.003);
}

/// tests/goldens/regression.py: the statistics of the labels are a buffer of the golden.
#[test]
fn regression_equals_pytorch() {
    let task = task(TaskKind::Regression { unit: "kg".into() });
    for (name, hidden, loss) in
        [("smooth_l1", None, regression::Loss::SmoothL1), ("mse", Some(12), regression::Loss::Mse)]
    {
        let config = regression::Config { hidden, loss, ..Default::default() };
        let taps = [(2, 4), (4, 8), (8, 16)];
        compare(&format!("regression_{name}"), &Config::Regression(config), &taps, &task, "output", ADAMW, 0.01);
    }
}

/// tests/goldens/joint.py
#[test]
fn trunk_and_three_heads_together_equal_pytorch() {
    golden::compare("joint", ADAMW, 0.0003, |golden: &Golden, dtype: DType| {
        let params = golden::params(dtype);
        let config = resnet::Config { widths: Some([4, 8, 8]), blocks: Some(1), ..Default::default() };
        let trunk = mtl_trunk::Config::Resnet(config).build(&params.scope("trunk"), 3).unwrap();
        let head_input =
            HeadInput { taps: trunk.taps().to_vec(), height: 16, width: 24, class_counts: None, values: None };
        let heads: Vec<(&str, Box<dyn Head>, Target)> = [
            ("variety", TaskKind::Classification { classes: names("c", 3) }),
            ("parts", TaskKind::Segmentation { classes: names("c", 3) }),
            ("depth", TaskKind::Dense { unit: TaskKind::RELATIVE.into() }),
        ]
        .into_iter()
        .map(|(name, kind)| {
            let config = match Config::for_task(&kind) {
                Config::Classification(config) => {
                    Config::Classification(classification::Config { dropout: 0.0, ..config })
                }
                other => other,
            };
            let labels = target(golden, name, &kind);
            let head =
                config.build(&params.scope(&format!("heads.{name}")), &Task::new(name, kind), &head_input).unwrap();
            (name, head, labels)
        })
        .collect();
        let images = golden.tensor("images").to_dtype(dtype).unwrap();
        let pass = move |cx: &Ctx| {
            let features = trunk.forward(&images, cx).unwrap();
            let (mut outputs, mut total) = (Vec::new(), Tensor::zeros((), dtype, images.device()).unwrap());
            for (name, head, labels) in &heads {
                let output = head.forward(&features, cx).unwrap();
                total = (total + head.loss(&output, labels).unwrap().unwrap()).unwrap();
                outputs.push(((*name).to_owned(), output));
            }
            (outputs, total)
        };
        Network { params, inputs: BTreeMap::new(), pass: Box::new(pass) }
    });
}
