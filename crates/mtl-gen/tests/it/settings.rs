//! Configuration tables, and messages of invalid settings.

use mtl_gen::{Batch, Config, GENERATORS, GeneratorInput, StageDefaults, decoder, flow, gan, vae};
use mtl_rng::Seed;
use mtl_tensor::{Ctx, DType, Params, Tensor, gradcheck};

#[test]
fn tables_have_defaults_and_unknown_keys_are_errors() {
    let config: Config = toml::from_str("[gan]\nmode = \"finetuned\"\ngamma = 0.2\ndecoder.preset = \"s\"").unwrap();
    let Config::Gan(config) = config else { panic!("a gan") };
    assert_eq!((config.mode, config.gamma, config.decoder.latent), (gan::Mode::Finetuned, Some(0.2), 64));
    let error = toml::from_str::<Config>("[gan]\ngama = 0.2").unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains("gama"), "{error}");
    let written = toml::to_string(&Config::default()).unwrap();
    assert_eq!(toml::from_str::<Config>(&written).unwrap(), Config::default());
}

#[test]
fn invalid_settings_and_data_are_errors() {
    let trunk_config = mtl_trunk::Config::default();
    let build = |config: &Config, size: (usize, usize), channels: usize| {
        let params = Params::new(Seed::new(1), DType::F32, gradcheck::device());
        let trunk = trunk_config.build(&params.scope("trunk"), 3).unwrap();
        let input = GeneratorInput { trunk: &trunk_config, taps: trunk.taps(), size, channels, classes: 2 };
        config.build(&params.scope("g"), &input).map(|generator| (generator, trunk))
    };
    let words = |config: &Config, size, channels| build(config, size, channels).map(|_| ()).unwrap_err().to_string();
    let config = Config::default();
    assert!(words(&config, (32, 36), 3).contains("32x36"));
    assert!(words(&config, (24, 32), 3).contains("from 32 to 256"));
    assert!(words(&config, (32, 32), 4).contains("4 channels"));
    let wrong = Config::Gan(gan::Config { sigma: 0.0, ..gan::Config::default() });
    assert!(words(&wrong, (32, 32), 3).contains("sigma"));
    let wrong = Config::Gan(gan::Config { class_ramp: [0.5, 0.2], ..gan::Config::default() });
    assert!(words(&wrong, (32, 32), 3).contains("class_ramp"));
    let wrong = Config::Gan(gan::Config { task_weight: -1.0, ..gan::Config::default() });
    assert!(words(&wrong, (32, 32), 3).contains("task_weight = -1"));

    let error = words(&wrong, (32, 32), 3);
    assert!(error.contains("generators.g.gan.task_weight = -1"), "{error}");
    let decoder = decoder::Config { latent: 0, ..decoder::Config::default() };
    let error = words(&Config::Vae(vae::Config { decoder, ..vae::Config::default() }), (32, 32), 3);
    assert!(error.contains("generators.g.vae.decoder.latent = 0"), "{error}");

    let flow = flow::Config::default;
    for (config, key) in [
        (flow::Config { channels: 0, ..flow() }, "channels = 0"),
        (flow::Config { width: 40, ..flow() }, "width = 40"),
        (flow::Config { blocks: 0, ..flow() }, "blocks = 0"),
        (flow::Config { class_dropout: 1.1, ..flow() }, "class_dropout = 1.1"),
        (flow::Config { guidance: -1.0, ..flow() }, "guidance = -1"),
        (flow::Config { steps: 1001, ..flow() }, "steps = 1001"),
        (flow::Config { tokenizer_share: 1.0, ..flow() }, "tokenizer_share = 1"),
        (flow::Config { noise: f64::NAN, ..flow() }, "noise = NaN"),
        (flow::Config { perceptual: -0.5, ..flow() }, "perceptual = -0.5"),
    ] {
        let error = words(&Config::Flow(config), (32, 32), 3);
        assert!(error.contains(&format!("generators.g.flow.{key}")), "{error}");
    }
    // Maps of 16x16 have two levels.
    let shallow = Config::Flow(flow::Config { blocks: 2, ..flow() });
    assert!(build(&shallow, (64, 64), 3).is_ok());
    assert!(words(&shallow, (128, 128), 3).contains("generators.g.flow.blocks = 2"));

    let (generator, trunk) = build(&config, (32, 32), 3).unwrap();
    let images = Tensor::zeros((2, 3, 32, 32), DType::F32, gradcheck::device()).unwrap();
    let batch =
        |classes: &'static [i32]| Batch { trunk: &*trunk, images: &images, classes, progress: 0.0, task_loss: None };
    let cx = Ctx::train(Seed::new(1), 0);
    let words =
        |classes: &'static [i32]| generator.begin_step(&batch(classes), &cx).map(|_| ()).unwrap_err().to_string();
    assert!(words(&[0]).contains("1 labels for 2 images"));
    assert!(words(&[0, 2]).contains("class 2"));
    let batch = batch(&[0, 1]);
    let without = generator.begin_step(&batch, &cx).unwrap().loss(1).unwrap_err().to_string();
    assert!(without.contains("needs the training images"), "{without}");
    let mut fit = generator.reference_fit().unwrap();
    fit.add(&*trunk, &images).unwrap();
    fit.finish().unwrap();
    let mut step = generator.begin_step(&batch, &cx).unwrap();
    assert!(step.loss(2).unwrap_err().to_string().contains("critic, generator"));
    step.loss(1).unwrap();
    for phase in [0, 1] {
        assert!(step.loss(phase).unwrap_err().to_string().contains("begin the next step"), "{phase}");
    }
}

#[test]
fn every_stage_has_a_default_length() {
    for entry in GENERATORS {
        let StageDefaults { batch, steps_ratio, minutes_share, .. } = (entry.item.default)().stage_defaults();
        assert!(batch > 0 && steps_ratio > 0.0 && (0.0..1.0).contains(&minutes_share), "{}", entry.name);
    }
}
