//! Configuration tables and the words for what cannot be built.

use mtl_gen::{Batch, Config, Setting, gan};
use mtl_rng::Seed;
use mtl_tensor::{Ctx, DType, Device, Params, Tensor};

#[test]
fn tables_are_read_with_defaults_and_typing_errors_are_named() {
    let config: Config = toml::from_str("[gan]\nmode = \"live\"\ngamma = 0.2\ndecoder.preset = \"s\"").unwrap();
    let Config::Gan(config) = config else { panic!("a gan") };
    assert_eq!((config.mode, config.gamma, config.decoder.latent), (gan::Mode::Live, 0.2, 64));
    let error = toml::from_str::<Config>("[gan]\ngama = 0.2").unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains("gama"), "{error}");
    let written = toml::to_string(&Config::default()).unwrap();
    assert_eq!(toml::from_str::<Config>(&written).unwrap(), Config::default());
}

#[test]
fn what_cannot_be_built_or_trained_is_said() {
    let trunk_config = mtl_trunk::Config::default();
    let build = |config: &Config, size: (usize, usize), channels: usize| {
        let params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
        let trunk = trunk_config.build(&params.scope("trunk"), 3).unwrap();
        let setting = Setting { trunk: &trunk_config, taps: trunk.taps(), size, channels, classes: 2 };
        config.build(&params.scope("g"), &setting).map(|generator| (generator, trunk))
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

    let (generator, trunk) = build(&config, (32, 32), 3).unwrap();
    let images = Tensor::zeros((2, 3, 32, 32), DType::F32, &Device::Cpu).unwrap();
    let batch = |classes: &'static [i32]| Batch { trunk: &*trunk, images: &images, classes, progress: 0.0 };
    let words = |phase: &str, classes| {
        generator.phase_loss(phase, &batch(classes), &Ctx::train(Seed::new(1), 0)).map(|_| ()).unwrap_err().to_string()
    };
    assert!(words("discriminator", &[0, 1]).contains("critic, generator"));
    assert!(words("critic", &[0]).contains("1 labels for 2 images"));
    assert!(words("critic", &[0, 2]).contains("class 2"));
}
