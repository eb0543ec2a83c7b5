//! Predictions for folders and patterns: no result is written over another, and one table has them all.

use std::fs;
use std::path::PathBuf;

use mtl_train::{ErrorKind, Format, PredictRequest, predict};

use crate::other_data::class_folder;
use crate::{tiny, trained};

#[test]
fn folders_and_patterns_are_predicted_into_one_table() {
    let dir = tempfile::tempdir().unwrap();
    let run = trained(tiny(dir.path(), &["stages.run=[\"joint\"]", "budget.steps=1"]));
    let scans = dir.path().join("scans");
    class_folder(&scans, "monday", [200, 10, 10], 0, 2);
    class_folder(&scans, "tuesday", [10, 200, 10], 0, 2);
    fs::write(scans.join("tuesday/notes.txt"), "no image").unwrap();
    let predicted = |images: Vec<PathBuf>, format| predict(&run, &PredictRequest { images, format, out: None }, None);
    let found = predicted(vec![scans.clone()], Format::Csv).unwrap();
    assert_eq!((found.images.len(), found.total), (4, 4));
    assert!(found.notes.iter().any(|note| note.contains("1 file is not read (no image)")), "{:?}", found.notes);
    let table = found.table.unwrap();
    assert!(table.ends_with("predictions/images/predictions.csv"), "{}", table.display());
    let mut reader = csv::Reader::from_path(&table).unwrap();
    let header = reader.headers().unwrap().clone();
    let column =
        |name: &str| header.iter().position(|column| column == name).unwrap_or_else(|| panic!("{name}: {header:?}"));
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 4);
    let mut files = std::collections::BTreeSet::new();
    for (row, result) in rows.iter().zip(&found.images) {
        let image = result.as_ref().unwrap();
        assert_eq!(row[0], image.image.display().to_string());
        let best = image.tasks[0].probabilities.iter().map(|pair| pair.1).fold(0.0, f64::max);
        assert_eq!(row[column("class_probability")].parse::<f64>().unwrap(), best);
        let name = &row[column("class")];
        assert!(image.tasks[0].probabilities.iter().any(|(class, p)| class == name && *p == best));
        let shares =
            image.tasks[1].probabilities.iter().map(|(class, _)| &row[column(&format!("parts_share_{class}"))]);
        assert!((shares.map(|share| share.parse::<f64>().unwrap()).sum::<f64>() - 1.0).abs() < 1e-9);
        for file in ["parts_file", "depth_file"] {
            assert!(files.insert(row[column(file)].to_owned()), "written twice");
            assert!(PathBuf::from(&row[column(file)]).is_file());
        }
    }
    assert!(files.iter().any(|file| file.ends_with("predictions/images/monday/1_parts.png")), "{files:?}");

    // The next predictions have a folder of their own.
    let found = predicted(vec![scans.join("*/1.png")], Format::Json).unwrap();
    let table = found.table.unwrap();
    assert!(table.ends_with("predictions/images-2/predictions.jsonl"), "{}", table.display());
    assert_eq!(fs::read_to_string(&table).unwrap().lines().count(), 2);
    let out = Some(scans.clone());
    let error =
        predict(&run, &PredictRequest { images: vec![scans.clone()], out, format: Format::Csv }, None).unwrap_err();
    assert!(error.to_string().contains("is not empty"), "{error}");

    // Nothing to predict leaves nothing behind.
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let found = predicted(vec![empty, scans.join("*.bmp")], Format::Csv).unwrap();
    assert_eq!(found.table, None);
    for (result, words) in found.images.iter().zip(["hold no image", "no file matches"]) {
        let error = result.as_ref().unwrap_err();
        assert!(error.to_string().contains(words) && error.kind() == ErrorKind::Data, "{error}");
    }
    assert!(!run.join("predictions/images-3").exists());
}
