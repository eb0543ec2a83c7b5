//! Evaluation of generators, and the choice of their best weights.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use mtl_tensor::{serial, to_f64};
use mtl_train::event::{Event, Observer};
use mtl_train::{Error, ErrorKind, GenerationRequest, Measured, evaluate_generation, train};

use crate::{tiny, trained};

#[path = "../../../../tests/goldens/inception.rs"]
#[allow(dead_code)]
mod inception;

fn evaluated(run: &Path, request: &GenerationRequest) -> mtl_train::Result<mtl_train::GenerationEvaluation> {
    evaluate_generation(run, request, None, &mut |_| {})
}

#[test]
fn generators_are_scored_against_held_out_images_by_independent_networks() {
    let dir = tempfile::tempdir().unwrap();
    let run = trained(tiny(dir.path(), &["data.scenes.count=160"]));
    let request = GenerationRequest { samples: Some(40), classifier_on_samples: true, ..Default::default() };
    let found = evaluated(&run, &request).unwrap();
    assert_eq!((found.part, found.held_out, found.training, found.samples), ("test", 24, 112, 40));
    let names: Vec<&str> = found.generators.iter().map(|generator| generator.generator.as_str()).collect();
    assert_eq!(names, ["gan", "vae"]);
    for generator in &found.generators {
        let networks: Vec<&str> = generator.networks.iter().map(|scores| scores.network.as_str()).collect();
        assert_eq!(networks, ["evaluator", "random"]);
        for (network, floor) in generator.networks.iter().zip(&found.floor) {
            let kid = &network.scores[0];
            assert_eq!((kid.name.as_str(), kid.real, kid.generated), ("kid", 24, 40));
            // Generators of three steps are far from real images, and training images are not.
            assert!(kid.value > floor.scores[0].value + 0.01, "{} {kid:?} {:?}", network.network, floor.scores[0]);
            assert!(network.scores.iter().all(|score| score.name != "frechet_distance"), "24 images are too few");
        }
        let classifier = generator.classifier.as_ref().unwrap();
        assert_eq!((classifier.samples.n, classifier.trained_on_samples.as_ref().unwrap().n), (40, 24));
        let memorisation = &generator.memorisation;
        assert_eq!((memorisation.generated, memorisation.training, memorisation.held_out), (40, 112, 24));
        assert!(memorisation.ratio.is_finite() && memorisation.copies < 0.2, "{memorisation:?}");
        let picture = image::open(&generator.picture).unwrap();
        assert_eq!((picture.width(), picture.height()), (8 * 68, 4 * 68));
    }
    assert!(found.notes.iter().any(|note| note.contains("no Frechet distance")), "{:?}", found.notes);
    let evaluator = found.evaluator.as_ref().unwrap();
    assert!(!evaluator.kept && evaluator.task == "class" && evaluator.accuracy.n == 24);
    let text = std::fs::read_to_string(run.join("evaluation/generation.json")).unwrap();
    assert!(text.contains(&evaluator.sha256) && text.contains("\"real\": 24"));

    // The classifier is kept, and equal requests give equal numbers.
    let request = GenerationRequest { classifier_on_samples: false, generator: Some("vae".into()), ..request };
    let again = evaluated(&run, &request).unwrap();
    let scores = |found: &mtl_train::GenerationEvaluation| {
        let vae = found.generators.iter().find(|generator| generator.generator == "vae").unwrap();
        vae.networks.iter().flat_map(|network| network.scores.clone()).collect::<Vec<_>>()
    };
    assert!(again.evaluator.as_ref().unwrap().kept);
    assert_eq!((scores(&again), again.generators.len()), (scores(&found), 1));

    let wrong = evaluated(&run, &GenerationRequest { samples: Some(2), ..Default::default() }).unwrap_err();
    assert!(wrong.to_string().starts_with("samples: from 6"), "{wrong}");
}

#[test]
fn inception_features_are_scored_if_its_weights_are_given() {
    let dir = tempfile::tempdir().unwrap();
    let run = trained(tiny(dir.path(), &["stages.run=[\"vae\"]", "data.split.test=0.15"]));
    let file = dir.path().join("weights.safetensors");
    std::fs::write(&file, serial::to_bytes(&inception::weights(), &BTreeMap::new()).unwrap()).unwrap();
    let request = GenerationRequest { samples: Some(6), inception: Some(file.clone()), ..Default::default() };
    let mut lines = Vec::new();
    let found = evaluate_generation(&run, &request, None, &mut |line| lines.push(line.to_owned())).unwrap();
    let network = "Inception features of weights.safetensors";
    let networks =
        |scores: &[mtl_train::NetworkScores]| scores.iter().map(|scores| scores.network.clone()).collect::<Vec<_>>();
    assert_eq!(networks(&found.floor), ["evaluator", network, "random"]);
    assert_eq!(networks(&found.generators[0].networks), ["evaluator", network, "random"]);
    let scores = &found.generators[0].networks[1].scores;
    let names: Vec<&str> = scores.iter().map(|score| score.name.as_str()).collect();
    assert_eq!(names, ["kid", "precision", "recall", "density", "coverage"], "too few images for a Frechet distance");
    assert_eq!((scores[0].real, scores[0].generated), (found.held_out, 6));
    let report = found.inception.as_ref().unwrap();
    assert!(!report.kept && !report.published && report.sha256.len() == 64);
    assert!(found.notes.iter().any(|note| note.contains("not called FID")), "{:?}", found.notes);
    assert!(lines.contains(&format!("Inception features of {} held-out images", found.held_out)), "{lines:?}");
    assert!(lines.contains(&"Inception features of 6 samples of vae".to_owned()), "{lines:?}");
    let text = std::fs::read_to_string(run.join("evaluation/generation.json")).unwrap();
    assert!(text.contains(&report.sha256) && text.contains(network));

    // Real images are computed once; equal requests give equal numbers.
    let again = evaluated(&run, &request).unwrap();
    assert!(again.inception.unwrap().kept);
    assert_eq!(&again.generators[0].networks[1].scores, scores);

    // A wrong file is an error before anything is computed.
    std::fs::write(&file, "<html>").unwrap();
    let mut lines = 0;
    let error = evaluate_generation(&run, &request, None, &mut |_| lines += 1).unwrap_err();
    assert!(error.to_string().contains("weights.safetensors: neither") && lines == 0, "{error}");
}

#[test]
fn a_run_without_generators_or_enough_images_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let joint = trained(tiny(dir.path(), &["stages.run=[\"joint\"]", "objectives.reconstruction={none={}}"]));
    assert!(matches!(evaluated(&joint, &GenerationRequest::default()), Err(Error::NoGenerator)));
    let few = trained(tiny(
        dir.path(),
        &["stages.run=[\"vae\"]", "data.split.test=0.05", "data.scenes.classes=[\"car\",\"tree\",\"house\"]"],
    ));
    let error = evaluated(&few, &GenerationRequest::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("held-out and") && error.to_string().contains("at least six"), "{error}");
}

/// Keeps the averaged weights of the best validation of a generator's stage, and all values of KID.
#[derive(Default)]
struct BestSaved {
    best: RefCell<Option<Vec<u8>>>,
    is_best: RefCell<bool>,
    kids: RefCell<Vec<(u64, f64)>>,
}

struct Watch<'a>(&'a BestSaved);

impl Observer for Watch<'_> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::SamplesValidated { stage, step, kid, loss: None, best, .. } => {
                assert_eq!((stage.as_str(), kid.real), ("gan", 60));
                self.0.kids.borrow_mut().push((*step, kid.value));
                *self.0.is_best.borrow_mut() = *best;
            }
            Event::Saved { path } if self.0.is_best.replace(false) => {
                *self.0.best.borrow_mut() = Some(std::fs::read(path.join("average.safetensors")).unwrap());
            }
            _ => {}
        }
    }
}

/// Keeps the validation losses of a flow, and the warnings.
#[derive(Default)]
struct Losses {
    found: Vec<(u64, f64, bool)>,
    warnings: Vec<String>,
}

impl Observer for Losses {
    fn event(&mut self, event: &Event) {
        match event {
            Event::SamplesValidated { step, loss, best, .. } => self.found.push((*step, loss.unwrap(), *best)),
            Event::Warning { message } => self.warnings.push(message.clone()),
            _ => {}
        }
    }
}

#[test]
fn a_flow_stops_when_its_loss_on_validation_images_rises_and_keeps_the_weights_of_the_lowest() {
    let dir = tempfile::tempdir().unwrap();
    // A learning rate that stays so high that the loss soon rises.
    let more = [
        "stages.run=[\"flow\"]",
        "data.scenes.count=400",
        "generators.flow.flow={width=16,blocks=1,steps=2,space=\"pixels\"}",
        "stages.flow={batch=8,steps=60,validations=30,patience=1,lr_scale=100,min_lr_ratio=0.9,ema_half_life=0.0}",
    ];
    let mut losses = Losses::default();
    let record = train(tiny(dir.path(), &more), &mut [&mut losses], &AtomicBool::new(false)).unwrap();
    let (step, lowest, best) = losses.found.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    let stage = &record.stages[0];
    assert!(best && stage.steps < 60, "{:?}", losses.found);
    assert_eq!(stage.best.as_ref().map(|best| (best.step, best.value)), Some((step, Measured::Loss(lowest))));
    let (last, risen, _) = losses.found[losses.found.len() - 1];
    assert!(last == stage.steps && risen > 1.01 * lowest, "{:?}", losses.found);
    let words = format!("the weights of step {step} are kept: training stops at step {}", stage.steps);
    assert!(losses.warnings.iter().any(|warning| warning.contains(&words)), "{:?}", losses.warnings);
    let text = std::fs::read_to_string(record.run.join("metrics.jsonl")).unwrap();
    assert!(text.lines().any(|line| line.contains("\"samples\"") && line.contains("\"loss\"")));
}

#[test]
fn the_weights_of_the_lowest_kid_on_validation_images_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    // From a trained decoder, with a learning rate that makes every step worse.
    let more = [
        "stages.run=[\"vae\",\"gan\"]",
        "stages.vae.steps=200",
        "stages.vae.validations=0",
        "data.scenes.count=400",
        "stages.gan.steps=12",
        "stages.gan.validations=6",
        "stages.gan.lr_scale=20",
    ];
    let saved = BestSaved::default();
    let record = train(tiny(dir.path(), &more), &mut [&mut Watch(&saved)], &AtomicBool::new(false)).unwrap();
    let kids = saved.kids.borrow();
    assert_eq!(kids.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [2, 4, 6, 8, 10, 12]);
    let (step, kid) = kids.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert!(step < 12, "this test needs a best step before the last one: {kids:?}");
    let best = record.stages[1].best.clone().unwrap();
    assert_eq!((best.step, best.value), (step, Measured::Kid(kid)));
    // The joint stage's best is another kind of value.
    assert_eq!(record.best, None);
    let values = |bytes: &[u8]| -> BTreeMap<String, Vec<f64>> {
        let tensors = serial::from_bytes(bytes).unwrap();
        tensors.iter().map(|(name, tensor)| (name.clone(), to_f64(tensor).unwrap())).collect()
    };
    let averages = values(saved.best.borrow().as_ref().unwrap());
    let model = values(&std::fs::read(record.run.join("checkpoints/best/model.safetensors")).unwrap());
    assert!(!averages.is_empty());
    for (name, value) in &averages {
        assert_eq!(&model[name], value, "{name}");
    }
    let text = std::fs::read_to_string(record.run.join("metrics.jsonl")).unwrap();
    let line = text.lines().find(|line| line.contains("\"samples\"")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((line["stage"].as_str(), line["network"].as_str()), (Some("gan"), Some("random")));
    assert_eq!(line["kid"]["real"], 60);
}
