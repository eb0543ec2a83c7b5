//! Requirements on every generator: parts of its stage, validation losses, settings of sampling.

use mtl_gen::{Config, Sampling, flow};
use mtl_rng::Seed;
use mtl_tensor::{Ctx, DType, to_f64};

use crate::conformance::{CLASSES, configs, world};

#[test]
fn settings_of_sampling_are_checked() {
    for (name, config) in configs() {
        let generator = world(&config, DType::F32, (32, 32)).generator;
        let check = |sampling: Sampling| generator.check_sampling(&sampling).map_err(|error| error.to_string());
        let default = Sampling::default();
        check(default).unwrap();
        check(Sampling { truncation: 0.5, ..default }).unwrap();
        assert!(check(Sampling { truncation: 0.0, ..default }).unwrap_err().contains("truncation = 0"), "{name}");
        let solves = matches!(config, Config::Flow(_));
        for (right, wrong, key) in [
            (Sampling { guidance: Some(0.0), ..default }, Sampling { guidance: Some(-0.1), ..default }, "guidance = "),
            (Sampling { steps: Some(1000), ..default }, Sampling { steps: Some(0), ..default }, "steps = "),
        ] {
            assert_eq!(check(right).is_ok(), solves, "{name} {key}");
            assert!(check(wrong).unwrap_err().contains(key), "{name} {key}");
        }
    }
}

#[test]
fn phases_are_trained_one_part_of_the_stage_after_the_other() {
    for (name, config) in configs() {
        let world = world(&config, DType::F32, (32, 32));
        let trained = |progress: f64| -> Vec<&str> {
            let phases = world.generator.phases().iter().enumerate();
            let through = |at| world.generator.phase_progress(at, progress).unwrap();
            phases.filter(|(at, _)| through(*at).is_some()).map(|(_, phase)| phase.name).collect()
        };
        let latent = matches!(&config, Config::Flow(config) if config.space == flow::Space::Latent);
        if !latent {
            assert_eq!(trained(0.0).len(), world.generator.phases().len(), "{name}");
            assert!(world.generator.due_fit(0.5).unwrap().is_none() && world.generator.can_sample().unwrap(), "{name}");
            continue;
        }
        assert_eq!((trained(0.0), world.generator.can_sample().unwrap()), (vec!["tokenizer"], false));
        // The discriminator begins after a quarter of the tokenizer's part.
        assert_eq!((trained(0.09), trained(0.11)), (vec!["tokenizer"], vec!["critic", "tokenizer"]));
        assert!((world.generator.phase_progress(0, 0.25).unwrap().unwrap() - 0.5).abs() < 1e-12);
        assert!((world.generator.phase_progress(1, 0.08).unwrap().unwrap() - 0.2).abs() < 1e-12);
        assert!(world.generator.due_fit(0.39).unwrap().is_none());
        let features = world.trunk.forward(&world.images, &Ctx::eval()).unwrap();
        let mut fit = world.generator.due_fit(0.41).unwrap().unwrap();
        fit.add(&features, &CLASSES).unwrap();
        assert_eq!(trained(0.41), ["critic", "tokenizer"], "nothing changes before the end of the fit");
        fit.finish().unwrap();
        // Also where a new estimate of the number of steps sets the progress back.
        assert_eq!((trained(0.41), trained(0.3)), (vec!["flow"], vec!["flow"]));
        assert_eq!(world.generator.phase_progress(2, 0.3).unwrap(), Some(0.0));
        assert!(world.generator.due_fit(0.41).unwrap().is_none() && world.generator.can_sample().unwrap());
        let buffers = world.params.buffers();
        assert_eq!(to_f64(&buffers["generator.statistics.images"]).unwrap(), [4.0]);
        assert!(to_f64(&buffers["generator.statistics.variance"]).unwrap().iter().all(|v| *v > 0.0 && *v != 1.0));
    }
}

#[test]
fn validation_losses_are_functions_of_their_stream() {
    for (name, config) in configs() {
        let world = world(&config, DType::F32, (32, 32));
        let loss = |seed: u64| {
            let mut stream = Seed::new(seed).stream("noise", &[]);
            world.generator.validation_loss(&world.batch(), &mut stream).unwrap()
        };
        let first = loss(1);
        assert_eq!(first.is_some(), matches!(config, Config::Flow(_)), "{name}");
        if let Some(first) = first {
            assert!(first > 0.0 && first.is_finite(), "{name} {first}");
            assert_eq!(loss(1), Some(first), "{name}");
            assert_ne!(loss(2), Some(first), "{name}");
        }
    }
}
