//! Gradients reach every parameter of a phase and no other, agree with differences of the loss, and sampling is a
//! function of its stream alone.

use std::collections::BTreeMap;

use mtl_gen::{Batch, Config, GENERATORS, Generator, Setting, augment, decoder, gan, vae};
use mtl_rng::Seed;
use mtl_tensor::{Ctx, DType, Device, Params, Tensor, Var, backward, to_f64};
use mtl_trunk::{Trunk, resnet};

/// The registry's generators, and the GAN in every mode.
fn configs() -> Vec<(String, Config)> {
    let mut all: Vec<(String, Config)> =
        GENERATORS.iter().map(|entry| (entry.name.to_owned(), (entry.item)())).collect();
    for mode in gan::Mode::ALL {
        all.push((format!("gan {mode:?}"), Config::Gan(gan::Config { mode, ..gan::Config::default() })));
    }
    let spectral = gan::Config { spectral: true, class_ramp: [0.0, 1.0], ..gan::Config::default() };
    all.push(("gan spectral".into(), Config::Gan(spectral)));
    let s = decoder::Config { preset: decoder::Preset::S, ..decoder::Config::default() };
    all.push((
        "vae s".into(),
        Config::Vae(vae::Config { decoder: s, free_bits: 0.05, perceptual: 1.0, ..vae::Config::default() }),
    ));
    all
}

struct World {
    params: Params,
    trunk: Box<dyn Trunk>,
    generator: Box<dyn Generator>,
    images: Tensor,
    dtype: DType,
}

const ALL: augment::Config = augment::Config { translation: 0.125, cutout: 0.5, colour: 1.0, noise: 0.1 };

const CLASSES: [i32; 4] = [0, 2, 1, -1];

fn world(config: &Config, dtype: DType, size: (usize, usize)) -> World {
    let params = Params::new(Seed::new(1), dtype, &Device::Cpu);
    let trunk_config =
        mtl_trunk::Config::Resnet(resnet::Config { widths: Some([8, 8, 16]), blocks: Some(1), ..Default::default() });
    let trunk = trunk_config.build(&params.scope("trunk"), 3).unwrap();
    let setting = Setting { trunk: &trunk_config, taps: trunk.taps(), size, channels: 3, classes: 3 };
    let generator = config.build(&params.scope("generator"), &setting).unwrap();
    let values = Seed::new(2).stream("images", &[]).normals(4 * 3 * size.0 * size.1);
    let images = Tensor::from_vec(values, (4, 3, size.0, size.1), &Device::Cpu).unwrap();
    let images = (images.to_dtype(dtype).unwrap() * 0.4).unwrap();
    generator.prepare("trunk", &*trunk, &images).unwrap();
    World { params, trunk, generator, images, dtype }
}

impl World {
    fn batch(&self) -> Batch<'_> {
        Batch { trunk: &*self.trunk, images: &self.images, classes: &CLASSES, progress: 0.5 }
    }
}

fn cx() -> Ctx {
    Ctx::train(Seed::new(3), 7)
}

#[test]
fn every_parameter_of_a_phase_gets_a_gradient_and_parameters_of_the_other_side_are_not_its_own() {
    for (name, config) in configs() {
        let world = world(&config, DType::F32, (32, 40));
        let all = world.params.trained();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for phase in world.generator.phases() {
            let loss = world.generator.phase_loss(phase.name, &world.batch(), &cx()).unwrap();
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
                *seen.entry(parameter).or_default() += 1;
            }
            // The critic's phase must not reach the generator; the generator's passes the heads as constants.
            for (parameter, var) in &all {
                let foreign = match phase.name {
                    "critic" => parameter.starts_with("generator.generator"),
                    "generator" => parameter.contains(".heads."),
                    _ => false,
                };
                assert!(!foreign || store.get(var).is_none(), "{name} {}: a gradient for {parameter}", phase.name);
            }
        }
        let own = all.keys().filter(|key| key.starts_with("generator."));
        for parameter in own {
            assert_eq!(seen.get(parameter), Some(&1), "{name}: {parameter} belongs to one phase");
        }
        assert!(
            seen.keys().all(|parameter| !parameter.starts_with("trunk")),
            "{name}: the shared trunk is not its own"
        );
    }
}

/// Numbers of a step towards `direction` away, along which the loss is followed.
fn nudge(own: &BTreeMap<String, Var>, start: &[Tensor], direction: &[Tensor], h: f64) {
    for ((var, start), direction) in own.values().zip(start).zip(direction) {
        var.set(&(start + (direction * h).unwrap()).unwrap()).unwrap();
    }
}

#[test]
fn gradients_of_all_losses_agree_with_differences_of_the_loss() {
    const H: f64 = 1e-8;
    for (name, config) in configs() {
        // A spectral norm changes with every look, and its vectors are constants to the gradient; it has its own check.
        let config = match config {
            Config::Gan(config) => Config::Gan(gan::Config { spectral: false, augment: ALL, ..config }),
            other => other,
        };
        let world = world(&config, DType::F64, (32, 32));
        assert_eq!(world.dtype, DType::F64);
        // Off the start, where biases of 0 put cut-out regions exactly onto the kinks of ReLUs.
        let mut stream = Seed::new(6).stream("off", &[]);
        for var in world.params.trained().values() {
            let off = Tensor::from_vec(stream.normals(var.elem_count()), var.shape(), &Device::Cpu).unwrap();
            var.set(&(var.as_tensor().detach() + (off.to_dtype(DType::F64).unwrap() * 0.02).unwrap()).unwrap())
                .unwrap();
        }
        for phase in world.generator.phases() {
            let own = phase.of(&world.params.trained());
            let loss = || world.generator.phase_loss(phase.name, &world.batch(), &cx()).unwrap().total;
            let store = backward(&loss()).unwrap();
            let start: Vec<Tensor> = own.values().map(|var| var.as_tensor().detach().copy().unwrap()).collect();
            let mut stream = Seed::new(5).stream("direction", &[]);
            let mut slope = 0.0;
            let mut direction = Vec::new();
            for var in own.values() {
                let values = Tensor::from_vec(stream.normals(var.elem_count()), var.shape(), &Device::Cpu).unwrap();
                let values = values.to_dtype(DType::F64).unwrap();
                slope += mtl_tensor::optim::dot(store.get(var).unwrap(), &values).unwrap();
                direction.push(values);
            }
            let at = |h: f64| {
                nudge(&own, &start, &direction, h);
                to_f64(&loss()).unwrap()[0]
            };
            let here = at(0.0);
            // Among so many ReLUs one may bend right here; it does so on one side only, a wrong gradient shows on both.
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
        let at_once = to_f64(&world.generator.sample(&labels, &mut stream()).unwrap()).unwrap();
        assert_eq!(at_once, to_f64(&world.generator.sample(&labels, &mut stream()).unwrap()).unwrap(), "{name}");
        let mut shared = stream();
        let in_parts: Vec<f64> = labels
            .chunks(4)
            .flat_map(|labels| to_f64(&world.generator.sample(labels, &mut shared).unwrap()).unwrap())
            .collect();
        assert_eq!(at_once, in_parts, "{name}");
        assert!(at_once.iter().all(|v| v.abs() <= 1.0), "{name}");
    }
}

#[test]
fn equal_steps_give_equal_losses_whether_or_not_the_critic_came_first() {
    for (name, config) in configs() {
        let (with, without) = (world(&config, DType::F32, (32, 32)), world(&config, DType::F32, (32, 32)));
        let phases: Vec<&str> = with.generator.phases().iter().map(|phase| phase.name).collect();
        let last = phases[phases.len() - 1];
        let value = |world: &World, phase: &str| {
            to_f64(&world.generator.phase_loss(phase, &world.batch(), &cx()).unwrap().total).unwrap()
        };
        // Spectral norms improve in the critic's phase: both worlds run it, one of them at another step.
        for phase in &phases[..phases.len() - 1] {
            value(&with, phase);
            without.generator.phase_loss(phase, &without.batch(), &Ctx::train(Seed::new(3), 8)).unwrap();
        }
        assert_eq!(value(&with, last), value(&without, last), "{name}");
    }
}

#[test]
fn the_joint_loss_of_the_vae_teaches_the_trunk() {
    let params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
    let trunk_config = mtl_trunk::Config::default();
    let trunk = trunk_config.build(&params.scope("trunk"), 1).unwrap();
    let setting = Setting { trunk: &trunk_config, taps: trunk.taps(), size: (64, 32), channels: 1, classes: 0 };
    let vae = vae::Vae::new(&vae::Config::default(), &params.scope("vae"), &setting).unwrap();
    let images = Tensor::zeros((2, 1, 64, 32), DType::F32, &Device::Cpu).unwrap();
    let features = trunk.forward(&images, &cx()).unwrap();
    let loss = vae.loss(&features, &images, &[-1, -1], &cx()).unwrap();
    assert_eq!(loss.reconstruction.dims(), [2, 1, 64, 32]);
    let value = to_f64(&loss.total).unwrap()[0];
    assert!((0.0..10.0).contains(&value), "of the order of other tasks' losses: {value}");
    let store = backward(&loss.total).unwrap();
    for (name, var) in params.trained() {
        assert!(store.get(&var).is_some(), "no gradient for {name}");
    }
}

#[test]
fn the_gan_starts_from_the_vae_and_the_live_critic_from_the_trunk() {
    let params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
    let trunk_config = mtl_trunk::Config::default();
    let trunk = trunk_config.build(&params.scope("trunk"), 3).unwrap();
    let setting = Setting { trunk: &trunk_config, taps: trunk.taps(), size: (32, 32), channels: 3, classes: 2 };
    let vae = vae::Vae::new(&vae::Config::default(), &params.scope("vae"), &setting).unwrap();
    let config = gan::Config { mode: gan::Mode::Live, ..gan::Config::default() };
    let gan = gan::Gan::new(&config, &params.scope("gan"), &setting).unwrap();
    let images = Tensor::zeros((2, 3, 32, 32), DType::F32, &Device::Cpu).unwrap();
    gan.prepare("trunk", &*trunk, &images).unwrap();
    assert_eq!(gan.task_weight(), 1.0);
    let weights = |name: &str| to_f64(&params.all()[name]).unwrap();
    assert_eq!(weights("trunk.stem.conv.weight"), weights("gan.critic.own.trunk.stem.conv.weight"));

    let mut stream = Seed::new(4).stream("encodings", &[]);
    let mut random = || Tensor::from_vec(stream.normals(20 * 64), (20, 64), &Device::Cpu).unwrap();
    let encoding = vae::Encoding { mu: random(), logvar: random() };
    vae.fit_prior(&[encoding], &[0; 20]).unwrap();
    gan.start_from_vae("vae").unwrap();
    let draw = |generator: &dyn Generator| {
        to_f64(&generator.sample(&[0, 1], &mut Seed::new(8).stream("s", &[])).unwrap()).unwrap()
    };
    assert_eq!(draw(&vae), draw(&gan));
    let error = gan.start_from_vae("vea").unwrap_err().to_string();
    assert!(error.contains("there is no `vea.decoder"), "{error}");
}
