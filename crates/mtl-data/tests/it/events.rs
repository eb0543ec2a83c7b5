//! Events of opening and splitting a data set.

use std::fs;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use mtl_data::{Inventory, OpenOptions, Splits, Wanted, open, split};
use mtl_rng::Seed;

use crate::folders::{colour, save};

/// Collects the lines of all events.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The events of `body`, one per line.
fn events(body: impl FnOnce()) -> Vec<String> {
    // With one subscriber alone, an event that another test meets first is off for all: `tracing` then asks only that thread.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(io::sink).finish());
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, body);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn line<'a>(lines: &'a [String], message: &str) -> &'a str {
    lines.iter().find(|line| line.contains(message)).unwrap_or_else(|| panic!("no `{message}` in {lines:#?}"))
}

#[test]
fn counts_of_files_duplicates_and_splits_are_logged() {
    let temp = tempfile::tempdir().unwrap();
    for at in 0..8_u8 {
        save(
            temp.path(),
            &format!("{}/{at}.png", ["a", "b"][usize::from(at % 2)]),
            colour(if at == 7 { 5 } else { at } * 20),
        );
    }
    fs::write(temp.path().join("a/broken.png"), b"no image").unwrap();
    let mut known = None;
    let first = events(|| {
        let data = open(temp.path(), &OpenOptions::default()).unwrap();
        Splits::new(&*data, &split::Config::default(), Seed::new(1)).unwrap();
        known = Some(Arc::new(Inventory::new(&*data, Wanted::CONTENT).unwrap()));
    });
    let scanned = line(&first, "files scanned");
    assert!(scanned.contains("rows=9 reused=0 read=8"), "{scanned}");
    let skipped = line(&first, "rows skipped");
    assert!(
        skipped.contains("INFO") && skipped.contains("broken_rows=1") && skipped.contains("broken.png"),
        "{skipped}"
    );
    assert!(line(&first, "duplicates searched").contains("rows=8 duplicates=1"), "{first:#?}");
    let sizes = line(&first, ": split ");
    assert!(sizes.contains("left_out=0"), "{sizes}");

    let second = events(|| drop(open(temp.path(), &OpenOptions { known, ..OpenOptions::default() }).unwrap()));
    let scanned = line(&second, "files scanned");
    assert!(scanned.contains("rows=9 reused=8 read=0"), "{scanned}");
    assert!(first.len() <= 6, "events per image: {first:#?}");
}
