//! Generated images as training images: the data set that a run writes has the task that it learned.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use mtl_data::{Labels, OpenOptions, check, open};
use mtl_train::data::Plan;
use mtl_train::eval::score::baselines;
use mtl_train::{GenerateRequest, Generated, evaluate, generate, train};

use crate::other_data::class_folder;
use crate::{tiny, trained};

const VAE: &str = "stages.run=[\"joint\",\"vae\"]";

fn drawn(run: &Path, count: usize, seed: u64) -> Generated {
    let request = GenerateRequest { count, seed, generator: Some("vae".into()), ..GenerateRequest::default() };
    generate(run, &request, None, &mut |_| {}).unwrap()
}

fn photos(root: &Path, classes: &[String], each: u32) {
    for (at, class) in classes.iter().enumerate() {
        class_folder(root, class, [(at * 37) as u8, (at * 11 + 40) as u8, 120], at as u32 * each, each);
    }
}

fn run_on(dir: &Path, classes: &[String], each: u32) -> PathBuf {
    let folder = dir.join(format!("photos{}", classes.len()));
    photos(&folder, classes, each);
    if let [only] = classes {
        // One class is a task where the table says so.
        let lines: String = (0..each).map(|at| format!("{only}/{at}.png,{only}\n")).collect();
        fs::write(folder.join("manifest.csv"), format!("image,kind\n{lines}")).unwrap();
        fs::write(folder.join("classes.csv"), format!("task,class\nkind,{only}\n")).unwrap();
    }
    let path = format!("data.path=\"{}\"", folder.display());
    trained(tiny(dir, &[&path, VAE, "budget.steps=1", "stages.vae.steps=1"]))
}

#[test]
fn the_task_of_generated_images_is_that_of_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let many: Vec<String> = (0..37).map(|at| format!("kind {at}")).collect();
    let texts = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    for (classes, each) in
        [(texts(&["leaf"]), 12), (texts(&["0.5", "1.5"]), 8), (texts(&["None", "yes", "no", "12"]), 6), (many, 8)]
    {
        let run = run_on(dir.path(), &classes, each);
        let schema = Plan::new(mtl_train::store::read_config(&run).unwrap()).unwrap().schema;
        for count in [3, 2 * classes.len()] {
            let made = drawn(&run, count, 5);
            let folder = &*made.folder;
            let report = check::check(folder, &OpenOptions::default());
            assert_eq!(
                (report.refused.as_ref(), report.rows, report.small_classes.len()),
                (None, count, 0),
                "{report}"
            );
            let data = open(folder, &OpenOptions::default()).unwrap();
            assert_eq!(data.schema().tasks, schema.tasks, "{classes:?}");
            for row in 0..count {
                let class = made.classes[row].as_ref().unwrap();
                let at = schema.tasks[0].kind.classes().iter().position(|name| name == class).unwrap();
                assert_eq!(data.labels(row), [Labels::Class(at)], "{classes:?} {row}");
                let notes = data.row_notes(row).unwrap();
                assert_eq!((notes.generated, notes.cell("generated_seed")), (true, Some("5")));
            }
            let said = data.reading().guesses.join("\n");
            assert!(said.contains(&format!("marks {count} of {count} rows as generated images")), "{said}");
        }
    }
}

#[test]
fn a_run_learns_from_real_and_generated_images_and_is_scored_on_real_ones() {
    let dir = tempfile::tempdir().unwrap();
    let classes = ["cat".to_owned(), "dog".to_owned()];
    let run = run_on(dir.path(), &classes, 20);
    let real = dir.path().join("photos2");
    let folder = drawn(&run, 30, 1).folder;
    let sources = format!("data.sources=[{{path=\"{}\"}},{{path=\"{}\"}}]", real.display(), folder.display());
    let joint = ["stages.run=[\"joint\"]", "model.trunk.resnet.norm=group"];
    let config = tiny(dir.path(), &[&sources, joint[0], joint[1], "budget.steps=3"]);
    let plan = Plan::new(config.clone()).unwrap();
    let alone = Plan::new(tiny(dir.path(), &[&format!("data.path=\"{}\"", real.display()), joint[0]])).unwrap();
    let [train_rows, validation, test] = alone.split.sizes();
    assert_eq!(plan.split.sizes(), [train_rows + 30, validation, test]);
    assert_eq!(plan.real_training_rows().count(), train_rows);
    assert_eq!(plan.schema.tasks, alone.schema.tasks);
    assert!(plan.notes.iter().any(|note| note.contains("marks 30 of 30 rows as generated images")), "{:?}", plan.notes);
    assert_eq!(baselines(&plan).unwrap(), baselines(&alone).unwrap());
    let run = train(config, &mut [], &AtomicBool::new(false)).unwrap().run;
    let scored = evaluate(&run, None, None).unwrap();
    assert_eq!((scored.part, scored.images), ("test", test));
    assert!(scored.scores.iter().flat_map(|task| &task.scores).all(|score| score.value.is_finite()));
    // Scores on generated images are possible, and marked.
    let warning = evaluate(&run, Some(&folder), None).unwrap().warning.unwrap();
    assert!(warning.contains("30 of the 30 images are generated"), "{warning}");
    // Alone they are refused.
    let config = tiny(dir.path(), &[&format!("data.path=\"{}\"", folder.display()), joint[0]]);
    let error = train(config, &mut [], &AtomicBool::new(false)).unwrap_err();
    assert_eq!(error.kind(), mtl_train::ErrorKind::Data);
    assert!(error.to_string().contains("all 30 images"), "{error}");
}

#[test]
fn a_generator_is_shown_real_images_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let run = run_on(dir.path(), &["cat".to_owned(), "dog".to_owned()], 20);
    let (real, folder) = (dir.path().join("photos2"), drawn(&run, 30, 1).folder);
    let sources = format!("data.sources=[{{path=\"{}\"}},{{path=\"{}\"}}]", real.display(), folder.display());
    let plan =
        Plan::new(tiny(dir.path(), &[&sources, "data.augment.hflip=0", "model.trunk.resnet.norm=group"])).unwrap();
    let of_stage = |stage: &str| {
        let loader = plan.training_loader(stage, 4, stage).unwrap();
        let (mut seen, mut changed) = (0, false);
        for batch in loader.stream(0, 0).unwrap().take(loader.batches()) {
            let (_, _, batch) = batch.unwrap();
            seen += batch.rows.iter().filter(|&&row| plan.dataset.is_generated(row)).count();
            let values = |batch: mtl_model::DeviceBatch| mtl_tensor::to_f64(&batch.images).unwrap();
            let plain = plan.batch_of(&batch.rows, &mtl_tensor::Device::Cpu).unwrap();
            changed |= values(plan.to_device(&batch, &mtl_tensor::Device::Cpu).unwrap()) != values(plain);
        }
        (seen > 0, changed)
    };
    assert_eq!(of_stage("joint"), (true, true));
    assert_eq!(of_stage("vae"), (false, false));
    assert_eq!(of_stage("gan"), (false, false));
}
