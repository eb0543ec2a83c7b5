//! Tests of [`super`].

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::scenes::{self, Scenes};

const SIZE: Size = Size { height: 16, width: 24 };

/// Scenes, with a row that fails, a row that panics, a row of the wrong size, and a count of how often was decoded.
struct Troubled {
    scenes: Scenes,
    broken: Option<usize>,
    panics: Option<usize>,
    short: Option<usize>,
    decoded: AtomicUsize,
}

impl Dataset for Troubled {
    fn schema(&self) -> &Schema {
        self.scenes.schema()
    }
    fn len(&self) -> usize {
        self.scenes.len()
    }
    fn row_name(&self, row: usize) -> String {
        self.scenes.row_name(row)
    }
    fn labels(&self, row: usize) -> Vec<crate::Labels> {
        self.scenes.labels(row)
    }
    fn sample(&self, row: usize, size: Size) -> Result<Sample, crate::Error> {
        self.decoded.fetch_add(1, Ordering::Relaxed);
        if self.broken == Some(row) {
            let source = std::io::Error::other("the file is torn");
            return Err(crate::Error::Io { path: "row.png".into(), source });
        }
        assert_ne!(self.panics, Some(row), "this row is cursed");
        let mut sample = self.scenes.sample(row, size)?;
        if self.short == Some(row) {
            sample.image.pop();
        }
        Ok(sample)
    }
}

fn troubled(count: usize) -> Troubled {
    let scenes = Scenes::new(scenes::Config { count, ..Default::default() }).unwrap();
    Troubled { scenes, broken: None, panics: None, short: None, decoded: AtomicUsize::new(0) }
}

/// A loader of all rows but the first.
fn loader(dataset: Troubled, config: Config) -> Loader {
    let rows = (1..dataset.len()).collect();
    Loader::new(Arc::new(dataset), rows, SIZE, config, Seed::new(9)).unwrap()
}

fn config(workers: usize) -> Config {
    Config { batch: 4, workers, ..Config::default() }
}

fn all(batches: impl Iterator<Item = Result<Batch, Error>>) -> Vec<Batch> {
    batches.collect::<Result<_, _>>().unwrap()
}

/// Target::Dense may hold NaN, which equals nothing; scenes have none.
fn assert_same(a: &[Batch], b: &[Batch]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!(a.rows, b.rows);
        assert!(a == b, "batches of rows {:?} differ", a.rows);
    }
}

#[test]
fn the_same_bytes_at_any_number_of_workers() {
    let reference = all(loader(troubled(30), config(1)).epoch(3, 0).unwrap());
    assert_eq!(reference.len(), 7); // 29 rows, batches of 4, the last one dropped
    for workers in [0, 2, 4] {
        assert_same(&reference, &all(loader(troubled(30), config(workers)).epoch(3, 0).unwrap()));
    }
    // Cached or not, and not the same in another epoch.
    let uncached = loader(troubled(30), Config { cache_bytes: 0, ..config(2) });
    assert_same(&reference, &all(uncached.epoch(3, 0).unwrap()));
    assert_ne!(reference[0].rows, uncached.epoch(4, 0).unwrap().next().unwrap().unwrap().rows);
    // Views differ from the rows as they are, and from epoch to epoch.
    let plain = batch_of(&troubled(30), &reference[0].rows, SIZE).unwrap();
    assert_eq!((plain.shape, &plain.targets[0]), ([4, 3, 16, 24], &reference[0].targets[0]));
    assert_ne!(plain.images, reference[0].images);
}

#[test]
fn an_epoch_visits_every_row_once_as_bytes_in_unit_range() {
    let plain = loader(troubled(10), Config { shuffle: true, ..Config::plain(4) });
    let batches = all(plain.epoch(0, 0).unwrap());
    assert_eq!(batches.iter().map(|batch| batch.rows.len()).collect::<Vec<_>>(), [4, 4, 1]);
    let mut rows: Vec<usize> = batches.iter().flat_map(|batch| batch.rows.clone()).collect();
    assert!(!rows.is_sorted());
    rows.sort_unstable();
    assert_eq!(rows, (1..10).collect::<Vec<_>>());

    let sample = troubled(10).scenes.sample(batches[0].rows[1], SIZE).unwrap();
    let second = &batches[0].images[3 * 16 * 24..2 * 3 * 16 * 24];
    for (value, byte) in second.iter().zip(&sample.image) {
        assert_eq!(*value, f32::from(*byte) / 127.5 - 1.0);
        assert!((-1.0..=1.0).contains(value));
    }
    let ordered = all(loader(troubled(10), Config::plain(100)).epoch(7, 0).unwrap());
    assert_eq!(ordered[0].rows, (1..10).collect::<Vec<_>>()); // fewer rows than a batch: all of them
}

#[test]
fn resuming_gives_what_would_have_come() {
    let loader = loader(troubled(30), config(2));
    let whole = all(loader.epoch(2, 0).unwrap());
    assert_same(&whole[5..], &all(loader.epoch(2, 5).unwrap()));
    assert_eq!(loader.epoch(2, 7).unwrap().count(), 0);

    // The endless stream returns its position, and continues into the next epoch.
    let places = |epoch, first| -> Vec<(u64, usize, Vec<usize>)> {
        let stream = loader.stream(epoch, first).unwrap().take(4);
        stream.map(|item| item.unwrap()).map(|(epoch, index, batch)| (epoch, index, batch.rows)).collect()
    };
    let expected: Vec<_> = all(loader.epoch(3, 0).unwrap()).into_iter().take(2).map(|batch| batch.rows).collect();
    let resumed = places(2, 5);
    assert_eq!(resumed.iter().map(|place| (place.0, place.1)).collect::<Vec<_>>(), [(2, 5), (2, 6), (3, 0), (3, 1)]);
    assert_eq!([&resumed[2].2, &resumed[3].2], [&expected[0], &expected[1]]);
    assert_eq!(places(2, 7), places(3, 0));
}

#[test]
fn the_only_batch_is_never_dropped() {
    let small = loader(troubled(4), Config { batch: 64, drop_last: true, ..config(2) });
    assert_eq!(small.batches(), 1);
    assert_eq!(all(small.epoch(0, 0).unwrap())[0].shape, [3, 3, 16, 24]);
    assert_eq!(small.stream(0, 0).unwrap().take(3).map(|item| item.unwrap().0).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn the_cache_saves_decoding_within_its_budget() {
    let decoded = |cache_bytes: usize| {
        let dataset = Arc::new(troubled(21));
        let config = Config { cache_bytes, ..config(2) };
        let loader = Loader::new(dataset.clone(), (0..20).collect(), SIZE, config, Seed::new(1)).unwrap();
        for epoch in 0..3 {
            all(loader.epoch(epoch, 0).unwrap());
        }
        assert!(loader.cached_bytes() <= cache_bytes);
        (dataset.decoded.load(Ordering::Relaxed), loader.cached_bytes())
    };
    let (once, bytes) = decoded(usize::MAX);
    assert_eq!(once, 20);
    assert_eq!(decoded(0), (60, 0));
    // Room for half: ten rows are decoded once, ten rows three times.
    assert_eq!(decoded(bytes / 2), (40, bytes / 2));
}

#[test]
fn what_goes_wrong_reaches_the_consumer_in_its_turn() {
    for workers in [1, 4] {
        let torn = loader(Troubled { broken: Some(6), ..troubled(13) }, Config { workers, ..Config::plain(4) });
        let results: Vec<_> = torn.epoch(0, 0).unwrap().collect();
        let words = "row 6 (scene-000006) of `scenes`: ";
        assert_eq!(results.len(), 3); // rows 1-4, 5-8, 9-12: the second fails, the third comes all the same
        assert!(results[0].is_ok() && results[2].is_ok());
        assert!(results[1].as_ref().unwrap_err().to_string().starts_with(words), "{:?}", results[1]);

        let cursed = loader(Troubled { panics: Some(2), ..troubled(13) }, Config { workers, ..Config::plain(4) });
        match cursed.epoch(0, 0).unwrap().next() {
            Some(Err(Error::Panicked { row: 2, message, .. })) => assert!(message.contains("cursed"), "{message}"),
            other => panic!("{other:?}"),
        }
        let short = loader(Troubled { short: Some(3), ..troubled(13) }, Config { workers, ..Config::plain(4) });
        let error = short.epoch(0, 0).unwrap().next().unwrap().unwrap_err();
        assert!(error.to_string().contains("the image has 1151 bytes instead of 1152"), "{error}");
    }
    let two = Troubled { broken: Some(4), panics: Some(3), ..troubled(13) };
    let first = loader(two, Config { workers: 4, ..Config::plain(4) }).epoch(0, 0).unwrap().next();
    assert!(matches!(first, Some(Err(Error::Panicked { row: 3, .. }))), "{first:?}");
}

#[test]
fn dropping_a_feed_ends_its_threads() {
    let dataset = Arc::new(troubled(200));
    let loader = Loader::new(dataset.clone(), (0..200).collect(), SIZE, config(4), Seed::new(1)).unwrap();
    for taken in 0..3 {
        let mut stream = loader.stream(0, 0).unwrap();
        for _ in 0..taken {
            stream.next().unwrap().unwrap();
        }
        drop(stream); // joins: would hang here if a worker did
    }
    drop(loader);
    assert_eq!(Arc::strong_count(&dataset), 1, "a thread still holds the data set");
    // Never more than AHEAD batches beyond the taken ones: 0, 1 and 2 batches here.
    assert!(dataset.decoded.load(Ordering::Relaxed) <= (3 * AHEAD + 3) * 4);
}

#[test]
fn waiting_is_counted_and_mistakes_are_named() {
    let loader = loader(troubled(9), config(1));
    assert_eq!(loader.waited(), Duration::ZERO);
    all(loader.epoch(0, 0).unwrap());
    assert!(loader.waited() > Duration::ZERO);

    let make = |rows: Vec<usize>, size: Size, config: Config| {
        Loader::new(Arc::new(troubled(5)), rows, size, config, Seed::new(0)).err().map(|error| error.to_string())
    };
    let augment = augment::Config { hflip: 2.0, ..augment::Config::none() };
    for (error, words) in [
        (make(vec![], SIZE, config(1)), "no rows of `scenes` were requested"),
        (make(vec![0, 5], SIZE, config(1)), "row 5 was requested, but `scenes` has 5 rows (0 to 4)"),
        (make(vec![0], SIZE, Config { batch: 0, ..config(1) }), "batch = 0"),
        (make(vec![0], Size { height: 0, width: 8 }, config(1)), "0x8"),
        (make(vec![0], SIZE, Config { augment, ..config(1) }), "augment.hflip = 2"),
    ] {
        assert!(error.as_deref().is_some_and(|error| error.contains(words)), "{error:?} lacks: {words}");
    }
    assert!(matches!(batch_of(&troubled(5), &[7], SIZE), Err(Error::NoSuchRow { row: 7, .. })));
}

#[test]
fn sources_mix_in_batches_that_resume() {
    use crate::{ConcatDataset, SAMPLERS, concat::Component};
    let drawn = |count, seed| Arc::new(Scenes::new(scenes::Config { count, seed, ..Default::default() }).unwrap());
    let both =
        || Arc::new(ConcatDataset::new(vec![Component::new(drawn(26, 1)), Component::new(drawn(6, 2))]).unwrap());
    for entry in SAMPLERS {
        let mixing = (entry.item)();
        let make = |workers| {
            let config = Config { sampling: mixing, ..config(workers) };
            Loader::new(both(), (0..32).collect(), SIZE, config, Seed::new(9)).unwrap()
        };
        let loader = make(2);
        assert_eq!(loader.batches(), 8, "{}", entry.name);
        let whole = all(loader.epoch(3, 0).unwrap());
        assert_same(&whole[5..], &all(make(1).epoch(3, 5).unwrap()));
        let next = all(make(1).epoch(4, 0).unwrap());
        let stream: Vec<Batch> = make(3).stream(3, 6).unwrap().take(4).map(|item| item.unwrap().2).collect();
        assert_same(&[&whole[6..], &next[..2]].concat(), &stream);
        let of_second = |batch: &Batch| batch.rows.iter().filter(|&&row| row >= 26).count();
        let counts: Vec<usize> = whole.iter().map(of_second).collect();
        match entry.name {
            "proportional" => assert_eq!(counts.iter().sum::<usize>(), 6),
            "temperature" => assert_eq!(counts.iter().sum::<usize>(), 10), // 32 sqrt 6 / (sqrt 6 + sqrt 26) = 10.4
            "uniform" => assert_eq!(counts.iter().sum::<usize>(), 16),
            _ => assert_eq!(counts, [0, 4, 0, 4, 0, 4, 0, 4]),
        }
        // A row that comes twice in an epoch is seen in two views.
        if entry.name == "uniform" {
            let pixels = 3 * SIZE.height * SIZE.width;
            let views: Vec<&[f32]> = whole
                .iter()
                .flat_map(|batch| batch.rows.iter().zip(batch.images.chunks(pixels)))
                .filter(|(row, _)| **row == 27)
                .map(|(_, view)| view)
                .collect();
            assert!(views.len() >= 2 && views[0] != views[1], "{}", views.len());
        }
    }
    // Without a shuffle every row comes once, as given, independent of the sampling.
    let config = Config { sampling: crate::Sampling::Uniform {}, ..Config::plain(8) };
    let plain = Loader::new(both(), (0..32).collect(), SIZE, config, Seed::new(9)).unwrap();
    let rows: Vec<usize> = all(plain.epoch(0, 0).unwrap()).into_iter().flat_map(|batch| batch.rows).collect();
    assert_eq!(rows, (0..32).collect::<Vec<_>>());
}
