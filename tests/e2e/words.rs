//! Commands that do not train: help, lists, checks.

use crate::pictures::folder;
use crate::program::Place;

#[test]
fn list_names_everything_in_one_line_each() {
    let place = Place::new();
    let all = place.run(["list"]).well().out;
    for name in [
        "tutorial",
        "resnet",
        "classification",
        "segmentation",
        "dense",
        "regression",
        "multi_label",
        "vae",
        "gan",
        "fixed",
        "uncertainty",
    ]
    .iter()
    .chain(&[
        "dwa",
        "pcgrad",
        "manifest",
        "oxford-pet",
        "cifar10",
        "idx",
        "voc",
        "yolo",
        "nnunet",
        "folder",
        "small",
        "standard",
        "light",
        "proportional",
        "round_robin",
    ]) {
        assert!(
            all.lines().any(|line| line.trim_start().starts_with(&format!("{name} "))),
            "{name} is missing in {all}"
        );
    }
    for what in ["trunks", "heads", "generators", "balancers", "readers", "samplers", "presets", "augment"] {
        let part = place.run(["list", what]).well().out;
        assert!(part.lines().count() >= 2 && part.lines().all(|line| all.contains(line)), "{what}: {part}");
    }
}

#[test]
fn balance_prints_the_weights_of_a_method() {
    let place = Place::new();
    let file = r#"{ "jacobian": [[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "losses": [0.7, 0.3] }"#;
    std::fs::write(place.path("step.json"), file).unwrap();
    // torchjd 0.18.0: UPGrad with reg_eps 1e-12, and its documentation's example.
    let output = place.run(["balance", "upgrad", "step.json", "--json"]).well().out;
    let parsed: serde_json::Value = serde_json::from_str(&output).unwrap();
    let numbers =
        |key: &str| -> Vec<f64> { parsed[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect() };
    for (found, expected) in
        numbers("vector").iter().zip([0.292_397_660_818_713_5, 1.900_584_795_321_637_5, 1.900_584_795_321_637_5])
    {
        assert!((found - expected).abs() < 1e-9, "{output}");
    }
    assert_eq!(numbers("weights").len(), 2);
    let table = place.run(["balance", "imtl-g", "step.json"]).well().out;
    assert!(table.contains("cosine with the update") && table.contains("length"), "{table}");
    std::fs::write(place.path("ragged.json"), r#"{ "jacobian": [[1.0], [1.0, 2.0]] }"#).unwrap();
    place.refuses(3, ["balance", "upgrad", "ragged.json"], &["ragged.json", "row 1", "2 numbers"]);
    std::fs::write(place.path("broken.json"), r#"{ "jacobian": [[1.0], }"#).unwrap();
    place.refuses(3, ["balance", "upgrad", "broken.json"], &["broken.json", "line 1"]);
    std::fs::write(place.path("below.json"), r#"{ "jacobian": [[1.0], [2.0]], "losses": [-1.0, 2.0] }"#).unwrap();
    place.refuses(3, ["balance", "log-sum", "below.json"], &["log_sum", "`0`", "-1"]);
    place.refuses(
        2,
        ["balance", "upgrad", "step.json", "--set", "gradients_wr=representation"],
        &["did you mean `gradients_wrt`"],
    );
    place.refuses(2, ["balance", "cagrad", "step.json", "--set", "c=-1"], &["balancer.cagrad.c", "at least 0"]);
    place.refuses(2, ["balance", "upgard", "step.json"], &["did you mean `upgrad`"]);
}

#[test]
fn help_has_examples_and_exit_codes() {
    let help = Place::new().run(["--help"]).well().out;
    for word in ["Examples:", "Exit codes:", "mtl train --data", "130 interrupted", "data check"] {
        assert!(help.contains(word), "{word}: {help}");
    }
}

#[test]
fn a_closed_pipe_does_not_panic() {
    use std::process::Stdio;
    let mut child = Place::new().command(["list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_sound_folder_is_described() {
    let place = Place::new();
    folder(&place.path("photos"), 6);
    let report = place.run(["data", "check", "photos"]).well().out;
    for word in ["disc", "square", "12 rows", "no problems"] {
        assert!(report.contains(word), "{word}: {report}");
    }
    let json = place.run(["data", "check", "photos", "--json"]).well().json();
    assert_eq!((json["rows"].as_u64(), json["broken"].as_array().map(Vec::len)), (Some(12), Some(0)));
}

#[test]
fn every_problem_of_a_folder_is_named() {
    let place = Place::new();
    folder(&place.path("photos"), 6);
    std::fs::write(place.path("photos/images/disc/00.png"), b"no image").unwrap();
    std::fs::write(place.path("photos/images/square/01.png"), b"").unwrap();
    std::fs::copy(place.path("photos/images/disc/02.png"), place.path("photos/images/square/02.png")).unwrap();
    let done = place.run(["data", "check", "photos"]);
    assert_eq!(done.code, Some(3), "{}{}", done.out, done.err);
    for word in ["disc/00.png", "square/01.png", "disc/02.png", "square/02.png", "REFUSED"] {
        assert!(done.out.contains(word), "{word}: {}", done.out);
    }
    assert!(done.err.contains("photos cannot be trained on: 4 problems"), "{}", done.err);
}

#[test]
fn the_supplied_palettes_can_be_read() {
    let dir = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/palettes"));
    let mut read = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        mtl_data::image::palette::Palette::read(&path).unwrap_or_else(|error| panic!("{error}"));
        read += 1;
    }
    assert!(read >= 3);
}
