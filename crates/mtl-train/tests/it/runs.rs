//! The files of a run, and its errors.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use mtl_train::store::checkpoint::Checkpoint;
use mtl_train::store::run_dir::RunDir;
use mtl_train::{Error, GenerateRequest, PredictRequest, evaluate, generate, predict, resume, train};

use crate::{StopAt, hash, tiny, trained};

fn go(more: &[&str]) -> (tempfile::TempDir, Result<PathBuf, Error>) {
    let dir = tempfile::tempdir().unwrap();
    let config = tiny(dir.path(), more);
    let run = train(config, &mut [], &AtomicBool::new(false)).map(|record| record.run);
    (dir, run)
}

#[test]
fn a_run_writes_all_files_and_can_be_used() {
    let (dir, run) = go(&[]);
    let run = run.unwrap();
    assert_eq!(run.file_name().unwrap(), "scenes-0001");
    for file in [
        "config.toml",
        "env.json",
        "schema.json",
        "metrics.jsonl",
        "log.txt",
        "samples/gan.png",
        "samples/vae.png",
        "predictions/parts.png",
    ] {
        assert!(run.join(file).is_file(), "{file}");
    }
    for name in ["best", "last"] {
        assert!(Checkpoint::load(&run.join("checkpoints").join(name)).is_ok(), "{name}");
    }
    let left: Vec<_> = fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.len() <= 5 && left.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "{left:?}");

    let scores = evaluate(&run, None, None).unwrap();
    assert_eq!(
        scores.scores.iter().map(|task| task.task.as_str()).collect::<Vec<_>>(),
        ["class", "parts", "depth", "reconstruction"]
    );
    assert!(scores.scores[..3].iter().all(|task| !task.baseline.is_empty()));

    let request = |seed| GenerateRequest { count: 7, class: Some("fish".into()), seed, ..GenerateRequest::default() };
    let generate = |run: &Path, request: &GenerateRequest| generate(run, request, None, &mut |_| {});
    let first = generate(&run, &request(1)).unwrap();
    assert_eq!((first.images.len(), first.classes[6].as_deref()), (7, Some("fish")));
    let bytes = |generated: &mtl_train::Generated| fs::read(&generated.images[6]).unwrap();
    let (again, other) = (generate(&run, &request(1)).unwrap(), generate(&run, &request(2)).unwrap());
    assert!(bytes(&first) == bytes(&again) && bytes(&first) != bytes(&other));
    let full = GenerateRequest { out: Some(first.folder.clone()), ..request(1) };
    assert!(generate(&run, &full).unwrap_err().to_string().contains("is not empty"));
    let wrong = GenerateRequest { class: Some("fsh".into()), ..request(3) };
    assert!(generate(&run, &wrong).unwrap_err().to_string().contains("did you mean `fish`"));

    let broken = dir.path().join("broken.png");
    fs::write(&broken, b"no image").unwrap();
    let images = vec![first.images[0].clone(), broken.clone()];
    let request_images = PredictRequest { images, out: Some(dir.path().join("masks")), ..Default::default() };
    let found = predict(&run, &request_images, None).unwrap().images;
    let tasks = &found[0].as_ref().unwrap().tasks;
    assert!((tasks[0].probabilities.iter().map(|(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-5);
    assert!(tasks[1].mask.as_ref().unwrap().is_file() && tasks[1].overlay.as_ref().unwrap().is_file());
    assert!(found[1].as_ref().unwrap_err().to_string().contains("broken.png"));

    // A second run gets the next number.
    let second = trained(tiny(dir.path(), &["stages.run=[\"joint\"]", "budget.steps=1"]));
    assert_eq!(second.file_name().unwrap(), "scenes-0002");
    let error = generate(&second, &GenerateRequest { generator: Some("gan".into()), ..request(1) }).unwrap_err();
    assert_eq!(error.kind(), mtl_train::ErrorKind::Configuration, "{error}");
}

#[test]
fn a_diverging_run_names_the_task_and_keeps_the_last_good_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let more = [
        "stages.run=[\"joint\"]",
        "stages.joint.schedule.lr=1e30",
        "stages.joint.clip_grad_norm=0.0",
        "output.checkpoint_every=1",
    ];
    let error = train(tiny(dir.path(), &more), &mut [], &AtomicBool::new(false)).unwrap_err();
    assert_eq!(error.kind(), mtl_train::ErrorKind::Diverged, "{error}");
    let message = error.to_string();
    assert!(
        message.contains("joint step") && (message.contains("task `") || message.contains("gradient of `")),
        "{message}"
    );
    let last = Checkpoint::load(&dir.path().join("scenes-0001/checkpoints/last")).unwrap();
    assert!(last.state.step >= 1);
}

#[test]
fn damaged_and_foreign_checkpoints_are_reported() {
    let (_dir, run) = go(&["stages.run=[\"joint\"]", "budget.steps=2", "output.checkpoint_every=1"]);
    let run = run.unwrap();
    let last = fs::canonicalize(run.join("checkpoints/last")).unwrap();
    let file = last.join("model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let error = Checkpoint::load(&last).unwrap_err().to_string();
    assert!(error.contains("model.safetensors") && error.contains("SHA-256"), "{error}");
    fs::write(&file, &bytes[..middle]).unwrap();
    assert!(Checkpoint::load(&last).unwrap_err().to_string().contains("bytes instead of"));
    // `best` names the same step: the older checkpoint is used, with a warning.
    let (_, path, warning) = Checkpoint::load_named(&run.join("checkpoints"), "last").unwrap();
    assert!(path != last && warning.unwrap().contains("using"));

    let config = run.join("config.toml");
    let text =
        fs::read_to_string(&config).unwrap().replace("widths = [\n    8,\n    8,\n    16,\n]", "widths = [8, 8, 24]");
    fs::write(&config, text).unwrap();
    let error = evaluate(&run, None, None).unwrap_err().to_string();
    assert!(error.contains("another model") && error.contains("trunk.stage3"), "{error}");
}

#[test]
fn data_that_has_changed_is_neither_scored_as_held_out_nor_trained_on() {
    let (_dir, run) = go(&["stages.run=[\"joint\"]", "budget.steps=1"]);
    let run = run.unwrap();
    assert!(evaluate(&run, None, None).is_ok());
    let config = run.join("config.toml");
    let text = fs::read_to_string(&config).unwrap().replace("count = 48", "count = 60");
    fs::write(&config, text).unwrap();
    for error in [evaluate(&run, None, None).unwrap_err(), resume(&run, &mut [], &AtomicBool::new(false)).unwrap_err()]
    {
        assert!(error.to_string().contains("data has changed"), "{error}");
        assert_eq!(error.kind(), mtl_train::ErrorKind::Data);
    }
}

#[test]
fn every_resume_is_recorded() {
    let (dir, flag) = (tempfile::tempdir().unwrap(), AtomicBool::new(false));
    let mut at_two = StopAt { stage: "joint", step: 2, flag: &flag };
    train(tiny(dir.path(), &["stages.run=[\"joint\"]"]), &mut [&mut at_two], &flag).unwrap_err();
    let run = dir.path().join("scenes-0001");
    let read = || -> serde_json::Value { serde_json::from_slice(&fs::read(run.join("env.json")).unwrap()).unwrap() };
    let began = read();
    assert!(began.get("resumed").is_none() && began["git_revision"].is_string(), "{began}");
    let again = || resume(&run, &mut [], &AtomicBool::new(false)).unwrap();
    again();
    again();
    let mut now = read();
    let resumed = now.as_object_mut().unwrap().remove("resumed").unwrap();
    assert_eq!(now, began, "the first entry is unchanged");
    let steps: Vec<_> = resumed.as_array().unwrap().iter().map(|entry| entry["step"].as_u64()).collect();
    assert_eq!(steps, [Some(2), Some(6)]);
    for key in ["version", "git_revision", "command", "started_unix_s", "stage"] {
        assert!(resumed[0].get(key).is_some(), "{key}: {resumed}");
    }
    // A damaged env.json does not stop the run and is left unchanged.
    fs::write(run.join("env.json"), "no JSON").unwrap();
    again();
    assert_eq!(fs::read(run.join("env.json")).unwrap(), b"no JSON");
}

#[test]
fn a_run_folder_belongs_to_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let owner = RunDir::create(dir.path(), "mine").unwrap();
    owner.describe("").unwrap();
    let error = RunDir::open(owner.path()).unwrap_err().to_string();
    assert!(error.contains("in use by process"), "{error}");
    let path = owner.path().to_owned();
    drop(owner);
    assert!(RunDir::open(&path).is_ok());
    for name in ["../up", "", ".hidden", "a b", "x/y"] {
        assert_eq!(RunDir::create(dir.path(), name).unwrap_err().kind(), mtl_train::ErrorKind::Configuration, "{name}");
    }
    assert!(
        resume(&dir.path().join("none"), &mut [], &AtomicBool::new(false))
            .unwrap_err()
            .to_string()
            .contains("does not exist")
    );
}

#[test]
fn wrong_settings_are_refused_before_the_first_step() {
    for (more, expected) in [
        ("size=60", "not divisible by 8; use 56 or 64"),
        ("size=512", "outside 32 to 256"),
        ("size=big", "write 64 or 64x128"),
        ("data.tasks=[\"clas\"]", "did you mean `class`"),
        ("model.condition_on=parts", "unknown classification task"),
        ("heads.prts.segmentation.dice=2.0", "did you mean `parts`"),
        ("heads.parts.classification.dropout=0.1", "does not serve"),
        ("balancer.fixed.weights.clas=2.0", "did you mean `class`"),
        ("stages.joint.batch=1", "at least 2"),
        ("device=gpu", "is no device"),
        ("stages.run=[\"gan\",\"joint\"]", "must come first"),
        ("stages.run=[\"joint\",\"gen\"]", "did you mean `gan`"),
        ("stages.jont.batch=7", "did you mean `joint`"),
        ("generators.trunk.vae={}", "is reserved"),
        ("generators.a b.vae={}", "letters, digits"),
        ("objectives.class.autoencoder={}", "is the name of a task"),
        ("objectives.extra.generator={}", "trains `vae`, which the objective `extra` trains already"),
        ("generators.gan.gan.init_from=vea", "did you mean `vae`"),
        ("data.augment.hflip=5", "between 0 and 1"),
        ("data.split.validation=0", "validation"),
        ("stages.gan.lr_scale=-1", "above 0"),
        ("stages.gan.steps=0", "remove the stage"),
        ("output.name=\"../x\"", "run's name"),
    ] {
        let (dir, run) = go(&[more]);
        let error = run.unwrap_err();
        assert!(error.to_string().contains(expected), "{more}: {error}");
        assert_eq!(error.kind(), mtl_train::ErrorKind::Configuration, "{more}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{more} left something behind");
    }
    let (_dir, run) = go(&["data.path=/nowhere/at/all"]);
    assert_eq!(run.unwrap_err().kind(), mtl_train::ErrorKind::Data);
}

#[test]
fn the_tutorial_preset_runs() {
    let dir = tempfile::tempdir().unwrap();
    let overrides: Vec<String> = [
        "size=32",
        "data.scenes.count=40",
        "stages.joint.batch=4",
        "stages.gan.batch=4",
        "budget.steps=2",
        "stages.gan.steps=1",
        "generators.gan.gan.mode=scratch",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([format!("output.dir=\"{}\"", dir.path().display())])
    .collect();
    let config = mtl_train::config::load::load("tutorial", None, &overrides).unwrap();
    let run = trained(config);
    let scores = evaluate(&run, None, None).unwrap().scores;
    assert!(scores.iter().any(|task| task.task == "reconstruction"));
    assert_eq!(hash(&run, "best", "model.safetensors"), hash(&run, "last", "model.safetensors"));
}
