//! The main use: a run on a tiny folder, then evaluation, prediction and generation with it.

use crate::pictures::{folder, picture};
use crate::program::{Done, Place, contents};

fn plain(done: &Done) {
    for text in [&done.out, &done.err] {
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\n'),
            "control characters without a terminal: {text:?}"
        );
    }
}

#[test]
fn train_then_eval_predict_generate() {
    let place = Place::new();
    folder(&place.path("photos"), 20);
    let done = place.train(&["--data", "photos", "--steps", "4"]).well();
    plain(&done);
    for word in
        ["photos: 40 images at 32x32", "million parameters", "run     runs/photos-0001", "joint", "vae", "gan", "done"]
    {
        assert!(done.err.contains(word), "{word}: {}", done.err);
    }
    for word in
        ["accuracy ↑", "miou ↑", "baseline", "pictures", "mtl generate runs/photos-0001", "mtl predict", "mtl eval"]
    {
        assert!(done.out.contains(word), "{word}: {}", done.out);
    }
    let run = place.path("runs/photos-0001");
    for file in ["config.toml", "env.json", "metrics.jsonl", "log.txt", "samples", "predictions", "checkpoints/last"] {
        assert!(run.join(file).exists(), "{file}");
    }
    for line in done.out.lines().filter(|line| line.starts_with("  runs/") && line.ends_with(".png")) {
        image::open(place.path(line.trim())).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    evaluates(&place);
    predicts(&place);
    generates(&place);
    let done = place.run(["resume", "runs/photos-0001"]);
    assert!(!done.err.contains("panicked"), "{}", done.err);
}

fn evaluates(place: &Place) {
    let table = place.run(["eval", "runs/photos-0001"]).well();
    plain(&table);
    assert!(table.out.contains("held-out images") && table.out.contains("accuracy ↑"), "{}", table.out);
    let json = place.run(["eval", "runs/photos-0001", "--json"]).well().json();
    assert_eq!(json["part"], "test");
    let tasks: Vec<&str> = json["scores"].as_array().unwrap().iter().filter_map(|task| task["task"].as_str()).collect();
    assert!(tasks.contains(&"class") && tasks.contains(&"mask"), "{tasks:?}");
    for score in json["scores"].as_array().unwrap().iter().flat_map(|task| task["scores"].as_array().unwrap()) {
        assert!(score["value"].as_f64().is_some_and(f64::is_finite), "{score}");
    }
    assert!(json["warning"].is_null(), "{json}");
    other_images(&place.path("others"), 3);
    let json = place.run(["eval", "runs/photos-0001", "--data", "others", "--json"]).well().json();
    assert_eq!((json["part"].as_str(), json["images"].as_u64()), (Some("all"), Some(6)));
    assert!(json["warning"].is_null(), "{json}");
}

/// A folder like that of the run, without one of its images.
fn other_images(dir: &std::path::Path, each: u32) {
    folder(dir, each);
    for (class, round) in [("disc", true), ("square", false)] {
        for n in 0..each {
            let (image, mask) = picture(round, 50 + n);
            image.save(dir.join(format!("images/{class}/{n:02}.png"))).unwrap();
            mask.save(dir.join(format!("masks/{class}/{n:02}.png"))).unwrap();
        }
    }
}

#[test]
fn scores_on_training_images_are_marked() {
    let place = Place::new();
    folder(&place.path("photos"), 20);
    place.train(&["--data", "photos", "--steps", "1", "--set", "stages.run=['joint']"]).well();
    let warned = |dir: &str, words: &[&str]| {
        let done = place.run(["eval", "runs/photos-0001", "--data", dir, "--json"]).well();
        let warning = done.json()["warning"].as_str().unwrap_or_else(|| panic!("{dir}: {}", done.out)).to_owned();
        for word in words {
            assert!(warning.contains(word) && done.err.contains(word), "{word}: {warning}, {}", done.err);
        }
    };
    // 15 % of 20 images per class are test images: 40 - 6.
    warned("photos", &["34 of the 40 images in photos", "flatter"]);
    // Copies under other names, among other images: three images of one class are held out.
    other_images(&place.path("mixed"), 3);
    for kind in ["images", "masks"] {
        for n in 0..20 {
            let copy = place.path(format!("mixed/{kind}/disc/copy {n}.png"));
            std::fs::copy(place.path(format!("photos/{kind}/disc/{n:02}.png")), copy).unwrap();
        }
    }
    warned("mixed", &["17 of the 26 images in mixed"]);
    // The folder has changed: the training images are unknown now, but it is the same folder.
    std::fs::remove_file(place.path("photos/images/disc/03.png")).unwrap();
    std::fs::remove_file(place.path("photos/masks/disc/03.png")).unwrap();
    warned("photos", &["photos is the folder the run was trained on", "has changed", "flatter"]);
    folder(&place.path("photos"), 20);
}

#[test]
fn moved_data_is_named_and_recognised() {
    let place = Place::new();
    folder(&place.path("photos"), 20);
    let joint = ["--set", "stages.run=['joint']"];
    place.train(&[&["--data", "photos", "--steps", "1"][..], &joint].concat()).well();
    let scores = |args: &[&str]| place.run(args).well().json()["scores"].clone();
    let held_out = scores(&["eval", "runs/photos-0001", "--json"]);
    std::fs::rename(place.path("photos"), place.path("my photos (1)")).unwrap();
    for verb in ["eval", "resume"] {
        place.refuses(3, [verb, "runs/photos-0001"], &["its data is gone", "photos", "`--data NEW`"]);
    }
    let args = ["eval", "runs/photos-0001", "--data", "my photos (1)", "--json"];
    let done = place.run(args).well();
    assert_eq!((done.json()["part"].as_str(), &done.json()["scores"]), (Some("test"), &held_out));
    assert!(done.err.contains("holds the data of the run: its held-out images are scored"), "{}", done.err);
    place.run(["resume", "runs/photos-0001", "--data", "my photos (1)"]).well();
    assert_eq!(scores(&["eval", "runs/photos-0001", "--json"]), held_out, "the run keeps the new place");
    // Other content is refused with counts.
    std::fs::remove_file(place.path("my photos (1)/images/disc/03.png")).unwrap();
    let missing = "1 row is missing (images/disc/03.png)";
    place.refuses(3, ["resume", "runs/photos-0001", "--data", "my photos (1)"], &[missing, "start a new run"]);
    // A run is named after any folder, and a name that cannot be one is refused.
    let done = place.train(&[&["--data", "my photos (1)", "--steps", "1"][..], &joint].concat()).well();
    assert!(done.err.contains("runs/my-photos-1-0001"), "{}", done.err);
    place.refuses(
        2,
        ["train", "--data", "my photos (1)", "--name", "a/b"],
        &["a run's name is made of", "`--name NAME`"],
    );
}

#[test]
fn folders_and_patterns_are_predicted() {
    let place = Place::new();
    folder(&place.path("photos"), 20);
    place.train(&["--data", "photos", "--steps", "1", "--set", "stages.run=['joint']"]).well();
    std::fs::rename(place.path("runs/photos-0001"), place.path("runs/my run")).unwrap();
    for (name, seed) in [("scans/a/1.png", 60), ("scans/b/1.png", 61), ("scans/b/2.png", 62), ("my photo.png", 63)] {
        std::fs::create_dir_all(place.path(name).parent().unwrap()).unwrap();
        picture(true, seed).0.save(place.path(name)).unwrap();
    }
    std::fs::write(place.path("scans/notes.txt"), "words").unwrap();
    let done = place.run(["predict", "runs/my run", "scans", "--out", "seen"]).well();
    assert!(done.err.contains("1 file is not read (no image): scans/notes.txt"), "{}", done.err);
    assert!(done.out.ends_with("table  seen/predictions.csv\n"), "{}", done.out);
    for file in ["a/1_mask.png", "b/1_mask.png", "b/1_mask_overlay.png", "b/2_mask.png"] {
        assert!(place.path("seen").join(file).exists(), "{file}");
    }
    let table = std::fs::read_to_string(place.path("seen/predictions.csv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines.len() == 4 && lines[0].starts_with("image,class,class_probability,mask_file,mask_share_"), "{table}");
    assert!(lines[1].starts_with("scans/a/1.png,"), "{table}");
    place.run(["predict", "runs/my run", "scans/*/1.png", "--out", "lines", "--format", "json"]).well();
    let text = std::fs::read_to_string(place.path("lines/predictions.jsonl")).unwrap();
    let value: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert!(text.lines().count() == 2 && value["class_probability"].is_f64(), "{text}");
    place.refuses(2, ["predict", "runs/my run", "scans", "--out", "seen"], &["seen is not empty"]);
    // Names with spaces that a shell has cut.
    place.refuses(3, ["predict", "runs/my run", "my", "photo.png"], &["put quotes around", "'my photo.png'"]);
    place.refuses(2, ["predict", "runs/my", "run", "scans"], &["put quotes around", "'runs/my run'"]);
    std::fs::create_dir(place.path("empty")).unwrap();
    place.refuses(3, ["predict", "runs/my run", "empty"], &["hold no image", "1 of 1 images could not be used"]);
    place.refuses(3, ["predict", "runs/my run", "scans/*.bmp"], &["no file matches this pattern"]);
    // One of several that cannot be used: the others are predicted, and the exit code says so.
    std::fs::write(place.path("scans/a/broken.png"), "no image").unwrap();
    let done = place.run(["predict", "runs/my run", "scans", "--out", "most"]);
    assert_eq!(done.code, Some(3), "{}", done.err);
    assert!(done.err.contains("1 of 4 images could not be used"), "{}", done.err);
    assert_eq!(std::fs::read_to_string(place.path("most/predictions.csv")).unwrap().lines().count(), 4);
}

fn predicts(place: &Place) {
    picture(true, 33).0.save(place.path("new.png")).unwrap();
    std::fs::write(place.path("broken.png"), b"no image").unwrap();
    let done =
        place.run(["predict", "runs/photos-0001", "new.png", "broken.png", "nwe.png", "--out", "seen", "--json"]);
    assert_eq!(done.code, Some(3), "{}", done.err);
    assert!(done.err.contains("broken.png") && done.err.contains("did you mean new.png?"), "{}", done.err);
    let json = done.json();
    assert!(json[1]["error"].is_string() && json[2]["error"].is_string(), "{json}");
    let tasks = json[0]["tasks"].as_array().unwrap();
    let class = tasks.iter().find(|task| task["kind"] == "classification").unwrap();
    let sum: f64 = class["probabilities"].as_array().unwrap().iter().filter_map(|pair| pair[1].as_f64()).sum();
    assert!((sum - 1.0).abs() < 1e-4, "{class}");
    let mask = tasks.iter().find(|task| task["kind"] == "segmentation").unwrap();
    for key in ["mask", "overlay"] {
        let path = mask[key].as_str().unwrap();
        assert!(path.starts_with("seen"), "{path}");
        let picture = image::open(place.path(path)).unwrap();
        assert_eq!((picture.width(), picture.height()), (32, 32));
    }
    let done = place.run(["predict", "runs/photos-0001", "new.png"]).well();
    plain(&done);
    assert!(done.out.contains("disc") && done.out.contains(" %") && done.out.contains("overlay"), "{}", done.out);
}

fn generates(place: &Place) {
    let draw = |out: &str, seed: &str, more: &[&str]| {
        let mut args = vec!["generate", "runs/photos-0001", "-n", "5", "--seed", seed, "--out", out, "--json"];
        args.extend(more);
        place.run(args).well().json()["images"].as_array().unwrap().len()
    };
    assert_eq!(draw("a", "1", &[]), 5);
    draw("b", "1", &[]);
    draw("c", "2", &[]);
    draw("d", "1", &["--generator", "vae", "--class", "disc"]);
    let images =
        |out: &str| contents(&place.path(out).join("images")).into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>();
    assert_eq!(images("a"), images("b"), "equal seeds give equal images");
    assert_ne!(images("a"), images("c"));
    assert_ne!(images("a"), images("d"));
    place.refuses(2, ["generate", "runs/photos-0001", "--class", "dics"], &["did you mean `disc`"]);
    place.refuses(2, ["generate", "runs/photos-0001", "--generator", "gann"], &["did you mean `gan`"]);
    uses_a_generator(place);
}

fn uses_a_generator(place: &Place) {
    let run = |more: &[&str]| place.run([&["generate", "runs/photos-0001", "--generator", "vae"][..], more].concat());
    let done = run(&["--like", "new.png", "--class", "disc", "--out", "like"]).well();
    assert!(done.err.contains("like    new.png: 300 steps from RMSE"), "{}", done.err);
    assert!(done.out.contains("new.png: class disc, RMSE ") && done.out.contains(" dB in 300 steps"), "{}", done.out);
    assert!(place.path("like/like.png").is_file() && place.path("like/images/00000.png").is_file());
    let done = run(&["--interpolate", "1", "2", "--frames", "4", "--out", "loop", "--json"]).well();
    assert_eq!(done.json()["animations"][1], "loop/interpolation.apng");
    assert!(done.err.contains("note: seeds are of class"), "{}", done.err);
    let done = run(&["-n", "3", "--class", "disc", "--edit", "class=square", "--predict", "--out", "edit"]).well();
    assert!(
        done.out.contains("before  3 files") && done.out.contains(" of 3 images are of their class"),
        "{}",
        done.out
    );
    run(&["-n", "4", "--truncation", "0.5", "--grid", "--out", "grid"]).well();
    assert_eq!(contents(&place.path("grid")).len(), 1);
    for (code, more, words) in [
        (2, &["--steps", "5"][..], "steps = 5: this generator"),
        (2, &["--truncation", "-1"], "truncation = -1.0: must be above 0"),
        (2, &["--edit", "colour=red"], "unknown key of an edit `colour`"),
        (2, &["--edit", "class"], "write class=NAME"),
        (2, &["--interpolate", "1", "2", "--like", "new.png"], "cannot be used with"),
        (3, &["--like", "nwe.png"], "did you mean new.png?"),
    ] {
        place.refuses(code, [&["generate", "runs/photos-0001"][..], more].concat(), &[words]);
    }
}

#[test]
fn built_in_scenes_and_json() {
    let place = Place::new();
    let done = place.train(&["--steps", "2", "--json", "--quiet"]).well();
    assert!(done.err.is_empty(), "quiet: {}", done.err);
    let json = done.json();
    assert_eq!(json["run"], "runs/scenes-0001");
    let kinds: Vec<&str> = json["scores"].as_array().unwrap().iter().filter_map(|task| task["kind"].as_str()).collect();
    for kind in ["classification", "segmentation", "dense"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
}

#[test]
fn generators_are_trained_on_the_trunk_of_another_run() {
    let place = Place::new();
    folder(&place.path("photos"), 20);
    place.train(&["--data", "photos", "--steps", "2", "--set", "stages.run=['joint']"]).well();
    // Data, size and networks are those of the other run.
    let args = ["train", "--init-from", "runs/photos-0001", "--steps", "2", "--set", "stages.run=['gan']"];
    let done = place.run(args).well();
    let lines: Vec<&str> = done.err.lines().collect();
    for words in ["40 images at 32x32", "trunk, heads, vae start from the weights of", "runs/photos-0002"] {
        assert!(lines.iter().any(|line| line.contains(words)), "{words}: {}", done.err);
    }
    // 40 images are few for a generator; the trunk is trained.
    assert!(!done.err.contains("untrained") && done.err.matches("warning").count() == 1, "{}", done.err);
    assert!(!lines.iter().any(|line| line.starts_with("joint")), "{}", done.err);
    place.run(["generate", "runs/photos-0002", "-n", "2"]).well();
    let done = place.train(&["--data", "photos", "--steps", "1", "--set", "stages.run=['gan']"]).well();
    assert!(done.err.contains("warning") && done.err.contains("model.init_from = RUN"), "{}", done.err);
    place.refuses(
        2,
        ["train", "--init-from", "runs/photos-0009"],
        &["run folder runs/photos-0009 does not exist", "did you mean runs/photos-000"],
    );
    place.refuses(2, ["train", "--init-from", "runs/photos-0001", "--preset", "small"], &["cannot be used with"]);
    place.refuses(
        2,
        ["train", "--init-from", "runs/photos-0001", "--size", "64"],
        &["size is 32x32 there and 64x64 here"],
    );
}

#[test]
fn runs_record_the_source_revision_of_the_program() {
    let git = |args: &[&str]| {
        let output = std::process::Command::new("git").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        output.ok().filter(|output| output.status.success()).map(|output| String::from_utf8(output.stdout).unwrap())
    };
    let Some(head) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        println!("skipped: these sources are in no git repository");
        return;
    };
    let place = Place::new();
    place.train(&["--steps", "1", "--set", "stages.run=['joint']"]).well();
    let text = std::fs::read_to_string(place.path("runs/scenes-0001/env.json")).unwrap();
    let named = serde_json::from_str::<serde_json::Value>(&text).unwrap()["git_revision"].as_str().unwrap().to_owned();
    // With uncommitted sources the revision alone would be wrong.
    let expected = [head.trim().to_owned(), format!("{}-changed", head.trim())];
    assert!(expected.contains(&named), "{named}, expected {expected:?}");
}

#[test]
fn a_run_is_never_overwritten() {
    let place = Place::new();
    let joint = ["--steps", "2", "--name", "mine", "--set", "stages.run=['joint']"];
    place.train(&joint).well();
    let before = contents(&place.path("runs/mine-0001"));
    place.train(&joint).well();
    assert!(place.path("runs/mine-0002/config.toml").is_file());
    assert_eq!(contents(&place.path("runs/mine-0001")), before);
    let weights = |run: &str| crate::program::weights(&place.path(run));
    assert_eq!(weights("runs/mine-0001"), weights("runs/mine-0002"), "equal seeds give equal weights");
}

#[test]
fn flags_reach_the_run() {
    let place = Place::new();
    std::fs::write(place.path("run.toml"), "seed = 5\nbalancer = { dwa = {} }\n[budget]\nepochs = 1\n").unwrap();
    place
        .train(&[
            "--config",
            "run.toml",
            "--seed",
            "9",
            "--steps",
            "2",
            "--size",
            "32x40",
            "--set",
            "stages.run=['joint']",
        ])
        .well();
    let config = std::fs::read_to_string(place.path("runs/scenes-0001/config.toml")).unwrap();
    for line in ["seed = 9", "size = \"32x40\"", "steps = 2", "[balancer.dwa]", "batch = 8"] {
        assert!(config.lines().any(|found| found == line), "{line}: {config}");
    }
    assert!(!config.contains("epochs"), "{config}");
}
