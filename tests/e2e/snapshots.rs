//! The program's words, as a person reads them: help, lists, and what is said about mistakes, with exit codes.
//!
//! Recorded in `tests/snapshots`, with paths and process numbers replaced.

use std::path::Path;

use crate::pictures::{folder, manifest, picture};
use crate::program::{Done, Place, tiny};
use crate::settings::*;
use crate::snapshot;

/// Commands and what came of them.
struct Transcript<'a> {
    place: &'a Place,
    text: String,
    commands: usize,
}

impl<'a> Transcript<'a> {
    fn new(place: &'a Place) -> Self {
        Self { place, text: String::new(), commands: 0 }
    }

    /// A command with everything it writes.
    fn run(&mut self, args: &[&str]) {
        let done = self.done(args);
        self.add(&args.join(" "), &done, &done.err);
    }

    /// A command without its result, which holds scores: those depend on the processor.
    fn run_without_result(&mut self, args: &[&str]) {
        let mut done = self.done(args);
        done.out.clear();
        self.add(&args.join(" "), &done, &done.err);
    }

    /// `train` with the smallest networks, from the error on: progress before it holds times.
    fn train(&mut self, args: &[&str]) {
        let done = self.done(&tiny(args));
        let start = done.err.find("error:").unwrap_or(0);
        self.add(&format!("train TINY {}", args.join(" ")), &done, &done.err[start..]);
    }

    fn done(&self, args: &[&str]) -> Done {
        let done: Done = self.place.command(args).env("COLUMNS", "100").output().unwrap().into();
        assert!(!done.err.contains("panicked"), "{args:?}: {}", done.err);
        done
    }

    fn add(&mut self, command: &str, done: &Done, err: &str) {
        let code = done.code.unwrap_or_else(|| panic!("{command}: ended by a signal"));
        let shown = [&format!("$ mtl {}\n", command.trim_end()), &done.out, err, &format!("exit code {code}\n\n")];
        self.text += &self.normalised(&shown.map(|part| part.to_owned()).concat());
        self.commands += 1;
    }

    /// Without what is another thing on every machine.
    fn normalised(&self, text: &str) -> String {
        let dir = self.place.path("");
        let mut text = text.to_owned();
        for dir in [dir.canonicalize().unwrap(), dir] {
            text = text.replace(dir.display().to_string().trim_end_matches('/'), "DIR");
        }
        for before in ["use by process ", "bytes instead of "] {
            let mut parts = text.split(before);
            let first = parts.next().unwrap_or_default().to_owned();
            text = parts
                .fold(first, |all, part| all + before + "N" + part.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        text
    }

    /// The same for mistakes, of which none may be accepted.
    fn check_refused(self, name: &str, fewest: usize) {
        assert!(!self.text.contains("exit code 0"), "{}", self.text);
        self.check(name, fewest);
    }

    fn check(self, name: &str, fewest: usize) {
        assert!(self.commands >= fewest, "{name}: {} commands", self.commands);
        snapshot::check(name, &self.text);
    }
}

#[test]
fn help() {
    let place = Place::new();
    for verb in
        ["", "train", "resume", "eval", "predict", "generate", "data", "data check", "balance", "compare", "list"]
    {
        let mut transcript = Transcript::new(&place);
        transcript.run(&verb.split_whitespace().chain(["--help"]).collect::<Vec<_>>());
        let name = format!("help {verb}");
        transcript.check(&name.trim_end().replace(' ', "-"), 1);
    }
}

#[test]
fn lists() {
    let place = Place::new();
    let help = place.run(["list", "--help"]).well().out;
    // As the help names them, so that a new list has its snapshot; the values of options stand below.
    let lists = help.split("Options:").next().unwrap_or_default();
    let names: Vec<&str> =
        lists.lines().filter_map(|line| line.trim_start().strip_prefix("- ")?.split(':').next()).collect();
    assert!(names.len() >= 8, "{help}");
    for name in names {
        let mut transcript = Transcript::new(&place);
        transcript.run(&["list", name]);
        transcript.check(&format!("list-{name}"), 1);
    }
}

#[test]
fn mistakes_on_the_command_line() {
    let place = Place::new();
    folder(&place.path("photos"), 6);
    let mut all = Transcript::new(&place);
    for args in [
        &["trian"][..],
        &["train", "--sead", "1"],
        &["train", "--seed", "many"],
        &["train", "--seed", "-1"],
        &["train", "--steps", "-1"],
        &["train", "--steps", "4", "--minutes", "1"],
        &["train", "--preset", "standrd"],
        &["train", "--plain", "--quiet"],
        &["train", "--config", "run.toml"],
        &["train", "--data", "photo"],
        &["train", "--data", "nowhere/photos"],
        &["resume"],
        &["predict", "runs/photos-0001"],
        &["generate", "runs/photos-0001", "-n", "-3"],
        &["eval", "runs/photos-0001"],
        &["list", "trunk"],
        &["data", "chek", "photos"],
        &["data", "check", "photos", "--reader", "foldr"],
        &["balance", "upgard", "step.json"],
    ] {
        all.run(args);
    }
    all.check_refused("errors-command-line", 19);
    assert!(!place.path("runs").exists());
}

#[test]
fn mistakes_in_the_configuration() {
    let place = Place::new();
    let mut all = Transcript::new(&place);
    for setting in MISTAKES {
        all.train(&[&["--set"][..], &setting.split(" ").collect::<Vec<_>>()].concat());
    }
    for args in [
        &["--size", "33"][..],
        &["--size", "512"],
        &["--size", "64by64"],
        &["--device", "gpu"],
        &["--device", "cuda:0"],
        &["--steps", "0"],
        &["--name", "../elsewhere"],
    ] {
        all.train(args);
    }
    for (name, text) in MISTAKEN_FILES {
        std::fs::write(place.path(name), text).unwrap();
        all.run(&["train", "--config", name]);
    }
    all.check_refused("errors-configuration", 30);
    assert!(!place.path("runs").exists());
}

#[test]
fn mistakes_in_the_data() {
    let place = Place::new();
    let mut all = Transcript::new(&place);
    std::fs::create_dir_all(place.path("empty")).unwrap();
    all.run(&["train", "--data", "empty"]);
    std::fs::create_dir_all(place.path("notes/images")).unwrap();
    std::fs::write(place.path("notes/notes.txt"), "hello").unwrap();
    all.run(&["train", "--data", "notes"]);
    folder(&place.path("broken"), 6);
    for n in 0..4 {
        std::fs::write(place.path(format!("broken/images/disc/{n:02}.png")), b"no image").unwrap();
    }
    all.run(&["train", "--data", "broken"]);
    all.run(&["data", "check", "broken"]);
    folder(&place.path("single"), 6);
    std::fs::create_dir(place.path("single/images/star")).unwrap();
    picture(true, 50).0.save(place.path("single/images/star/0.png")).unwrap();
    all.run(&["train", "--data", "single"]);
    folder(&place.path("crop"), 6);
    let (_, mask) = picture(true, 0);
    image::imageops::crop_imm(&mask, 0, 0, 16, 32).to_image().save(place.path("crop/masks/disc/00.png")).unwrap();
    all.run(&["data", "check", "crop", "--set", NONE_MAY_BE_BROKEN]);
    all.train(&["--data", "crop", "--set", NONE_MAY_BE_BROKEN]);
    folder(&place.path("colours"), 6);
    std::fs::write(place.path("colours/palette.csv"), "value,name\n0,background\n77,shape\n").unwrap();
    all.run(&["train", "--data", "colours"]);
    manifests(&place, &mut all);
    two_folders(&place, &mut all);
    all.check_refused("errors-data", 19);
    assert!(!place.path("runs").exists());
}

fn manifests(place: &Place, all: &mut Transcript<'_>) {
    manifest(&place.path("table"), 24);
    let file = place.path("table/manifest.csv");
    let good = std::fs::read_to_string(&file).unwrap();
    let with = |from: &str, to: &str| {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        std::fs::write(&file, text).unwrap();
    };
    with("image,", "colour,");
    all.run(&["data", "check", "table"]);
    with("images/03.png", "images/3.png");
    all.run(&["data", "check", "table", "--set", NONE_MAY_BE_BROKEN]);
    with("images/03.png,square,", "images/03.png,square,1,");
    all.run(&["data", "check", "table"]);
    with("images/04.png", "");
    all.run(&["data", "check", "table"]);
    std::fs::write(&file, "image,shape,split\nimages/00.png,disc,tests\n").unwrap();
    all.run(&["data", "check", "table"]);
    with("masks/00.png", "masks/nothing.png");
    all.run(&["data", "check", "table", "--set", NONE_MAY_BE_BROKEN]);
}

fn two_folders(place: &Place, all: &mut Transcript<'_>) {
    folder(&place.path("shapes"), 6);
    folder(&place.path("others"), 6);
    std::fs::rename(place.path("others/images/disc"), place.path("others/images/ring")).unwrap();
    std::fs::rename(place.path("others/masks/disc"), place.path("others/masks/ring")).unwrap();
    crate::pictures::folder_from(&place.path("more"), 20, 6);
    all.train(&["--data", "shapes", "--data", "others"]);
    all.train(&["--data", "shapes", "--data", "shapes"]);
    all.train(&["--data", "shapes", "--data", "more"]);
    all.train(&["--data", "shapes", "--data", "more", "--set", GROUP_NORM[0]]);
    all.train(&["--data", "shapes", "--data", "more", "--set", UNKNOWN_SAMPLING]);
}

#[test]
fn mistakes_with_runs() {
    let place = Place::new();
    let mut all = Transcript::new(&place);
    folder(&place.path("photos"), 20);
    std::fs::create_dir_all(place.path("runs/nothing-0001")).unwrap();
    std::fs::write(place.path("runs/notes.txt"), "hello").unwrap();
    for run in ["runs/nothing-0001", "runs/notes.txt", "runs/nothing-0002"] {
        all.run(&["resume", run]);
        all.run(&["eval", run]);
    }
    place.train(&["--data", "photos", "--name", "run", "--steps", "1", "--set", JOINT]).well();
    let run = "runs/run-0001";
    all.run(&["generate", run]);
    all.run(&["generate", run, "--generator", "gann"]);
    std::fs::write(place.path("broken.png"), b"no image").unwrap();
    all.run(&["predict", run, "broken.png", "brokn.png"]);
    all.run(&["eval", run, "--data", "nowhere"]);
    all.run(&["eval", run, "--device", "gpu"]);
    all.run(&["train", "--init-from", run, "--preset", "small"]);
    all.run(&["train", "--init-from", run, "--size", "64"]);
    all.run(&["train", "--init-from", "runs/run-0002"]);
    in_use(&place, &mut all, run);
    damaged(&place, &mut all, run);
    place.train(&["--data", "photos", "--name", "gan", "--steps", "1"]).well();
    all.run(&["generate", "runs/gan-0001", "--class", "dics"]);
    std::fs::remove_file(place.path("photos/images/disc/03.png")).unwrap();
    std::fs::remove_file(place.path("photos/masks/disc/03.png")).unwrap();
    all.run(&["resume", "runs/gan-0001"]);
    all.run(&["eval", "runs/gan-0001"]);
    std::fs::rename(place.path("photos"), place.path("moved")).unwrap();
    all.run(&["resume", "runs/gan-0001"]);
    all.train(&[&["--steps", "4", "--name", "wild", "--set", JOINT][..], DIVERGES].concat());
    all.check("errors-runs", 24);
}

fn in_use(place: &Place, all: &mut Transcript<'_>, run: &str) {
    let lock = std::fs::File::options().write(true).open(place.path(run).join("lock")).unwrap();
    lock.try_lock().unwrap();
    all.run(&["resume", run]);
}

/// Checkpoints that cannot be read, one kind of damage after the other, and a configuration of another network.
fn damaged(place: &Place, all: &mut Transcript<'_>, run: &str) {
    let checkpoint = place.path(run).join("checkpoints/last").canonicalize().unwrap();
    let mut changed = |file: &Path, change: &dyn Fn(&mut Vec<u8>)| {
        let good = std::fs::read(file).unwrap();
        let mut bytes = good.clone();
        change(&mut bytes);
        assert_ne!(bytes, good);
        std::fs::write(file, bytes).unwrap();
        all.run_without_result(&["eval", run]);
        std::fs::write(file, good).unwrap();
    };
    let replaced = |bytes: &mut Vec<u8>, from: &str, to: &str| {
        *bytes = String::from_utf8(bytes.clone()).unwrap().replace(from, to).into_bytes();
    };
    let weights = checkpoint.join("model.safetensors");
    changed(&weights, &|bytes| bytes.truncate(100));
    changed(&weights, &|bytes| *bytes.last_mut().unwrap() ^= 1);
    let manifest = checkpoint.join("MANIFEST.json");
    changed(&manifest, &|bytes| bytes.truncate(20));
    changed(&manifest, &|bytes| replaced(bytes, "\"format_version\": 1", "\"format_version\": 99"));
    let config = place.path(run).join("config.toml");
    changed(&config, &|bytes| replaced(bytes, "    16,\n", "    24,\n"));
    changed(&config, &|bytes| replaced(bytes, "seed = 0", "sead = 0"));
    std::fs::remove_dir_all(checkpoint).unwrap();
    all.run_without_result(&["eval", run]);
}

#[test]
fn mistakes_in_gradients() {
    let place = Place::new();
    let mut all = Transcript::new(&place);
    let mut file = |name: &str, text: &str, args: &[&str]| {
        std::fs::write(place.path(name), text).unwrap();
        all.run(&[&["balance"], args].concat());
    };
    file("ragged.json", r#"{ "jacobian": [[1.0], [1.0, 2.0]] }"#, &["upgrad", "ragged.json"]);
    file("broken.json", r#"{ "jacobian": [[1.0], }"#, &["upgrad", "broken.json"]);
    file("below.json", r#"{ "jacobian": [[1.0], [2.0]], "losses": [-1, 1] }"#, &["log-sum", "below.json"]);
    file("losses.json", r#"{ "jacobian": [[1.0], [2.0]], "losses": [1] }"#, &["upgrad", "losses.json"]);
    file("good.json", r#"{ "jacobian": [[1.0], [2.0]] }"#, &["upgrad", "good.json", "--set", "rout=features"]);
    file("good.json", r#"{ "jacobian": [[1.0], [2.0]] }"#, &["cagrad", "good.json", "--set", "c=-1"]);
    file("good.json", r#"{ "jacobian": [[1.0], [2.0]] }"#, &["krum", "good.json"]);
    file("good.json", r#"{ "jacobian": [[1.0], [2.0]] }"#, &["upgrad", "god.json"]);
    all.check_refused("errors-balance", 8);
}
