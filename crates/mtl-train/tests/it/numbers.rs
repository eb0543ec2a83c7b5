//! Runs on labels that are numbers: one per image, and depth maps in millimetres.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use mtl_metrics::{Direction, Score};
use mtl_train::config::Config;
use mtl_train::data::Plan;
use mtl_train::eval::score::mean_skill;
use mtl_train::{Error, LoadedRun, PredictRequest, TaskScores, evaluate, predict, resume, train};

use crate::{StopAt, hash, init_from, tiny, trained};

const SIDE: u32 = 32;
const JOINT: [&str; 2] = ["stages.run=[\"joint\"]", "objectives.reconstruction=none"];

/// Grey ramps of another brightness each; depth in millimetres follows the grey value, the weight the brightness. A third of
/// the weights is missing, and the corner of each depth map is not measured.
fn folder(root: &Path, count: u32) -> PathBuf {
    fs::create_dir_all(root).unwrap();
    let mut table = String::from("image,depth,weight_g,grade\n");
    for at in 0..count {
        let base = at * 7 % 48 * 4;
        let grey = |x: u32| (base + x) as u8;
        image::GrayImage::from_fn(SIDE, SIDE, |x, _| image::Luma([grey(x)]))
            .save(root.join(format!("{at}.png")))
            .unwrap();
        let depth = |x: u32, y: u32| if x + y < 4 { 0 } else { 2000 + 40 * u16::from(grey(x)) };
        image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_fn(SIDE, SIDE, |x, y| image::Luma([depth(x, y)]))
            .save(root.join(format!("d{at}.png")))
            .unwrap();
        let weight = if at % 3 == 2 { String::new() } else { format!("{}", f64::from(500 + 10 * base) + 0.5) };
        table += &format!("{at}.png,d{at}.png,{weight},{}\n", base / 40);
    }
    fs::write(root.join("manifest.csv"), table).unwrap();
    root.to_owned()
}

fn on(dir: &Path, data: &Path, more: &[&str]) -> Config {
    let path = format!("data.path=\"{}\"", data.display());
    tiny(dir, &[&[&*path][..], &JOINT, more].concat())
}

fn find<'a>(scores: &'a [TaskScores], task: &str, score: &str) -> (&'a Score, &'a Score) {
    let task = scores.iter().find(|scores| scores.task == task).unwrap();
    let of = |list: &'a [Score]| {
        list.iter().find(|found| found.name == score).unwrap_or_else(|| panic!("{score}: {list:?}"))
    };
    (of(&task.scores), of(&task.baseline))
}

#[test]
fn numbers_are_learned_in_their_unit() {
    let dir = tempfile::tempdir().unwrap();
    let data = folder(&dir.path().join("data"), 48);
    let settings = [
        "data.open.regression=[\"grade\"]",
        "budget.steps=120",
        "data.augment=none",
        "heads.weight_g.regression.loss=\"mse\"",
    ];
    let run = trained(on(dir.path(), &data, &settings));
    let schema = LoadedRun::load(&run, None).unwrap().schema;
    let kinds: Vec<(&str, &str, &str)> =
        schema.tasks.iter().map(|task| (task.name.as_str(), task.kind.name(), task.kind.unit())).collect();
    assert_eq!(kinds, [("weight_g", "regression", "g"), ("grade", "regression", ""), ("depth", "dense", "")]);
    let found = evaluate(&run, None, None).unwrap();
    // Far below the best constants, in the unit of the table and of the files.
    for (task, score, unit, size) in [
        ("weight_g", "rmse", "g", 100.0..2000.0),
        ("weight_g", "mae", "g", 100.0..2000.0),
        ("grade", "rmse", "", 0.5..3.0),
        ("depth", "rmse", "", 500.0..4000.0),
        ("depth", "abs_rel", "", 0.05..1.0),
    ] {
        let (model, baseline) = find(&found.scores, task, score);
        assert!(size.contains(&baseline.value), "{task} {baseline:?}");
        assert!(model.value < 0.5 * baseline.value, "{task} {model:?}, the best constant {baseline:?}");
        assert_eq!(model.unit, unit, "{task} {score}");
    }
    let (r2, constant) = find(&found.scores, "weight_g", "r2");
    assert!(r2.value > 0.75 && constant.value <= 0.0, "{r2:?} {constant:?}");
    let (rounded, constant) = find(&found.scores, "grade", "rounded_accuracy");
    assert!(rounded.value > constant.value, "{rounded:?} {constant:?}");

    // Image 7 has a base of 4: a weight of 540.5 g, and 2800 mm in the middle.
    let (images, out) = (vec![data.join("7.png")], Some(dir.path().join("out")));
    let request = PredictRequest { images, out, ..PredictRequest::default() };
    let predicted = predict(&run, &request, None).unwrap().images.remove(0).unwrap();
    let weight = &predicted.tasks[0];
    assert_eq!((weight.kind, weight.unit.as_deref()), ("regression", Some("g")));
    assert!((weight.value.unwrap() - 540.5).abs() < 500.0, "{weight:?}");
    let depth = &predicted.tasks[2];
    assert_eq!(depth.scale, Some(1.0));
    let map = image::open(depth.mask.as_ref().unwrap()).unwrap().to_luma16();
    let middle = f64::from(map.get_pixel(SIDE / 2, SIDE / 2).0[0]);
    assert!((middle - 2800.0).abs() < 1500.0, "{middle}");

    // Other data with few numbers: the columns are what they are in the model.
    let other = dir.path().join("other");
    fs::create_dir_all(&other).unwrap();
    for name in ["1.png", "2.png", "3.png"] {
        fs::copy(data.join(name), other.join(name)).unwrap();
    }
    fs::write(other.join("manifest.csv"), "image,weight_g,grade\n1.png,1060,1\n2.png,1620,2\n3.png,2180,\n").unwrap();
    let found = evaluate(&run, Some(&other), None).unwrap();
    assert_eq!(
        found.scores.iter().map(|task| (task.task.as_str(), task.scores[0].n)).collect::<Vec<_>>(),
        [("weight_g", 3), ("grade", 2)]
    );

    // Weights taken over by a run with other labels keep the scale that they were learned in.
    let half = folder(&dir.path().join("half"), 12);
    let path = format!("data.path=\"{}\"", half.display());
    let continued = trained(init_from(&run, &[&path, "budget.steps=1", "stages.joint.schedule.lr=1e-9"]));
    let found = evaluate(&continued, Some(&data), None).unwrap();
    let (model, baseline) = find(&found.scores, "weight_g", "rmse");
    assert!(model.value < 0.5 * baseline.value, "{model:?} {baseline:?}");
}

#[test]
fn an_interrupted_run_on_numbers_ends_as_an_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let data = folder(&dir.path().join("data"), 24);
    let whole = trained(on(&dir.path().join("whole"), &data, &[]));
    let flag = AtomicBool::new(false);
    let mut stop = StopAt { stage: "joint", step: 3, flag: &flag };
    let parts = dir.path().join("parts");
    let error = train(on(&parts, &data, &[]), &mut [&mut stop], &flag).unwrap_err();
    let Error::Interrupted { run, .. } = error else { panic!("{error}") };
    resume(&run, &mut [], &AtomicBool::new(false)).unwrap();
    for file in ["model.safetensors", "average.safetensors"] {
        assert_eq!(hash(&whole, "last", file), hash(&run, "last", file), "{file}");
    }
}

#[test]
fn numbers_that_are_all_the_same_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = folder(&dir.path().join("data"), 24);
    let table = fs::read_to_string(data.join("manifest.csv")).unwrap();
    let lines = table.lines().skip(1).map(|line| format!("{},7\n", line.split(',').next().unwrap()));
    fs::write(data.join("manifest.csv"), format!("image,weight_g\n{}", lines.collect::<String>())).unwrap();
    let error = Plan::new(on(dir.path(), &data, &["data.open.regression=[\"weight_g\"]"])).err().unwrap().to_string();
    for words in ["`weight_g`", "training images are 7", "data.tasks"] {
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn of_two_bad_models_the_better_one_has_the_better_skill() {
    let scores = |value: f64| {
        let rmse =
            |value| Score { name: "rmse".into(), value, unit: "mm".into(), direction: Direction::LowerIsBetter, n: 1 };
        let (scores, baseline) = (vec![rmse(value)], vec![rmse(100.0)]);
        [TaskScores { task: "depth".into(), kind: "dense".into(), scores, baseline, baseline_words: String::new() }]
    };
    let skills = [20_000.0, 9_000.0, 210.0, 190.0, 100.0, 90.0].map(|value| mean_skill(&scores(value)));
    assert!(skills.is_sorted_by(|a, b| a < b) && skills[3] < 0.0 && skills[4] == 0.0, "{skills:?}");
}
