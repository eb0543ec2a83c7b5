//! Runs on several image folders.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use mtl_data::{Dataset, Scenes, Size, scenes};
use mtl_model::Model;
use mtl_task::Target;
use mtl_train::config::Config;
use mtl_train::data::Plan;
use mtl_train::event::{Event, Observer};
use mtl_train::{Error, PredictRequest, evaluate, predict, resume, train};

use crate::{StopAt, hash, metrics, tiny, trained};

const GROUP: &str = "model.trunk.resnet.norm=group";
const MASK_GROUP: &str = "heads.mask.segmentation.norm=group";
const JOINT: &str = "stages.run=[\"joint\"]";
const SIDE: u32 = 32;

/// Scenes on disk, in colour with classes and grey with masks.
fn folders(dir: &Path) -> [PathBuf; 2] {
    let folders = ["photos", "scans"].map(|name| dir.join(name));
    for (folder, count, seed, grey) in [(&folders[0], 40, 1, false), (&folders[1], 16, 2, true)] {
        fs::create_dir_all(folder).unwrap();
        let size = Size { height: SIDE as usize, width: SIDE as usize };
        let classes = vec![scenes::Class::Fish, scenes::Class::House];
        let drawn = Scenes::new(scenes::Config { count, seed, classes, ..Default::default() }).unwrap();
        let mut table = String::from(if grey { "image,mask\n" } else { "image,kind\n" });
        for row in 0..count {
            let sample = drawn.sample(row, size).unwrap();
            let plane = (SIDE * SIDE) as usize;
            let at = |x: u32, y: u32, channel: usize| sample.image[channel * plane + (y * SIDE + x) as usize];
            let image = image::RgbImage::from_fn(SIDE, SIDE, |x, y| {
                image::Rgb(if grey { [at(x, y, 1); 3] } else { [0, 1, 2].map(|channel| at(x, y, channel)) })
            });
            image.save(folder.join(format!("{row}.png"))).unwrap();
            let (Target::Class(class), Target::Mask(mask)) = (&sample.targets[0], &sample.targets[1]) else { panic!() };
            if grey {
                let pixel = |x: u32, y: u32| image::Luma([255 * u8::from(mask[(y * SIDE + x) as usize] > 0)]);
                image::GrayImage::from_fn(SIDE, SIDE, pixel).save(folder.join(format!("mask-{row}.png"))).unwrap();
                table += &format!("{row}.png,mask-{row}.png\n");
            } else {
                table += &format!("{row}.png,{}\n", ["fish", "house"][class[0] as usize]);
            }
        }
        fs::write(folder.join("manifest.csv"), table).unwrap();
    }
    folders
}

fn sources(folders: &[PathBuf]) -> String {
    let entries: Vec<String> = folders.iter().map(|path| format!("{{path=\"{}\"}}", path.display())).collect();
    format!("data.sources=[{}]", entries.join(","))
}

fn on(dir: &Path, folders: &[PathBuf], more: &[&str]) -> Config {
    let sources = sources(folders);
    tiny(dir, &[&[&*sources, GROUP, MASK_GROUP], more].concat())
}

fn whole(config: Config) -> PathBuf {
    trained(config)
}

fn refused(config: Config) -> String {
    let error = train(config, &mut [], &AtomicBool::new(false)).unwrap_err();
    assert_eq!(error.kind(), mtl_train::ErrorKind::Configuration, "{error}");
    error.to_string()
}

#[test]
fn a_run_on_several_folders_resumes_bit_for_bit_with_every_sampling() {
    let dir = tempfile::tempdir().unwrap();
    let folders = folders(dir.path());
    let temperature = "data.sampling.temperature.t=3";
    for (more, stage, step) in [
        // 40 training images in batches of 8: five batches per epoch, so steps 1 and 6 lie inside one.
        (&[temperature, JOINT, "budget.steps=7"][..], "joint", 1),
        (&[temperature, JOINT, "budget.steps=7"], "joint", 6),
        (&[temperature], "vae", 2),
        (&["data.sampling=uniform"], "gan", 1),
        (&["data.sampling=round_robin", JOINT, "balancer=pcgrad"], "joint", 3),
        (&["data.sampling=round_robin", JOINT, "balancer=dwa", "budget.steps=12"], "joint", 7),
        (&["data.sampling=proportional", JOINT], "joint", 2),
    ] {
        let reference = whole(on(dir.path(), &folders, more));
        let flag = AtomicBool::new(false);
        let mut stop = StopAt { stage, step, flag: &flag };
        let error = train(on(dir.path(), &folders, more), &mut [&mut stop], &flag).unwrap_err();
        let Error::Interrupted { run, .. } = error else { panic!("{error}") };
        let resumed = resume(&run, &mut [], &AtomicBool::new(false)).unwrap().run;
        for file in ["model.safetensors", "average.safetensors", "optimizer.safetensors"] {
            assert_eq!(hash(&reference, "last", file), hash(&resumed, "last", file), "{more:?}: {file}");
        }
        assert_eq!(metrics(&reference), metrics(&resumed), "{more:?}");
    }
}

#[test]
fn batch_statistics_over_a_mixture_are_refused_with_the_settings_that_help() {
    let dir = tempfile::tempdir().unwrap();
    let folders = folders(dir.path());
    let sources = sources(&folders);
    let words = refused(tiny(dir.path(), &[&sources, JOINT]));
    assert!(words.contains(&format!("set {GROUP} and {MASK_GROUP}")) && words.contains("photos, scans"), "{words}");
    let words = refused(tiny(dir.path(), &[&sources, GROUP, JOINT]));
    assert!(words.ends_with(&format!("set {MASK_GROUP}")), "{words}");
    assert!(!dir.path().join("photos-scans-0001").exists(), "refused, but a run folder exists");
    // With them no part of the model takes statistics over a batch.
    let plan = Plan::new(on(dir.path(), &folders, &["generators.gan.gan.mode=finetuned"])).unwrap();
    let model = Model::new(&plan.config.model(), &plan.schema, &mtl_tensor::Device::Cpu).unwrap();
    let all: Vec<String> = model.params.all().into_keys().collect();
    assert!(!all.is_empty() && !all.iter().any(|name| name.contains("running")), "{all:?}");
    // One source alone, and stages that use the running statistics, are accepted.
    let one = self::sources(&folders[..1]);
    assert!(Plan::new(tiny(dir.path(), &[&one, JOINT])).is_ok());
    assert!(Plan::new(tiny(dir.path(), &[&sources, "stages.run=[\"gan\"]"])).is_ok());
}

#[test]
fn counts_and_baselines_are_of_the_rows_that_have_the_label() {
    let dir = tempfile::tempdir().unwrap();
    let folders = folders(dir.path());
    let both = Plan::new(on(dir.path(), &folders, &[])).unwrap();
    assert_eq!((both.schema.channels, both.schema.data.as_str()), (3, "photos-scans"));
    let constants = mtl_train::eval::score::baselines(&both).unwrap();
    for (at, folder) in folders.iter().enumerate() {
        let path = format!("data.path=\"{}\"", folder.display());
        let alone = Plan::new(tiny(dir.path(), &[&path])).unwrap();
        assert_eq!(alone.schema.tasks[0], both.schema.tasks[at]);
        assert_eq!(alone.schema.class_counts[0], both.schema.class_counts[at]);
        assert_eq!(alone.labels[0].labelled, both.labels[at].labelled);
        let constant = mtl_train::eval::score::baselines(&alone).unwrap().remove(0);
        assert_eq!(constant.describe(), constants[at].describe());
        // The subsets are those of the folder alone.
        let first = if at == 0 { 0 } else { 40 };
        let own = |rows: &[usize], own: &[usize]| {
            rows.iter().filter(|&&row| both.dataset.origin(row) == at).map(|row| row - first).eq(own.iter().copied())
        };
        assert!(own(&both.split.train, &alone.split.train) && own(&both.split.test, &alone.split.test));
    }
    // The reader options apply to all folders without their own.
    let grey = Plan::new(on(dir.path(), &folders, &["data.open.channels=1"])).unwrap();
    assert_eq!(grey.schema.channels, 1);
    // All sixteen scans are counted.
    let order = mtl_data::concat::spread(&*both.dataset, &both.split.train);
    assert!(order[..6].iter().any(|&row| both.dataset.origin(row) == 1));
}

#[derive(Default)]
struct Notes(Vec<String>);

impl Observer for Notes {
    fn event(&mut self, event: &Event) {
        if let Event::Started { notes, .. } = event {
            self.0.extend(notes.iter().cloned());
        }
    }
}

#[test]
fn a_run_describes_its_sources_and_is_used_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let folders = folders(dir.path());
    let mut notes = Notes::default();
    let config = on(dir.path(), &folders, &[JOINT, "data.sampling=uniform", "budget.steps=2"]);
    let run = train(config, &mut [&mut notes], &AtomicBool::new(false)).unwrap().run;
    let text = notes.0.join("\n");
    for words in [
        "source photos: 40 images (28 training, 6 validation, 6 test), labels: kind 40; 50.0 % of the training samples (uniform)",
        "source scans: 16 images (12 training, 2 validation, 2 test), labels: mask 16; 50.0 %",
    ] {
        assert!(text.contains(words), "{text}");
    }
    let warned = |mixing: &str, balancer: &str| {
        let plan = Plan::new(on(dir.path(), &folders, &[JOINT, mixing, balancer])).unwrap();
        plan.notes.iter().any(|note| note.contains("no batch has labels of both `kind` and `mask`"))
    };
    assert!(warned("data.sampling=round_robin", "balancer=pcgrad"));
    assert!(
        !warned("data.sampling=uniform", "balancer=pcgrad") && !warned("data.sampling=round_robin", "balancer=dwa")
    );
    let held_out = evaluate(&run, None, None).unwrap();
    assert_eq!((held_out.images, held_out.scores.len(), held_out.warning), (8, 3, None));
    // A training folder is recognised; images of no folder are not.
    let scans = evaluate(&run, Some(&folders[1]), None).unwrap();
    assert!(scans.warning.unwrap().contains("14 of the 16 images"), "{:?}", scans.scores);
    assert_eq!(scans.scores[0].task, "mask");
    let images = vec![folders[0].join("3.png"), folders[1].join("3.png")];
    let seen = predict(&run, &PredictRequest { images, ..Default::default() }, None).unwrap();
    assert!(seen.images.iter().all(|image| image.as_ref().is_ok_and(|image| image.tasks.len() == 2)));
    for picture in ["kind", "mask", "reconstruction"] {
        assert!(run.join(format!("predictions/{picture}.png")).exists(), "{picture}");
    }
    // A run cannot be resumed after a change of any of its folders.
    let table = fs::read_to_string(folders[1].join("manifest.csv")).unwrap();
    fs::write(folders[1].join("manifest.csv"), table.lines().take(15).collect::<Vec<_>>().join("\n")).unwrap();
    let error = resume(&run, &mut [], &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(error.contains("the data has changed"), "{error}");
}

#[test]
fn tasks_are_chosen_and_renamed_per_folder() {
    let dir = tempfile::tempdir().unwrap();
    let [photos, scans] = folders(dir.path());
    let (photos, scans) = (photos.display().to_string(), scans.display().to_string());
    let with = |entries: String, more: &[&str]| {
        tiny(dir.path(), &[&[&*format!("data.sources=[{entries}]"), GROUP, JOINT, "budget.steps=1"], more].concat())
    };
    let entries =
        format!("{{path=\"{photos}\",name=\"field\",rename={{kind=\"what\"}}}},{{path=\"{scans}\",tasks=[]}}");
    let run = whole(with(entries, &[]));
    let plan = Plan::new(mtl_train::store::read_config(&run).unwrap()).unwrap();
    let names: Vec<&str> = plan.schema.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!((names, plan.dataset.origins()), (vec!["what"], vec!["field".into(), "scans".into()]));
    // The folder itself, and a copy of it elsewhere, are scored under the new name.
    let copy = dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(&photos).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    for folder in [Path::new(&photos), &copy] {
        let scored = evaluate(&run, Some(folder), None).unwrap();
        assert_eq!((scored.scores[0].task.as_str(), scored.images), ("what", 40));
        assert!(scored.warning.unwrap().contains("34 of the 40"));
    }

    for (entries, more, words) in [
        (format!("{{path=\"{photos}\"}},{{path=\"{photos}\"}}"), "seed=0", "photos is listed twice"),
        (format!("{{path=\"{photos}\",tasks=[\"knd\"]}}"), "seed=0", "did you mean `kind`?"),
        (
            format!("{{path=\"{photos}\"}},{{path=\"{scans}\",rename={{mask=\"kind\"}}}}"),
            "seed=0",
            "source `scans`. If they are two tasks",
        ),
        (
            format!("{{path=\"{photos}\"}}"),
            "data.sampling.temperature.t=0.5",
            "data.sampling: temperature t = 0.5: at least 1",
        ),
    ] {
        let found = refused(with(entries, &[more]));
        assert!(found.contains(words), "{found} lacks: {words}");
    }
    let mut both = with(format!("{{path=\"{photos}\"}}"), &[]);
    both.data.path = Some(scans.into());
    assert!(refused(both).contains("data.path is given too"));
}

#[test]
fn depth_maps_of_all_folders_have_one_encoding() {
    let dir = tempfile::tempdir().unwrap();
    let folders = ["near", "far", "plain"].map(|name| dir.path().join(name));
    for folder in &folders {
        fs::create_dir_all(folder).unwrap();
        let with_depth = !folder.ends_with("plain");
        let mut table = String::from(if with_depth { "image,depth\n" } else { "image\n" });
        for row in 0..10_u8 {
            let grey = image::RgbImage::from_pixel(SIDE, SIDE, image::Rgb([row * 20; 3]));
            grey.save(folder.join(format!("{row}.png"))).unwrap();
            let depth = image::ImageBuffer::from_pixel(SIDE, SIDE, image::Luma([1000 + u16::from(row)]));
            depth.save(folder.join(format!("d{row}.png"))).unwrap();
            let cell = if with_depth { format!(",d{row}.png") } else { String::new() };
            table += &format!("{row}.png{cell}\n");
        }
        fs::write(folder.join("manifest.csv"), table).unwrap();
    }
    let plan = |scales: [f64; 3]| {
        let entry = |(folder, scale): (&PathBuf, f64)| {
            format!("{{path=\"{}\",open={{depth_scale={scale:?},depth_unit=\"m\"}}}}", folder.display())
        };
        let entries: Vec<String> = folders.iter().zip(scales).map(entry).collect();
        Plan::new(tiny(dir.path(), &[&format!("data.sources=[{}]", entries.join(",")), GROUP, JOINT]))
    };
    for (scales, words) in [
        ([0.001, 0.01, 1.0], ["open.depth_scale is 0.001", "near and 0.01 for"]),
        ([1.0, 0.01, 1.0], ["open.depth_scale is 1 ", "near and 0.01 for"]),
        ([0.001, 0.001, 0.5], ["near and 0.5 for", "plain: predictions of depth are written in one encoding"]),
    ] {
        let error = plan(scales).err().unwrap().to_string();
        assert!(words.iter().all(|words| error.contains(words)), "{error}");
    }
    // A folder without depth maps needs no scale.
    let same = plan([0.001, 0.001, 1.0]).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(!same.contains("depth_scale"), "{same}");
}
