//! Settings of a model that do not fit its tasks are refused with the key.

use mtl_model::{Error, Model, ModelConfig, Schema, objectives};
use mtl_task::{Task, TaskKind};
use mtl_tensor::Device;

fn built(config: &ModelConfig) -> Result<Model, Error> {
    let species = TaskKind::Classification { classes: vec!["cat".into(), "dog".into()] };
    Model::new(config, &Schema::new("pets", 3, (16, 16), vec![Task::new("species", species)]), &Device::Cpu)
}

fn refused(config: &ModelConfig) -> String {
    built(config).expect_err("refused").to_string()
}

#[test]
fn a_head_that_does_not_serve_its_task_is_named() {
    let mut config = ModelConfig::default();
    config.heads.insert("species".into(), mtl_heads::Config::default_of("dense").unwrap());
    assert!(matches!(built(&config), Err(Error::Head(mtl_heads::Error::Kind { .. }))));
    let message = refused(&config);
    assert!(message.contains("species") && message.contains("dense"), "{message}");
}

#[test]
fn objectives_do_not_share_parameters_or_names() {
    let autoencoder = || objectives::Config::default_of("autoencoder").unwrap();
    let mut config = ModelConfig::default();
    config.objectives.insert("one".into(), autoencoder());
    built(&config).unwrap();
    config.objectives.insert("two".into(), autoencoder());
    let message = refused(&config);
    assert!(message.starts_with("objectives.two: is a second autoencoder"), "{message}");
    let mut config = ModelConfig::default();
    config.objectives.insert("species".into(), autoencoder());
    assert!(refused(&config).starts_with("objectives.species: is the name of a task"));
    let mut config = ModelConfig::default();
    config.objectives.insert("reconstruction".into(), objectives::Config::default());
    assert!(refused(&config).contains("objectives.reconstruction"), "its generator does not exist");
}
