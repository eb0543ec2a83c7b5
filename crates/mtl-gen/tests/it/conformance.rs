//! Requirements on every generator: gradients for every parameter of a phase and no other, equal to differences of the loss;
//! sampling as a function of its stream.

use std::collections::BTreeMap;
use std::sync::Arc;

use mtl_gen::{
    Batch, Config, DecoderSource, GENERATORS, Generator, GeneratorInput, Loss, Prepare, Sampling, augment, decoder,
    flow, gan, vae,
};
use mtl_rng::Seed;
use mtl_tensor::{Ctx, DType, Params, Tensor, Var, backward, gradcheck, to_f64};
use mtl_trunk::{Trunk, resnet};

/// The registry's generators, and the GAN in every mode.
pub fn configs() -> Vec<(String, Config)> {
    let mut all: Vec<(String, Config)> =
        GENERATORS.iter().map(|entry| (entry.name.to_owned(), (entry.item.default)())).collect();
    for mode in gan::Mode::ALL {
        all.push((format!("gan {mode:?}"), Config::Gan(gan::Config { mode, ..gan::Config::default() })));
    }
    let spectral = gan::Config { spectral: Some(true), class_ramp: [0.0, 1.0], ..gan::Config::default() };
    all.push(("gan spectral".into(), Config::Gan(spectral)));
    let options = gan::Config {
        mode: gan::Mode::Hybrid,
        loss: gan::Adversarial::Hinge,
        penalty: gan::Penalty::Exact,
        lecam: 0.3,
        consistency: 10.0,
        adaptive: false,
        augment: ALL,
        ..gan::Config::default()
    };
    all.push(("gan with every option".into(), Config::Gan(options)));
    let unsaturated = gan::Config {
        mode: gan::Mode::Scratch,
        loss: gan::Adversarial::NonSaturating,
        minibatch_std: false,
        ..gan::Config::default()
    };
    all.push(("gan non-saturating".into(), Config::Gan(unsaturated)));
    let s = decoder::Config { preset: decoder::Preset::S, ..decoder::Config::default() };
    all.push((
        "vae s".into(),
        Config::Vae(vae::Config { decoder: s, free_bits: 0.05, perceptual: 1.0, ..vae::Config::default() }),
    ));
    let pixels = flow::Config { space: flow::Space::Pixels, ..flow::Config::default() };
    all.push(("flow pixels".into(), Config::Flow(pixels)));
    all
}

pub struct World {
    pub params: Params,
    pub trunk: Box<dyn Trunk>,
    pub generator: Arc<dyn Generator>,
    pub images: Tensor,
    dtype: DType,
}

const ALL: augment::Config = augment::Config { translation: 0.125, cutout: 0.5, colour: 1.0, noise: 0.1 };

pub const CLASSES: [i32; 4] = [0, 2, 1, -1];

pub fn world(config: &Config, dtype: DType, size: (usize, usize)) -> World {
    let params = Params::new(Seed::new(1), dtype, gradcheck::device());
    let trunk_config =
        mtl_trunk::Config::Resnet(resnet::Config { widths: Some([8, 8, 16]), blocks: Some(1), ..Default::default() });
    let trunk = trunk_config.build(&params.scope("trunk"), 3).unwrap();
    let input = GeneratorInput { trunk: &trunk_config, taps: trunk.taps(), size, channels: 3, classes: 3 };
    let generator = config.build(&params.scope("generator"), &input).unwrap();
    let values = Seed::new(2).stream("images", &[]).normals(4 * 3 * size.0 * size.1);
    let images = Tensor::from_vec(values, (4, 3, size.0, size.1), gradcheck::device()).unwrap();
    let images = (images.to_dtype(dtype).unwrap() * 0.4).unwrap();
    generator.prepare(&prepare(&*trunk, &images)).unwrap();
    if let Some(mut fit) = generator.reference_fit() {
        fit.add(&*trunk, &images).unwrap();
        fit.finish().unwrap();
    }
    World { params, trunk, generator, images, dtype }
}

/// Without other generators to start from.
fn prepare<'a>(trunk: &'a dyn Trunk, images: &'a Tensor) -> Prepare<'a> {
    Prepare { trunk_name: "trunk", trunk, images, generator: &|_| None }
}

impl World {
    pub fn batch(&self) -> Batch<'_> {
        Batch { trunk: &*self.trunk, images: &self.images, classes: &CLASSES, progress: 0.5, task_loss: None }
    }

    /// The loss of one phase, without the phases before it.
    fn loss(&self, phase: usize) -> Loss {
        self.generator.begin_step(&self.batch(), &cx()).unwrap().loss(phase).unwrap()
    }
}

fn cx() -> Ctx {
    Ctx::train(Seed::new(3), 7)
}

#[test]
fn every_parameter_of_a_phase_gets_a_gradient_and_belongs_to_one_phase() {
    for (name, config) in configs() {
        let world = world(&config, DType::F32, (32, 40));
        let all = world.params.trainable();
        let mut phases_of: BTreeMap<String, usize> = BTreeMap::new();
        for (index, phase) in world.generator.phases().iter().enumerate() {
            let loss = world.loss(index);
            assert!(to_f64(&loss.total).unwrap()[0].is_finite(), "{name} {}", phase.name);
            assert!(
                !loss.terms.is_empty() && loss.terms.iter().all(|(_, value)| value.is_finite()),
                "{name}: {:?}",
                loss.terms
            );
            let store = backward(&loss.total).unwrap();
            for (parameter, var) in phase.of(&all) {
                let gradient =
                    store.get(&var).unwrap_or_else(|| panic!("{name} {}: no gradient for {parameter}", phase.name));
                assert!(to_f64(gradient).unwrap().iter().all(|g| g.is_finite()), "{name} {parameter}");
                *phases_of.entry(parameter).or_default() += 1;
            }
            // The critic's phase must not reach the generator; the generator's passes the heads as constants.
            for (parameter, var) in &all {
                let foreign = match phase.name {
                    "encoder" => parameter.starts_with("generator.decoder") && parameter.ends_with("conv.weight"),
                    "decoder" => parameter.starts_with("generator.trunk"),
                    "critic" => ["generator", "encoder", "decoder"]
                        .iter()
                        .any(|place| parameter.starts_with(&format!("generator.{place}."))),
                    "tokenizer" => parameter.starts_with("generator.critic."),
                    "generator" => parameter.contains(".heads."),
                    _ => false,
                };
                assert!(!foreign || store.get(var).is_none(), "{name} {}: a gradient for {parameter}", phase.name);
            }
        }
        let own = all.keys().filter(|key| key.starts_with("generator."));
        for parameter in own {
            assert_eq!(phases_of.get(parameter), Some(&1), "{name}: {parameter} belongs to one phase");
        }
        assert!(
            phases_of.keys().all(|parameter| !parameter.starts_with("trunk")),
            "{name}: the shared trunk is not its own"
        );
    }
}

/// Sets the parameters to `start + h direction`.
fn nudge(own: &BTreeMap<String, Var>, start: &[Tensor], direction: &[Tensor], h: f64) {
    for ((var, start), direction) in own.values().zip(start).zip(direction) {
        var.set(&(start + (direction * h).unwrap()).unwrap()).unwrap();
    }
}

#[test]
fn gradients_of_all_losses_agree_with_differences_of_the_loss() {
    const H: f64 = 1e-8;
    for (name, config) in configs() {
        // Spectral norms, running levels and an adaptive augmentation change with every pass; they have checks of their own.
        let config = match config {
            Config::Gan(config) => {
                Config::Gan(gan::Config { spectral: Some(false), adaptive: false, lecam: 0.0, augment: ALL, ..config })
            }
            other => other,
        };
        let world = world(&config, DType::F64, (32, 32));
        assert_eq!(world.dtype, DType::F64);
        // Away from the initial values, where biases of 0 put cut-out regions exactly onto the kinks of ReLUs.
        let mut stream = Seed::new(6).stream("off", &[]);
        for var in world.params.trainable().values() {
            let off = Tensor::from_vec(stream.normals(var.elem_count()), var.shape(), gradcheck::device()).unwrap();
            var.set(&(var.as_tensor().detach() + (off.to_dtype(DType::F64).unwrap() * 0.02).unwrap()).unwrap())
                .unwrap();
        }
        for (index, phase) in world.generator.phases().iter().enumerate() {
            // Its loss has reconstructions that are constants to the gradient; it has a check of its own.
            if name == "introvae" && phase.name == "encoder" {
                continue;
            }
            let own = phase.of(&world.params.trainable());
            let loss = || world.loss(index).total;
            let store = backward(&loss()).unwrap();
            let start: Vec<Tensor> = own.values().map(|var| var.as_tensor().detach().copy().unwrap()).collect();
            let mut stream = Seed::new(5).stream("direction", &[]);
            let mut slope = 0.0;
            let mut direction = Vec::new();
            for var in own.values() {
                let values =
                    Tensor::from_vec(stream.normals(var.elem_count()), var.shape(), gradcheck::device()).unwrap();
                let values = values.to_dtype(DType::F64).unwrap();
                slope += mtl_tensor::optim::dot(store.get(var).unwrap(), &values).unwrap();
                direction.push(values);
            }
            let at = |h: f64| {
                nudge(&own, &start, &direction, h);
                to_f64(&loss()).unwrap()[0]
            };
            let here = at(0.0);
            // A ReLU may have its kink here, which changes one of the two differences; a wrong gradient differs from both.
            let differences = [(at(H) - here) / H, (here - at(-H)) / H];
            nudge(&own, &start, &direction, 0.0);
            let error =
                differences.map(|d| (d - slope).abs() / slope.abs().max(1e-3)).into_iter().fold(f64::MAX, f64::min);
            assert!(error < 1e-3, "{name} {}: gradient {slope}, differences {differences:?}", phase.name);
        }
    }
}

#[test]
fn sampling_is_a_function_of_its_stream_and_not_of_the_batch_size() {
    for (name, config) in configs() {
        let world = world(&config, DType::F32, (32, 32));
        let labels: Vec<i32> = (0..16).map(|at| at % 4 - 1).collect();
        let stream = || Seed::new(9).stream("sample", &[]);
        let at_once = to_f64(&world.generator.sample(&labels, &Sampling::default(), &mut stream()).unwrap()).unwrap();
        assert_eq!(
            at_once,
            to_f64(&world.generator.sample(&labels, &Sampling::default(), &mut stream()).unwrap()).unwrap(),
            "{name}"
        );
        let mut shared = stream();
        let in_parts: Vec<f64> = labels
            .chunks(4)
            .flat_map(|labels| {
                to_f64(&world.generator.sample(labels, &Sampling::default(), &mut shared).unwrap()).unwrap()
            })
            .collect();
        assert_eq!(at_once, in_parts, "{name}");
        assert!(at_once.iter().all(|v| v.abs() <= 1.0), "{name}");
    }
}

#[test]
fn equal_steps_give_equal_losses_whether_or_not_the_critic_came_first() {
    for (name, config) in configs() {
        let (with, without) = (world(&config, DType::F32, (32, 32)), world(&config, DType::F32, (32, 32)));
        let last = with.generator.phases().len() - 1;
        let value = |loss: Loss| to_f64(&loss.total).unwrap();
        let (batch, now) = (with.batch(), cx());
        let mut step = with.generator.begin_step(&batch, &now).unwrap();
        // Spectral norms improve in the critic's phase: both worlds run it, one of them at another step.
        for phase in 0..last {
            step.loss(phase).unwrap();
            let other = Ctx::train(Seed::new(3), 8);
            without.generator.begin_step(&without.batch(), &other).unwrap().loss(phase).unwrap();
        }
        assert_eq!(value(step.loss(last).unwrap()), value(without.loss(last)), "{name}");
    }
}

#[test]
fn the_joint_loss_of_the_vae_reaches_the_trunk() {
    let params = Params::new(Seed::new(1), DType::F32, gradcheck::device());
    let trunk_config = mtl_trunk::Config::default();
    let trunk = trunk_config.build(&params.scope("trunk"), 1).unwrap();
    let input = GeneratorInput { trunk: &trunk_config, taps: trunk.taps(), size: (64, 32), channels: 1, classes: 0 };
    let vae = Config::Vae(vae::Config::default()).build(&params.scope("vae"), &input).unwrap();
    let images = Tensor::zeros((2, 1, 64, 32), DType::F32, gradcheck::device()).unwrap();
    let features = trunk.forward(&images, &cx()).unwrap();
    let objective = vae.joint().unwrap();
    let loss = objective.loss(&features, &images, &[-1, -1], &cx()).unwrap();
    assert_eq!(objective.reconstruct(&features, &[-1, -1]).unwrap().dims(), [2, 1, 64, 32]);
    assert_eq!(loss.terms.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["mse", "kl"]);
    let value = to_f64(&loss.total).unwrap()[0];
    assert!((0.0..10.0).contains(&value), "of the order of other tasks' losses: {value}");
    let store = backward(&loss.total).unwrap();
    for (name, var) in params.trainable() {
        assert!(store.get(&var).is_some(), "no gradient for {name}");
    }
}

#[test]
fn the_gan_starts_from_the_vae_and_the_finetuned_critic_from_the_trunk() {
    let params = Params::new(Seed::new(1), DType::F32, gradcheck::device());
    let trunk_config = mtl_trunk::Config::default();
    let trunk = trunk_config.build(&params.scope("trunk"), 3).unwrap();
    let input = GeneratorInput { trunk: &trunk_config, taps: trunk.taps(), size: (32, 32), channels: 3, classes: 2 };
    let vae = vae::Vae::new(&vae::Config::default(), &params.scope("vae"), &input).unwrap();
    let config = gan::Config { mode: gan::Mode::Finetuned, ..gan::Config::default() };
    let gan = gan::Gan::new(&config, &params.scope("gan"), &input).unwrap();
    let mut stream = Seed::new(4).stream("encodings", &[]);
    let mut random = || Tensor::from_vec(stream.normals(20 * 64), (20, 64), gradcheck::device()).unwrap();
    let encoding = vae::Encoding { mu: random(), logvar: random() };
    vae.fit_prior(&[encoding], &[0; 20]).unwrap();

    let draw = |generator: &dyn Generator| {
        to_f64(&generator.sample(&[0, 1], &Sampling::default(), &mut Seed::new(8).stream("s", &[])).unwrap()).unwrap()
    };
    let weights = |name: &str| to_f64(&params.all()[name]).unwrap();
    let images = Tensor::zeros((2, 3, 32, 32), DType::F32, gradcheck::device()).unwrap();
    let find = |name: &str| (name == "vae").then_some(&vae as &dyn Generator);
    let notes = |gan: &gan::Gan| gan.prepare(&Prepare { generator: &find, ..prepare(&*trunk, &images) }).unwrap();

    // A generator that does not exist, one with another decoder, and none: nothing is copied.
    let smaller = decoder::Config { latent: 8, ..decoder::Config::default() };
    for (place, other, words) in [
        ("a", gan::Config { init_from: "vea".into(), ..config.clone() }, Some("no decoder of a generator `vea`")),
        ("b", gan::Config { decoder: smaller, ..config.clone() }, Some("other decoder settings")),
        ("c", gan::Config { init_from: "none".into(), ..config.clone() }, None),
    ] {
        let other = gan::Gan::new(&other, &params.scope(place), &input).unwrap();
        let before = draw(&other);
        let notes = notes(&other);
        assert_eq!(notes.len(), usize::from(words.is_some()), "{notes:?}");
        assert!(words.is_none_or(|words| notes[0].contains(words)), "{notes:?}");
        assert_eq!(draw(&other), before);
    }
    assert_ne!(draw(&vae), draw(&gan));
    assert!(notes(&gan)[0].contains("of generator `vae`"));
    assert_eq!(weights("trunk.stem.conv.weight"), weights("gan.critic.own.trunk.stem.conv.weight"));
    assert_eq!(draw(&vae), draw(&gan));

    let source = vae.decoder_source().unwrap();
    let error = gan.start_from(&DecoderSource { decoder: "vea.decoder", ..source }).unwrap_err().to_string();
    assert!(error.contains("there is no `vea.decoder"), "{error}");
}

#[test]
fn a_fit_of_the_prior_in_batches_equals_the_fit_to_all_encodings() {
    let params = Params::new(Seed::new(1), DType::F32, gradcheck::device());
    let trunk_config = mtl_trunk::Config::default();
    let trunk = trunk_config.build(&params.scope("trunk"), 3).unwrap();
    let input = GeneratorInput { trunk: &trunk_config, taps: trunk.taps(), size: (32, 32), channels: 3, classes: 3 };
    let vae = vae::Vae::new(&vae::Config::default(), &params.scope("vae"), &input).unwrap();
    let values = Seed::new(2).stream("images", &[]).normals(4 * 3 * 32 * 32);
    let images = Tensor::from_vec(values, (4, 3, 32, 32), gradcheck::device()).unwrap();
    let features = |from: usize, count: usize| {
        trunk.forward(&images.narrow(0, from, count).unwrap().contiguous().unwrap(), &Ctx::eval()).unwrap().detach()
    };
    let fitted = || ["vae.prior.mean", "vae.prior.factor"].map(|name| to_f64(&params.all()[name]).unwrap());
    let before = fitted();
    let encodings = [(0, 3), (3, 1)].map(|(from, count)| vae.encode_features(&features(from, count)).unwrap());
    vae.fit_prior(&encodings, &CLASSES).unwrap();
    let expected = fitted();
    assert_ne!(expected, before);

    let mut fit = vae.prior_fit().unwrap();
    fit.add(&features(0, 3), &CLASSES[..3]).unwrap();
    assert_eq!(fitted(), expected, "nothing changes before the end");
    fit.add(&features(3, 1), &CLASSES[3..]).unwrap();
    fit.finish().unwrap();
    assert_eq!(fitted(), expected);
    assert!(vae.prior_fit().unwrap().finish().is_err(), "a fit to no images");
}
