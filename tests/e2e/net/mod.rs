//! Regression tests: short seeded runs of every stage, preset and kind of balancer against recorded ones.
//!
//! Losses, gradients, skill and scores must agree to a tolerance on every machine, the weights' bytes on a processor like the
//! recording one. One test and one fixture (`tests/net/CASE.json`) per case.

mod cases;
mod fixture;
mod outcome;
mod processor;

use std::path::PathBuf;

use crate::pictures::{folder, folder_from, manifest};
use crate::program::Place;
use crate::snapshot;
use cases::{Case, Images};

/// Runs a case and compares its results with the fixture.
fn check(case: &Case) {
    let place = Place::new();
    let Some(data) = images(case, &place) else { return };
    if let Some(settings) = case.before {
        place.run(command(None, &data, settings)).well();
    }
    let args = match case.before {
        // Data, size and networks are those of the other run.
        Some(_) => command(Some("runs/case-0001"), &[], case.settings),
        None => {
            let preset = case.preset.map(|preset| ["--preset".to_owned(), preset.to_owned()]);
            let mut args = command(None, &data, case.settings);
            args.extend(preset.into_iter().flatten());
            args
        }
    };
    place.run(&args).well();
    let run = place.path(if case.before.is_some() { "runs/case-0002" } else { "runs/case-0001" });
    let found = outcome::Outcome::read(&run);
    fixture::Fixture::new(case.name, shown(&args)).check(&found, &processor::kind());
}

/// `train` with these settings.
fn command(init_from: Option<&str>, data: &[PathBuf], settings: &[&[&str]]) -> Vec<String> {
    let mut args: Vec<String> = ["train", "--name", "case"].map(str::to_owned).into();
    args.extend(init_from.into_iter().flat_map(|run| ["--init-from".to_owned(), run.to_owned()]));
    args.extend(data.iter().flat_map(|data| ["--data".to_owned(), data.display().to_string()]));
    args.push("--set".to_owned());
    args.extend(settings.iter().flat_map(|group| group.iter().map(|setting| (*setting).to_owned())));
    args
}

/// The command as a line, without the path of the photographs.
fn shown(args: &[String]) -> String {
    let word = |word: &String| match word.rsplit_once('/') {
        Some((_, name)) if word.starts_with('/') => name.to_owned(),
        _ => word.clone(),
    };
    format!("mtl {}", args.iter().map(word).collect::<Vec<_>>().join(" "))
}

/// Folders of a case; `None` if its photographs are absent.
fn images(case: &Case, place: &Place) -> Option<Vec<PathBuf>> {
    match case.images {
        Images::Scenes => return Some(Vec::new()),
        Images::Folder => folder(&place.path("photos"), 20),
        Images::Manifest => manifest(&place.path("photos"), 42),
        Images::TwoFolders => {
            folder(&place.path("photos"), 12);
            folder_from(&place.path("scans"), 12, 16);
            return Some(vec!["photos".into(), "scans".into()]);
        }
        Images::Leaves => return snapshot::photographs("coffee-leaf").map(|path| vec![path]),
    }
    Some(vec!["photos".into()])
}

/// A fixture without a case would never be compared.
#[test]
fn every_fixture_has_its_case() {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/net"));
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(cases::CASES.iter().any(|case| case.name == name), "{}", path.display());
    }
}
