//! Bad input: a clear error with a suggestion, the right exit code, and nothing lost.

use crate::pictures::{folder, picture};
use crate::program::{Done, Place, tiny};

#[test]
fn mistyped_words_get_a_suggestion_and_exit_code_2() {
    let place = Place::new();
    let refuses = |args: &[&str], words: &[&str]| place.refuses(2, args, words);
    refuses(&["trian"], &["trian", "train"]);
    refuses(&["train", "--sead", "1"], &["--sead", "--seed"]);
    refuses(&["train", "--seed", "many"], &["many", "--seed"]);
    refuses(&["train", "--seed", "-1"], &["invalid value '-1' for '--seed"]);
    refuses(&["train", "--steps", "-1"], &["invalid value '-1' for '--steps"]);
    refuses(&["train", "--steps", "4", "--minutes", "1"], &["--steps", "--minutes", "cannot be used with"]);
    refuses(&["train", "--preset", "standrd"], &["did you mean `standard`"]);
    refuses(&["train", "--set", "stages.joint.bach=4"], &["bach", "did you mean `batch`"]);
    refuses(&["train", "--set", "stges.joint.batch=4"], &["stges", "did you mean `stages`"]);
    refuses(&["train", "--set", "stages.jont.batch=4"], &["jont", "did you mean `joint`"]);
    refuses(&["train", "--set", "balancer=pcgard"], &["did you mean `pcgrad`"]);
    refuses(&["train", "--set", "stages.joint.batch"], &["`=` is missing"]);
    refuses(
        &["train", "--set", "stages.joint.batch=x"],
        &["stages.joint.batch=x", "expected a whole number, 0 or above"],
    );
    refuses(&["train", "--set", "data.tasks=['clas']"], &["clas", "did you mean `class`"]);
    refuses(&["train", "--set", "heads.part.segmentation={}"], &["part", "did you mean `parts`"]);
    refuses(&["train", "--config", "run.toml"], &["configuration run.toml does not exist"]);
    refuses(&["list", "trunk"], &["trunk", "trunks"]);
    refuses(&["data", "chek", "."], &["chek", "check"]);
    refuses(&["data", "check", ".", "--reader", "yollo"], &["did you mean `yolo`"]);
    assert!(!place.path("runs").exists(), "nothing is written before everything is checked");
}

#[test]
fn impossible_values_are_refused_with_the_allowed_range() {
    let place = Place::new();
    let refuses = |args: &[&str], words: &[&str]| place.refuses(2, tiny(args), words);
    refuses(&["--size", "33"], &["33 is not divisible by 8", "40"]);
    refuses(&["--size", "512"], &["32 to 256"]);
    refuses(&["--size", "64by64"], &["64x128"]);
    refuses(&["--device", "gpu"], &["gpu", "cpu"]);
    refuses(&["--steps", "0"], &["steps"]);
    refuses(&["--name", "../elsewhere"], &["../elsewhere"]);
    assert!(!place.path("runs").exists());
}

#[test]
fn folders_that_do_not_match_are_refused_with_a_remedy() {
    let place = Place::new();
    folder(&place.path("shapes"), 6);
    folder(&place.path("others"), 6);
    std::fs::rename(place.path("others/images/disc"), place.path("others/images/ring")).unwrap();
    std::fs::rename(place.path("others/masks/disc"), place.path("others/masks/ring")).unwrap();
    let both = |second: &str, more: &[&str]| -> Vec<String> {
        let args = [&["train", "--data", "shapes", "--data", second, "--set", "size='32'"], more].concat();
        args.into_iter().map(str::to_owned).collect()
    };
    place.refuses(
        2,
        both("others", &[]),
        &["task `class`", "disc, square", "ring, square", "rename", "`shapes`", "`others`"],
    );
    place.refuses(2, both("shapes", &[]), &["shapes is listed twice"]);
    place.refuses(3, both("shape", &[]), &["folder shape does not exist", "did you mean shapes?"]);
    place.refuses(2, both("others", &["data.sampling=unifrom"]), &["did you mean `uniform`"]);
    place.refuses(
        2,
        both("others", &["data.sampling.temperature.t=0"]),
        &["data.sampling: temperature t = 0: at least 1"],
    );
    let file = "[[data.sources]]\npath = 'shapes'\n[[data.sources]]\npath = 'others'\nrename = { class = 'other' }\n";
    std::fs::write(place.path("run.toml"), file).unwrap();
    let advice = "--set model.trunk.resnet.norm=group heads.mask.segmentation.norm=group";
    place.refuses(2, ["train", "--config", "run.toml"], &["shapes, others", advice]);
    assert!(!place.path("runs").exists());
}

#[test]
fn mistakes_in_a_file_have_line_and_column() {
    let place = Place::new();
    std::fs::write(place.path("run.toml"), "seed = 1\n\n[stages.joint]\nbatch = 8\npatence = 1\n").unwrap();
    place.refuses(2, ["train", "--config", "run.toml"], &["run.toml:5:1", "did you mean `patience`"]);
    place.refuses(2, ["train", "--config", "runn.toml"], &["did you mean run.toml?"]);
}

#[test]
fn folders_without_usable_images_are_exit_code_3() {
    let place = Place::new();
    std::fs::create_dir(place.path("empty")).unwrap();
    place.refuses(3, ["train", "--data", "empty"], &["empty", "no images"]);
    place.refuses(3, ["train", "--data", "emty"], &["folder emty does not exist", "did you mean empty?"]);
    place.refuses(3, ["train", "--data", "nowhere/photos"], &["directory nowhere does not exist"]);
    std::fs::write(place.path("empty/notes.txt"), "hello").unwrap();
    std::fs::create_dir(place.path("empty/images")).unwrap();
    place.refuses(3, ["train", "--data", "empty"], &["images/ (empty)", "notes.txt", "understood are"]);
    assert!(!place.path("runs").exists());
}

#[test]
fn labels_that_cannot_be_used_are_exit_code_3() {
    let place = Place::new();
    folder(&place.path("singleton"), 6);
    std::fs::create_dir(place.path("singleton/images/star")).unwrap();
    picture(true, 50).0.save(place.path("singleton/images/star/0.png")).unwrap();
    place.refuses(3, ["train", "--data", "singleton"], &["star", "one image only"]);
    folder(&place.path("odd"), 6);
    let (_, mask) = picture(true, 0);
    image::imageops::crop_imm(&mask, 0, 0, 16, 32).to_image().save(place.path("odd/masks/disc/00.png")).unwrap();
    place.refuses(3, ["train", "--data", "odd", "--set", "data.open.max_broken=0"], &["masks/disc/00.png", "16"]);
    folder(&place.path("broken"), 6);
    for n in 0..4 {
        std::fs::write(place.path(format!("broken/images/disc/{n:02}.png")), b"no image").unwrap();
    }
    place.refuses(
        3,
        ["train", "--data", "broken"],
        &["4 files: not an image", "disc/00.png", "disc/02.png", "may be skipped"],
    );
}

#[test]
fn folders_that_are_not_runs_are_refused() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("runs/photos-0001")).unwrap();
    place.refuses(
        2,
        ["resume", "runs/photos-0002"],
        &["run folder runs/photos-0002 does not exist", "did you mean runs/photos-0001?"],
    );
    std::fs::write(place.path("runs/notes.txt"), "hello").unwrap();
    for verb in ["resume", "eval", "generate"] {
        place.refuses(1, [verb, "runs/photos-0001"], &["is not a run folder", "config.toml"]);
        place.refuses(1, [verb, "runs/notes.txt"], &["runs/notes.txt: is a file; name the run's folder"]);
    }
    place.refuses(2, ["predict", "runs/photos-0001"], &["IMAGE"]);
}

#[test]
fn mask_values_are_classes() {
    let place = Place::new();
    folder(&place.path("photos"), 6);
    let grey = |value: u8| image::GrayImage::from_fn(32, 32, |x, _| image::Luma([if x < 16 { 0 } else { value }]));
    for n in 0..3 {
        grey(77).save(place.path(format!("photos/masks/disc/{n:02}.png"))).unwrap();
    }
    // Without a palette every value is a class, with a note.
    let report = place.run(["data", "check", "photos"]).well().out;
    assert!(report.contains("taken as 3 classes: background, 77, 255"), "{report}");
    std::fs::write(place.path("photos/palette.csv"), "value,name\n0,background\n255,shape\n").unwrap();
    place.refuses(3, ["train", "--data", "photos"], &["masks/disc/00.png", "masks/disc/02.png", "77"]);
}

#[test]
fn weights_of_another_model_are_refused_without_a_backtrace() {
    let place = Place::new();
    place.train(&["--steps", "1", "--name", "run", "--set", "stages.run=['joint']"]).well();
    let config = place.path("runs/run-0001/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let changed = text.replace("    16,\n", "    24,\n");
    assert_ne!(changed, text);
    std::fs::write(&config, changed).unwrap();
    for verb in ["eval", "resume"] {
        let done = Done::from(place.command([verb, "runs/run-0001"]).env("RUST_BACKTRACE", "1").output().unwrap());
        assert_eq!(done.code, Some(1), "{}", done.err);
        for word in ["checkpoints/joint-00000001-done", "another model", "trunk.stage3", "[16", "[24"] {
            assert!(done.err.contains(word), "{word}: {}", done.err);
        }
        assert_eq!(done.err.trim_end().lines().count(), 1, "{}", done.err);
    }
}

#[test]
fn a_diverging_run_is_exit_code_4_and_keeps_what_was_good() {
    let place = Place::new();
    let wild = [
        "stages.run=['joint']",
        "stages.joint.schedule.lr=1e30",
        "stages.joint.clip_grad_norm=0.0",
        "output.checkpoint_every=1",
    ];
    let train = |name: &str, evaluations: &str| {
        let more = [&["--steps", "10", "--name", name, "--set", evaluations][..], &wild].concat();
        place.refuses(4, tiny(&more), &["is not finite at joint step", "try a lower learning rate"]);
        place.run(["eval", &format!("runs/{name}-0001")])
    };
    // In a loss or gradient, after saved steps ...
    let done = train("loss", "stages.joint.validations=1");
    assert!(!done.err.contains("panicked") && !done.err.contains("hint"), "{}", done.err);
    let last = mtl_train::store::checkpoint::Checkpoint::load(&place.path("runs/loss-0001/checkpoints/last")).unwrap();
    assert!(last.state.step >= 1);
    // ... or in the predictions of the first validation, before the first checkpoint.
    let done = train("prediction", "stages.joint.validations=10");
    assert_eq!(done.code, Some(1), "{}", done.err);
    assert!(done.err.contains("has not saved one yet"), "{}", done.err);
}
