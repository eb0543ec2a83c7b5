//! Heads of numbers learn standardised labels and predict in the unit of the labels.

use mtl_heads::{Config, Error, Head, HeadInput, dense, regression};
use mtl_metrics::Prediction;
use mtl_rng::Seed;
use mtl_task::{Target, Task, TaskKind, ValueStatistics};
use mtl_tensor::{Ctx, DType, Params, gradcheck, to_f64};

use crate::variants::{features, head_input, labels, without};

fn kinds() -> [(Config, TaskKind, f64); 2] {
    [
        (Config::Regression(regression::Config::default()), TaskKind::Regression { unit: "g".into() }, 1.0),
        (Config::Dense(dense::Config::default()), TaskKind::Dense { unit: "mm".into() }, 4.0),
    ]
}

fn build(config: &Config, kind: &TaskKind, values: Option<ValueStatistics>) -> (Params, Result<Box<dyn Head>, Error>) {
    let params = Params::new(Seed::new(3), DType::F32, gradcheck::device());
    let input = HeadInput { values, ..head_input() };
    let head = config.build(&params.scope("heads.leaf"), &Task::new("leaf", kind.clone()), &input);
    (params, head)
}

fn values(prediction: Prediction) -> Vec<f32> {
    match prediction {
        Prediction::Value(values) | Prediction::Dense(values) => values,
        other => panic!("{other:?}"),
    }
}

fn scaled(target: &Target, by: f32, plus: f32) -> Target {
    let change = |values: &[f32]| values.iter().map(|value| value * by + plus).collect();
    match target {
        Target::Value(values) => Target::Value(change(values)),
        Target::Dense(values) => Target::Dense(change(values)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_unit_changes_neither_loss_nor_gradient_and_scales_predictions() {
    let small = ValueStatistics { images: 9, mean: 0.5, std: 0.25, min: 0.0, max: 1.0 };
    let large = ValueStatistics { images: 9, mean: 9_000.0, std: 2_000.0, min: 5_000.0, max: 13_000.0 };
    for (config, kind, _) in kinds() {
        let features = features("x", 4, DType::F32);
        let target = without(&labels(&kind, 4, (16, 24)), |at| at % 3 == 1);
        let found = [(small, 1.0, 0.0), (large, 8_000.0, 5_000.0)].map(|(statistics, by, plus)| {
            let (_, head) = build(&config, &kind, Some(statistics));
            let head = head.unwrap();
            let output = head.forward(&features, &Ctx::eval()).unwrap();
            let loss = head.loss(&output, &scaled(&target, by, plus)).unwrap().unwrap();
            let predicted = values(head.predict(&head.probabilities(&output).unwrap()).unwrap());
            (to_f64(&loss).unwrap()[0], predicted)
        });
        let [(loss, few), (other, many)] = found;
        assert!((loss - other).abs() < 1e-4 * loss, "{kind:?}: {loss} and {other}");
        for (few, many) in few.iter().zip(many) {
            assert!((few * 8_000.0 + 5_000.0 - many).abs() < 1.0, "{kind:?}: {few} and {many}");
        }
    }
}

#[test]
fn the_scale_is_saved_with_the_weights() {
    let own = ValueStatistics { images: 9, mean: 100.0, std: 5.0, min: 90.0, max: 110.0 };
    for (config, kind, extent) in kinds() {
        let (params, head) = build(&config, &kind, Some(own));
        let (head, name) = (head.unwrap(), "heads.leaf.label_statistics");
        assert_eq!(to_f64(&params.buffers()[name]).unwrap(), [100.0, 5.0 * extent], "{kind:?}");
        assert!(!params.trainable().contains_key(name));
        // Built on other data, then loaded: the predictions are those of the saved model.
        let other = ValueStatistics { mean: 0.5, std: 0.125, min: 0.0, max: 1.0, ..own };
        let (loaded, again) = build(&config, &kind, Some(other));
        let again = again.unwrap();
        let saved = params.all().into_iter().map(|(name, var)| (name, var.as_tensor().clone())).collect();
        loaded.load(&saved).unwrap();
        let features = features("x", 2, DType::F32);
        let predict = |head: &dyn Head| {
            let output = head.forward(&features, &Ctx::eval()).unwrap();
            values(head.predict(&head.probabilities(&output).unwrap()).unwrap())
        };
        assert_eq!(predict(&*head), predict(&*again), "{kind:?}");
    }
}

#[test]
fn relative_depths_have_no_scale_and_equal_labels_are_refused() {
    let relative = TaskKind::Dense { unit: TaskKind::RELATIVE.into() };
    let (config, ..) = &kinds()[1];
    let statistics = ValueStatistics { images: 9, mean: 0.5, std: 0.25, min: 0.0, max: 1.0 };
    let (params, head) = build(config, &relative, Some(statistics));
    head.unwrap();
    assert!(!params.all().contains_key("heads.leaf.label_statistics"));
    for (config, kind, _) in kinds() {
        let equal = ValueStatistics { images: 9, mean: 3.0, std: 0.0, min: 3.0, max: 3.0 };
        let error = build(&config, &kind, Some(equal)).1.unwrap_err().to_string();
        for words in ["heads.leaf", "all 9 training labels are 3", "data.tasks"] {
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
