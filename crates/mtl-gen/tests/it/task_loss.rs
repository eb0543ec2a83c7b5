//! The tasks' loss in the critic's phase: only a finetuned critic adds it, on features of the real images as they are.

use std::cell::RefCell;

use mtl_gen::{Batch, Config, Error, Loss, Prepare, TaskLoss, TaskLossFn, gan};
use mtl_rng::Seed;
use mtl_tensor::{Ctx, DType, Params, Tensor, Var, backward, gradcheck, optim, to_f64};
use mtl_trunk::Features;

const CLASSES: [i32; 2] = [0, 1];

/// The critic's loss with this loss of the tasks, and the gradients of the critic's own trunk, by name.
fn critic(mode: gan::Mode, task_weight: f64, task_loss: Option<&TaskLossFn<'_>>) -> (Loss, Vec<(String, f64)>) {
    let params = Params::new(Seed::new(1), DType::F32, gradcheck::device());
    let trunk_config = mtl_trunk::Config::default();
    let trunk = trunk_config.build(&params.scope("trunk"), 3).unwrap();
    let input =
        mtl_gen::GeneratorInput { trunk: &trunk_config, taps: trunk.taps(), size: (32, 32), channels: 3, classes: 2 };
    let config = Config::Gan(gan::Config { mode, task_weight, ..gan::Config::default() });
    let gan = config.build(&params.scope("gan"), &input).unwrap();
    let images = images();
    gan.prepare(&Prepare { trunk_name: "trunk", trunk: &*trunk, images: &images, generator: &|_| None }).unwrap();
    let batch = Batch { trunk: &*trunk, images: &images, classes: &CLASSES, progress: 0.5, task_loss };
    let cx = Ctx::train(Seed::new(3), 7);
    let loss = gan.begin_step(&batch, &cx).unwrap().loss(0).unwrap();
    let store = backward(&loss.total).unwrap();
    let length = |var: &Var| store.get(var).map(|gradient| optim::square_norm(gradient).unwrap());
    let own = params.trainable().into_iter().filter(|(name, _)| name.starts_with("gan.critic.own.trunk"));
    (loss, own.filter_map(|(name, var)| Some((name, length(&var)?))).collect())
}

fn images() -> Tensor {
    let values = Seed::new(2).stream("images", &[]).normals(2 * 3 * 32 * 32);
    (Tensor::from_vec(values, (2, 3, 32, 32), gradcheck::device()).unwrap() * 0.4).unwrap()
}

fn total(loss: &Loss) -> f64 {
    to_f64(&loss.total).unwrap()[0]
}

#[test]
fn a_finetuned_critic_adds_the_tasks_and_the_other_modes_do_not() {
    let read: RefCell<Vec<f64>> = RefCell::new(Vec::new());
    let tasks = |features: &Features| -> Result<Option<TaskLoss>, Error> {
        *read.borrow_mut() = to_f64(features.deepest()?)?;
        let total = features.deepest()?.sqr()?.mean_all()?;
        let value = to_f64(&total)?[0];
        Ok(Some(TaskLoss { total, terms: vec![("task/leaf".to_owned(), value)] }))
    };
    for mode in gan::Mode::ALL {
        let (alone, alone_gradients) = critic(mode, 0.25, None);
        let (with, gradients) = critic(mode, 0.25, Some(&tasks));
        if mode != gan::Mode::Finetuned {
            assert!(read.borrow().is_empty(), "{mode:?}");
            assert_eq!((total(&alone), &alone.terms), (total(&with), &with.terms), "{mode:?}");
            continue;
        }
        let (name, value) = with.terms.last().unwrap();
        assert_eq!((name.as_str(), with.terms.len()), ("task/leaf", alone.terms.len() + 1));
        assert!((total(&with) - (total(&alone) + 0.25 * value)).abs() < 1e-6 * total(&alone).abs());
        assert_ne!(gradients, alone_gradients, "the tasks reach the critic's trunk");
        // The finetuned trunk starts as the shared one, and its input are the images without augmentation.
        let params = Params::new(Seed::new(1), DType::F32, gradcheck::device());
        let trunk = mtl_trunk::Config::default().build(&params.scope("trunk"), 3).unwrap();
        let expected = trunk.forward(&images(), &Ctx::eval()).unwrap();
        assert_eq!(*read.borrow(), to_f64(expected.deepest().unwrap()).unwrap());
        read.borrow_mut().clear();
    }
}

#[test]
fn without_labels_or_weight_the_loss_is_the_critics_own() {
    let none = |_: &Features| -> Result<Option<TaskLoss>, Error> { Ok(None) };
    let forbidden = |_: &Features| -> Result<Option<TaskLoss>, Error> { Err(Error::NoTaps) };
    let alone = total(&critic(gan::Mode::Finetuned, 1.0, None).0);
    assert_eq!(total(&critic(gan::Mode::Finetuned, 1.0, Some(&none)).0), alone);
    assert_eq!(total(&critic(gan::Mode::Finetuned, 0.0, Some(&forbidden)).0), alone);
}
