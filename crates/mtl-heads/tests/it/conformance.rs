//! Requirements on every registered head, in each of its variants.

use std::collections::BTreeMap;

use mtl_heads::{Config, Error, HEADS, Head, HeadInput};
use mtl_metrics::Prediction;
use mtl_rng::Seed;
use mtl_task::{Target, Task};
use mtl_tensor::layers::NormKind;
use mtl_tensor::optim::{collect, first_non_finite, square_norm};
use mtl_tensor::{Ctx, DType, Params, Tensor, Var, backward, backward_retain, gradcheck, to_f64};
use mtl_trunk::resnet;

use crate::variants::{VALUES, build, features, kind_of, labels, labels_of, normals, part, some, variants, without};

const BATCH: usize = 4;
const SIZE: (usize, usize) = (16, 24);

fn number(loss: &Tensor) -> f64 {
    to_f64(loss).unwrap()[0]
}

/// The loss, which must be there.
fn loss(head: &dyn Head, logits: &Tensor, target: &Target) -> f64 {
    number(&head.loss(logits, target).unwrap().unwrap())
}

fn train() -> Ctx {
    Ctx::train(Seed::new(0), 0)
}

fn close(what: &str, a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0), "{what}: {a} and {b}");
}

/// Each image's labels are one row; present labels of the row.
fn hidden_after(target: &Target, batch: usize, images: usize) -> Target {
    let cells = target.present() / batch;
    without(target, |at| at >= images * cells)
}

#[test]
fn every_parameter_gets_a_gradient() {
    for variant in variants() {
        let (params, head) = build(&variant, DType::F32);
        let logits = head.forward(&features("x", BATCH, DType::F32), &train()).unwrap();
        let loss = head.loss(&logits, &labels(&variant.task.kind, BATCH, SIZE)).unwrap().unwrap();
        assert_eq!(loss.dims(), [0usize; 0], "{}: the loss is one number", variant.name);
        let grads = collect(&backward(&loss).unwrap(), &params.trainable());
        assert_eq!(first_non_finite(&grads), None, "{}", variant.name);
        for (parameter, var) in params.trainable() {
            let grad =
                grads.get(&parameter).unwrap_or_else(|| panic!("{}: `{parameter}` gets no gradient", variant.name));
            assert_eq!(grad.dims(), var.dims(), "{}: `{parameter}`", variant.name);
            assert!(square_norm(grad).unwrap() > 0.0, "{}: the gradient of `{parameter}` is zero", variant.name);
        }
    }
}

#[test]
fn without_any_label_there_is_no_loss() {
    for variant in variants() {
        let (_, head) = build(&variant, DType::F32);
        let logits = head.forward(&features("x", BATCH, DType::F32), &Ctx::eval()).unwrap();
        let target = variant.task.kind.missing(BATCH, SIZE.0, SIZE.1);
        assert!(head.loss(&logits, &target).unwrap().is_none(), "{}", variant.name);
    }
}

#[test]
fn missing_labels_do_not_change_the_loss_of_the_others() {
    for variant in variants() {
        let (_, head) = build(&variant, DType::F64);
        let logits = head.forward(&features("x", BATCH, DType::F64), &Ctx::eval()).unwrap();
        let all = labels(&variant.task.kind, BATCH, SIZE);
        let few = hidden_after(&all, BATCH, 2);
        let alone = loss(&*head, &part(&logits, 0, 2), &labels_of(&all, BATCH, 0, 2));
        close(&variant.name, loss(&*head, &logits, &few), alone);

        // Outputs without a label change neither the loss nor get a gradient.
        let scaled = Tensor::cat(&[&part(&logits, 0, 2), &(part(&logits, 2, 2) * 50.0).unwrap()], 0).unwrap();
        let var = Var::from_tensor(&scaled).unwrap();
        let found = head.loss(&var, &few).unwrap().unwrap();
        close(&variant.name, number(&found), alone);
        let grads = backward(&found).unwrap();
        let grad = grads.get(&var).unwrap();
        assert!(square_norm(&part(grad, 0, 2)).unwrap() > 0.0, "{}", variant.name);
        assert_eq!(square_norm(&part(grad, 2, 2)).unwrap(), 0.0, "{}", variant.name);
    }
}

#[test]
fn single_missing_cells_have_no_influence() {
    for variant in variants() {
        let (_, head) = build(&variant, DType::F64);
        let logits = head.forward(&features("x", BATCH, DType::F64), &Ctx::eval()).unwrap();
        let target = without(&labels(&variant.task.kind, BATCH, SIZE), |at| at % 3 == 1);
        let expected = loss(&*head, &logits, &target);
        // Other numbers in the missing cells: in multi-label tasks and those of numbers every output is a cell, in the others every
        // row over the outputs is.
        let outputs = variant.task.kind.outputs();
        let per_row = logits.elem_count() / BATCH / outputs;
        let row = matches!(target, Target::Class(_) | Target::Mask(_));
        let values = to_f64(&logits).unwrap();
        let values: Vec<f64> = values
            .iter()
            .enumerate()
            .map(|(at, value)| {
                let cell = if row { at / (outputs * per_row) * per_row + at % per_row } else { at };
                if cell % 3 == 1 { value + 7.0 } else { *value }
            })
            .collect();
        let moved = Tensor::from_vec(values, logits.shape(), gradcheck::device()).unwrap();
        close(&variant.name, loss(&*head, &moved, &target), expected);
    }
}

#[test]
fn the_loss_is_the_mean_over_the_labels_present() {
    for variant in variants().into_iter().filter(|variant| variant.mean) {
        let (_, head) = build(&variant, DType::F64);
        let logits = head.forward(&features("x", BATCH, DType::F64), &Ctx::eval()).unwrap();
        let target = without(&labels(&variant.task.kind, BATCH, SIZE), |at| at % 4 == 3);
        let (mut sum, mut count) = (0.0, 0.0);
        for image in 0..BATCH {
            let own = labels_of(&target, BATCH, image, 1);
            if let Some(loss) = head.loss(&part(&logits, image, 1), &own).unwrap() {
                sum += number(&loss) * own.present() as f64;
                count += own.present() as f64;
            }
        }
        close(&variant.name, loss(&*head, &logits, &target), sum / count);
    }
}

#[test]
fn images_without_labels_may_fill_up_a_batch() {
    for variant in variants() {
        let (_, head) = build(&variant, DType::F64);
        // Running statistics of their own first.
        head.forward(&features("seen", BATCH, DType::F64), &train()).unwrap();
        let full = features("x", BATCH, DType::F64);
        let target = labels(&variant.task.kind, BATCH, SIZE);
        let mut modes = vec![Ctx::eval()];
        if independent_in_training(&variant.config) {
            modes.push(train());
        }
        for cx in modes {
            let few = head.forward(&some(&full, 0, 2), &cx).unwrap();
            let few = loss(&*head, &few, &labels_of(&target, BATCH, 0, 2));
            let padded = head.forward(&full, &cx).unwrap();
            close(&variant.name, loss(&*head, &padded, &hidden_after(&target, BATCH, 2)), few);
        }
    }
}

/// No batch statistics and no dropout.
fn independent_in_training(config: &Config) -> bool {
    match config {
        Config::Classification(config) => config.dropout == 0.0,
        Config::MultiLabel(config) => config.dropout == 0.0,
        Config::Segmentation(config) => config.norm == NormKind::Group,
        Config::Dense(config) => config.norm == NormKind::Group,
        Config::Regression(config) => config.dropout == 0.0,
    }
}

#[test]
fn in_evaluation_an_image_does_not_depend_on_its_batch_or_on_chance() {
    for variant in variants() {
        let (_, head) = build(&variant, DType::F64);
        head.forward(&features("seen", BATCH, DType::F64), &train()).unwrap();
        let full = features("x", BATCH, DType::F64);
        let together = head.forward(&full, &Ctx::eval()).unwrap();
        for image in 0..BATCH {
            let alone = to_f64(&head.forward(&some(&full, image, 1), &Ctx::eval()).unwrap()).unwrap();
            let in_batch = to_f64(&part(&together, image, 1)).unwrap();
            alone.iter().zip(&in_batch).for_each(|(a, b)| close(&variant.name, *a, *b));
        }
    }
}

#[test]
fn equal_contexts_give_equal_logits_and_dropout_follows_the_step() {
    for variant in variants() {
        let (_, head) = build(&variant, DType::F32);
        let x = features("x", BATCH, DType::F32);
        let at = |step| to_f64(&head.forward(&x, &Ctx::train(Seed::new(0), step)).unwrap()).unwrap();
        assert_eq!(at(1), at(1), "{}", variant.name);
        let dropout = match &variant.config {
            Config::Classification(config) => config.dropout,
            Config::MultiLabel(config) => config.dropout,
            Config::Regression(config) => config.dropout,
            Config::Segmentation(_) | Config::Dense(_) => 0.0,
        };
        assert_eq!(at(1) != at(2), dropout > 0.0, "{}", variant.name);
    }
}

#[test]
fn decisions_are_the_most_probable() {
    for variant in variants() {
        let (_, head) = build(&variant, DType::F32);
        let logits = head.forward(&features("x", BATCH, DType::F32), &Ctx::eval()).unwrap();
        let probabilities = head.probabilities(&logits).unwrap();
        assert_eq!(probabilities.dims(), logits.dims(), "{}", variant.name);
        let (outputs, cells) = (variant.task.kind.outputs(), logits.elem_count() / BATCH / variant.task.kind.outputs());
        let p = to_f64(&probabilities).unwrap();
        let row_of = |values: &[f64], cell: usize| -> Vec<f64> {
            (0..outputs).map(|class| values[(cell / cells * outputs + class) * cells + cell % cells]).collect()
        };
        let x = to_f64(&logits).unwrap();
        let decided: Vec<usize> = match head.predict(&probabilities).unwrap() {
            Prediction::Class(classes) => classes.iter().map(|&class| class as usize).collect(),
            Prediction::Mask(classes) => classes.iter().map(|&class| usize::from(class)).collect(),
            Prediction::MultiLabel(yes) => {
                assert_eq!(yes, x.iter().map(|x| *x > 0.0).collect::<Vec<_>>(), "{}", variant.name);
                assert!(x.iter().zip(&p).all(|(x, p)| (1.0 / (1.0 + (-x).exp()) - p).abs() < 1e-6), "{}", variant.name);
                continue;
            }
            // In the unit of the labels: dense outputs are in four standard deviations.
            Prediction::Dense(values) => {
                let expected: Vec<f32> = x.iter().map(|x| (VALUES.mean + 4.0 * VALUES.std * x) as f32).collect();
                assert!(values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{}", variant.name);
                continue;
            }
            Prediction::Value(values) => {
                let expected: Vec<f32> = x.iter().map(|x| (VALUES.mean + VALUES.std * x) as f32).collect();
                assert!(values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{}", variant.name);
                continue;
            }
        };
        assert_eq!(decided.len(), BATCH * cells, "{}", variant.name);
        for (cell, &class) in decided.iter().enumerate() {
            let (logits, row) = (row_of(&x, cell), row_of(&p, cell));
            let norm: f64 = logits.iter().map(|x| x.exp()).sum();
            assert!(
                logits.iter().zip(&row).all(|(x, p)| (x.exp() / norm - p).abs() < 1e-5),
                "{}: {row:?}",
                variant.name
            );
            assert!(row.iter().all(|p| *p <= row[class]), "{}: {row:?}, decided {class}", variant.name);
        }
    }
}

#[test]
fn heads_fit_every_registered_trunk_channel_count_and_size() {
    for trunk_entry in mtl_trunk::TRUNKS {
        for (channels, (height, width)) in [(1, (32, 48)), (3, (32, 48)), (3, (64, 64)), (1, (32, 256))] {
            let params = Params::new(Seed::new(1), DType::F32, gradcheck::device());
            let config = match (trunk_entry.item.default)() {
                mtl_trunk::Config::Resnet(config) => {
                    mtl_trunk::Config::Resnet(resnet::Config { preset: resnet::Preset::Xs, ..config })
                }
                other => other,
            };
            let trunk = config.build(&params.scope("trunk"), channels).unwrap();
            let head_input = HeadInput { taps: trunk.taps().to_vec(), height, width, class_counts: None, values: None };
            let images = normals("images", &[2, channels, height, width], DType::F32);
            let features = trunk.forward(&images, &train()).unwrap();
            for entry in HEADS {
                let what = format!("{} on {}, {channels} x {height} x {width}", entry.name, trunk_entry.name);
                let config = (entry.item.default)();
                let task = Task::new(entry.name, kind_of(&config));
                let head = config.build(&params.scope(&format!("heads.{}", entry.name)), &task, &head_input).unwrap();
                let logits = head.forward(&features, &train()).unwrap();
                let outputs = task.kind.outputs();
                match task.kind.missing(1, 1, 1) {
                    Target::Class(_) | Target::MultiLabel(_) | Target::Value(_) => {
                        assert_eq!(logits.dims(), [2, outputs], "{what}")
                    }
                    Target::Mask(_) | Target::Dense(_) => {
                        assert_eq!(logits.dims(), [2, outputs, height, width], "{what}")
                    }
                }
                let target = labels(&task.kind, 2, (height, width));
                let loss = head.loss(&logits, &target).unwrap().unwrap();
                assert!(number(&loss).is_finite(), "{what}");
                // The task reaches the trunk.
                let reached = collect(&backward_retain(&loss).unwrap(), &params.trainable());
                assert_eq!(first_non_finite(&reached), None, "{what}");
                assert!(reached.keys().any(|name| name.starts_with("trunk.")), "{what}");
            }
        }
    }
}

#[test]
fn adding_a_head_never_changes_the_trunk_or_another_head() {
    let first_values = |heads: &[usize]| -> BTreeMap<String, Vec<f64>> {
        let params = Params::new(Seed::new(1), DType::F32, gradcheck::device());
        let config = resnet::Config { preset: resnet::Preset::Xs, ..Default::default() };
        let trunk = mtl_trunk::Config::Resnet(config).build(&params.scope("trunk"), 3).unwrap();
        let head_input =
            HeadInput { taps: trunk.taps().to_vec(), height: 32, width: 32, class_counts: None, values: None };
        for &at in heads {
            let config = (HEADS[at].item.default)();
            let task = Task::new(HEADS[at].name, kind_of(&config));
            config.build(&params.scope(&format!("heads.{}", task.name)), &task, &head_input).unwrap();
        }
        params.all().iter().map(|(name, var)| (name.clone(), to_f64(var).unwrap())).collect()
    };
    let everything: Vec<usize> = (0..HEADS.len()).rev().collect();
    let all = first_values(&everything);
    for few in std::iter::once(vec![]).chain((0..HEADS.len()).map(|at| vec![at])) {
        for (name, value) in first_values(&few) {
            assert_eq!(value, all[&name], "`{name}` depends on which heads there are");
        }
    }
    for entry in HEADS {
        assert!(all.keys().any(|name| name.starts_with(&format!("heads.{}.", entry.name))), "{}", entry.name);
    }
}

#[test]
fn tasks_and_labels_of_another_kind_are_refused() {
    for entry in HEADS {
        for other in HEADS {
            let config = (entry.item.default)();
            let task = Task::new("leaf", kind_of(&(other.item.default)()));
            let params = Params::new(Seed::new(1), DType::F32, gradcheck::device());
            let built = config.build(&params.scope("heads.leaf"), &task, &crate::variants::head_input());
            if entry.name == other.name {
                let head = built.unwrap();
                let logits = head.forward(&features("x", BATCH, DType::F32), &Ctx::eval()).unwrap();
                for wrong in HEADS.iter().filter(|wrong| wrong.name != entry.name) {
                    let target = labels(&kind_of(&(wrong.item.default)()), BATCH, SIZE);
                    let error = head.loss(&logits, &target).unwrap_err();
                    assert!(matches!(error, Error::Kind { .. }), "{} with {}: {error}", entry.name, wrong.name);
                    assert!(error.to_string().contains("`leaf`"), "{error}");
                }
                let fewer = labels(&task.kind, BATCH - 1, SIZE);
                assert!(head.loss(&logits, &fewer).is_err(), "{}: labels of fewer images", entry.name);
            } else {
                let error = built.unwrap_err();
                assert!(matches!(error, Error::Kind { .. }), "{} for {}: {error}", entry.name, other.name);
                let words = error.to_string();
                assert!(
                    words.contains("`leaf`") && words.contains(entry.name) && words.contains(other.name),
                    "{words}"
                );
                assert!(params.all().is_empty(), "{} left parameters behind", entry.name);
            }
        }
    }
}

#[test]
fn labels_beyond_the_classes_are_refused() {
    for variant in variants() {
        let (_, head) = build(&variant, DType::F32);
        let logits = head.forward(&features("x", BATCH, DType::F32), &Ctx::eval()).unwrap();
        let wrong = match labels(&variant.task.kind, BATCH, SIZE) {
            Target::Class(mut cells) => {
                cells[1] = 3;
                Target::Class(cells)
            }
            Target::Mask(mut cells) => {
                cells[1] = 3;
                Target::Mask(cells)
            }
            Target::MultiLabel(_) | Target::Dense(_) | Target::Value(_) => continue,
        };
        let error = head.loss(&logits, &wrong).unwrap_err().to_string();
        assert!(error.contains('3'), "{}: {error}", variant.name);
    }
}

#[test]
fn registered_names_are_those_of_the_configuration_file_and_of_the_kind() {
    for entry in HEADS {
        let default = (entry.item.default)();
        let kind = kind_of(&default);
        assert_eq!(Config::for_task(&kind), default, "{}", entry.name);
        assert_eq!(kind.name(), entry.name);
        let bare = serde_json::json!({ entry.name: {} });
        assert_eq!(serde_json::from_value::<Config>(bare).unwrap(), default, "{}: an empty table", entry.name);
        let table = serde_json::to_value(&default).unwrap();
        assert_eq!(serde_json::from_value::<Config>(table).unwrap(), default, "{}", entry.name);
        let typo = serde_json::json!({ entry.name: { "dropuot": 1 } });
        assert!(serde_json::from_value::<Config>(typo).is_err(), "{}: a typo", entry.name);
    }
}
