//! Properties of splits, over many seeds and shapes of data.

use mtl_task::Task;

use super::*;
use crate::dataset::{Sample, Schema};
use crate::size::Size;

/// Rows with made-up labels; the image of a row is its `image` number painted all over.
struct Rows {
    schema: Schema,
    rows: Vec<Row>,
}

#[derive(Clone, Copy)]
struct Row {
    class: Option<usize>,
    mask: bool,
    part: Option<Subset>,
    image: u64,
}

impl Rows {
    fn new(classes: usize, rows: Vec<Row>) -> Self {
        let classes = (0..classes).map(|class| format!("c{class}")).collect();
        let tasks = vec![
            Task::new("class", TaskKind::Classification { classes }),
            Task::new("mask", TaskKind::Segmentation { classes: vec!["a".into(), "b".into()] }),
        ];
        Self { schema: Schema { name: "rows".into(), channels: 1, tasks }, rows }
    }

    /// `count` different images per class; every third has a mask.
    fn balanced(counts: &[usize]) -> Self {
        let rows = counts.iter().enumerate().flat_map(|(class, &count)| (0..count).map(move |at| (class, at)));
        let row = |(image, (class, at)): (usize, (usize, usize))| Row {
            class: Some(class),
            mask: at % 3 == 0,
            part: None,
            image: image as u64,
        };
        Self::new(counts.len(), rows.enumerate().map(row).collect())
    }
}

impl Dataset for Rows {
    fn schema(&self) -> &Schema {
        &self.schema
    }
    fn len(&self) -> usize {
        self.rows.len()
    }
    fn row_name(&self, row: usize) -> String {
        format!("row {row}")
    }
    fn labels(&self, row: usize) -> Vec<Labels> {
        let row = self.rows[row];
        let class = row.class.map_or(Labels::Missing, Labels::Class);
        vec![class, if row.mask { Labels::Pixels } else { Labels::Missing }]
    }
    fn subset(&self, row: usize) -> Option<Subset> {
        self.rows[row].part
    }
    fn sample(&self, row: usize, size: Size) -> Result<Sample, Error> {
        let image = (0..size.height * size.width).map(|at| (self.rows[row].image >> (at % 8 * 8)) as u8).collect();
        Ok(Sample { image, targets: Vec::new() })
    }
    fn content_hash(&self, row: usize) -> Result<Option<u64>, Error> {
        // All stored differently, but for the rows of one number in two sets of one shift: only the pixels show duplicates.
        Ok(Some(row as u64 + (self.rows[row].image >> 16 << 16)))
    }
}

fn subsets(split: &Splits, rows: usize) -> Vec<Option<Subset>> {
    let mut subsets = vec![None; rows];
    for (part, subset) in
        [(Subset::Train, &split.train), (Subset::Validation, &split.validation), (Subset::Test, &split.test)]
    {
        assert!(subset.is_sorted());
        for &row in subset {
            assert_eq!(subsets[row].replace(part), None, "row {row} is in two subsets");
        }
    }
    for &row in &split.left_out {
        assert_eq!(subsets[row], None);
    }
    subsets
}

#[test]
fn every_row_is_on_one_side_in_proportion_for_any_seed() {
    let data = Rows::balanced(&[100, 40, 3, 7]);
    for seed in 0..20 {
        let split = Splits::new(&data, &Config::default(), Seed::new(seed)).unwrap();
        assert!(subsets(&split, 150).iter().all(Option::is_some));
        // 15, 6, 1 (at least one), 1 (1.05 rounded).
        assert_eq!(class_counts(&data, &split.test)[0], [15, 6, 1, 1]);
        assert_eq!(class_counts(&data, &split.validation)[0], [15, 6, 1, 1]);
        let masked = |rows: &[usize]| rows.iter().filter(|&&row| data.rows[row].mask).count();
        assert!((7..=9).contains(&masked(&split.test)), "a third of 23 have masks, not {}", masked(&split.test));
        assert_eq!(split, Splits::new(&data, &Config::default(), Seed::new(seed)).unwrap());
    }
    let split = |seed| Splits::new(&data, &Config::default(), Seed::new(seed)).unwrap();
    assert_ne!(split(0), split(1));
}

#[test]
fn the_same_image_is_never_on_two_sides() {
    for seed in 0..20 {
        let mut data = Rows::balanced(&[60, 30]);
        let mut stream = Seed::new(seed).stream("copies", &[]);
        for _ in 0..30 {
            let (from, to) = (stream.below(90), stream.below(90));
            data.rows[to].image = data.rows[from].image;
        }
        let split = Splits::new(&data, &Config::default(), Seed::new(seed)).unwrap();
        let subsets = subsets(&split, 90);
        for a in 0..90 {
            for b in 0..90 {
                assert!(
                    data.rows[a].image != data.rows[b].image || subsets[a] == subsets[b],
                    "rows {a} and {b}, seed {seed}"
                );
            }
        }
        let [train, validation, test] = split.sizes();
        assert!(train > 50 && (8..=16).contains(&validation) && (8..=16).contains(&test), "{:?}", split.sizes());
    }
}

#[test]
fn given_sides_are_kept_and_validation_is_carved_from_training() {
    let mut data = Rows::balanced(&[50, 50]);
    (0..100).step_by(5).for_each(|row| data.rows[row].part = Some(Subset::Test));
    data.rows[1].image = data.rows[0].image; // a training row that is also a test row
    let split = Splits::new(&data, &Config::default(), Seed::new(1)).unwrap();
    assert_eq!(split.test, (0..100).step_by(5).collect::<Vec<_>>());
    assert_eq!(split.left_out, [1]);
    assert_eq!(class_counts(&data, &split.validation)[0], [6, 6]); // 15 % of 39 and of 40
    assert!(split.notes[0].contains("1 rows are left out"));

    (0..100).skip(2).step_by(5).for_each(|row| data.rows[row].part = Some(Subset::Validation));
    let split = Splits::new(&data, &Config::default(), Seed::new(1)).unwrap();
    assert_eq!(split.validation, (0..100).skip(2).step_by(5).collect::<Vec<_>>());
    assert_eq!(split.train.len(), 59);

    // Only training and validation given: test is carved.
    data.rows.iter_mut().filter(|row| row.part == Some(Subset::Test)).for_each(|row| row.part = None);
    let split = Splits::new(&data, &Config::default(), Seed::new(1)).unwrap();
    assert_eq!((split.validation.len(), split.test.len()), (20, 12));
}

#[test]
fn missing_labels_are_a_stratum() {
    let mut data = Rows::balanced(&[40, 40]);
    (40..80).for_each(|row| data.rows[row].class = (row % 2 == 0).then_some(1));
    let split = Splits::new(&data, &Config::default(), Seed::new(2)).unwrap();
    let unlabelled = |rows: &[usize]| rows.iter().filter(|&&row| data.rows[row].class.is_none()).count();
    assert_eq!([unlabelled(&split.train), unlabelled(&split.validation), unlabelled(&split.test)], [14, 3, 3]);
}

#[test]
fn lonely_classes_and_tiny_sets_are_refused_in_words() {
    let error = Splits::new(&Rows::balanced(&[9, 1]), &Config::default(), Seed::new(0)).unwrap_err();
    assert!(matches!(&error, Error::SingletonClass { class, row, .. } if class == "c1" && row == "row 9"), "{error}");
    // Two rows with one image: still a single image.
    let mut twins = Rows::balanced(&[9, 2]);
    twins.rows[10].image = twins.rows[9].image;
    assert!(matches!(Splits::new(&twins, &Config::default(), Seed::new(0)), Err(Error::SingletonClass { .. })));
    // Two images: one in training, one in test, none in validation.
    let two = Rows::balanced(&[9, 2]);
    let split = Splits::new(&two, &Config::default(), Seed::new(0)).unwrap();
    assert_eq!(class_counts(&two, &split.train)[0][1] + class_counts(&two, &split.test)[0][1], 2);
    assert!(
        split.notes.iter().any(|note| note.contains("`c1` of `class` has 2 images for 3 subsets")),
        "{:?}",
        split.notes
    );
    assert!(matches!(
        Splits::new(&Rows::balanced(&[2]), &Config::default(), Seed::new(0)),
        Err(Error::TooFewRows { rows: 2, needed: 3, .. })
    ));
    assert!(matches!(
        Splits::new(&Rows::balanced(&[]), &Config::default(), Seed::new(0)),
        Err(Error::TooFewRows { .. })
    ));
}

#[test]
fn shares_are_checked() {
    let data = Rows::balanced(&[9]);
    let with = |validation, test| {
        let config = Config { validation, test, ..Config::default() };
        Splits::new(&data, &config, Seed::new(0)).map(|split| split.sizes())
    };
    for (validation, test) in [(-0.1, 0.1), (1.0, 0.0), (f64::NAN, 0.1), (0.5, 0.5)] {
        assert!(matches!(with(validation, test), Err(Error::Option { .. })), "{validation} {test}");
    }
    assert_eq!(with(0.0, 0.0).unwrap(), [9, 0, 0]);
    assert_eq!(with(0.0, 0.34).unwrap(), [6, 0, 3]);
}

/// ConcatDataset of made-up rows; an empty list of tasks is all of them.
fn together(parts: Vec<(Rows, &[&str])>) -> crate::ConcatDataset {
    let source = |(rows, tasks): (Rows, &[&str])| {
        let tasks = (!tasks.is_empty()).then(|| tasks.iter().map(|&task| task.to_owned()).collect());
        crate::concat::Component { tasks, ..crate::concat::Component::new(std::sync::Arc::new(rows)) }
    };
    crate::ConcatDataset::new(parts.into_iter().map(source).collect()).unwrap()
}

/// The same rows with other images.
fn other(mut rows: Rows, shift: u64) -> Rows {
    rows.rows.iter_mut().for_each(|row| row.image += shift << 16);
    rows
}

#[test]
fn each_source_has_the_sides_that_it_has_alone() {
    let mut given = Rows::balanced(&[30, 30]);
    (0..60).step_by(5).for_each(|row| given.rows[row].part = Some(Subset::Test));
    for seed in 0..5 {
        let alone = [other(Rows::balanced(&[40, 30]), 1), other(Rows::new(2, given.rows.clone()), 2)]
            .map(|rows| Splits::new(&rows, &Config::default(), Seed::new(seed)).unwrap());
        let both = together(vec![
            (other(Rows::balanced(&[40, 30]), 1), &[]),
            (other(Rows::new(2, given.rows.clone()), 2), &[]),
        ]);
        let split = Splits::new(&both, &Config::default(), Seed::new(seed)).unwrap();
        for (subset, [first, second]) in [
            (&split.train, [&alone[0].train, &alone[1].train]),
            (&split.validation, [&alone[0].validation, &alone[1].validation]),
            (&split.test, [&alone[0].test, &alone[1].test]),
        ] {
            let expected: Vec<usize> = first.iter().copied().chain(second.iter().map(|row| row + 70)).collect();
            assert_eq!(*subset, expected, "seed {seed}");
        }
        // What the second gives as test subset is its test subset, and no more.
        assert!(split.test.iter().filter(|&&row| row >= 70).all(|row| (row - 70) % 5 == 0));
    }
}

#[test]
fn an_image_in_two_sources_is_on_one_side() {
    for seed in 0..20 {
        // The second source has 30 images of the first, labelled for the mask task only, and 30 of its own.
        let mut copies = other(Rows::balanced(&[60]), 1);
        (0..30).for_each(|row| copies.rows[row].image = row as u64);
        let both = together(vec![(Rows::balanced(&[40, 40]), &["class"]), (copies, &["mask"])]);
        let split = Splits::new(&both, &Config::default(), Seed::new(seed)).unwrap();
        let subsets = subsets(&split, 140);
        assert!(subsets.iter().all(Option::is_some));
        (0..30).for_each(|row| assert_eq!(subsets[row], subsets[80 + row], "row {row}, seed {seed}"));
    }
    // A subset that one source gives holds for the copies in another.
    let mut given = Rows::balanced(&[40]);
    given.rows[3].part = Some(Subset::Test);
    let both = together(vec![(Rows::balanced(&[40]), &["class"]), (given, &["mask"])]);
    let split = Splits::new(&both, &Config::default(), Seed::new(0)).unwrap();
    assert!(split.test.contains(&43) && split.left_out == [3], "{:?}", split.left_out);
}

#[test]
fn sources_are_judged_by_what_they_have_together() {
    let rows = |counts: &[usize], shift| other(Rows::balanced(counts), shift);
    let split = |parts| Splits::new(&together(parts), &Config::default(), Seed::new(0));
    // One image of class c1 in the second source, but many in the first.
    assert!(split(vec![(rows(&[20, 20], 1), &[][..]), (rows(&[20, 1], 2), &[])]).is_ok());
    let error = split(vec![(rows(&[20, 1], 1), &["class"][..]), (rows(&[20, 0], 2), &["class"])]).unwrap_err();
    assert!(matches!(&error, Error::SingletonClass { class, .. } if class == "c1"), "{error}");
    let mut few = rows(&[2, 0], 2);
    few.schema.name = "few".into();
    let error = split(vec![(rows(&[20, 20], 1), &[][..]), (few, &[])]).unwrap_err();
    assert!(matches!(&error, Error::TooFewRows { name, rows: 2, needed: 3 } if name == "few"), "{error}");
    // A source with a test subset only is accepted next to a source with training rows.
    let tested = || {
        let mut rows = rows(&[9], 2);
        rows.rows.iter_mut().for_each(|row| row.part = Some(Subset::Test));
        rows
    };
    let found = split(vec![(rows(&[20], 1), &[][..]), (tested(), &[])]).unwrap();
    assert_eq!(found.sizes(), [14, 3, 12]);
    assert!(matches!(split(vec![(tested(), &[][..])]), Err(Error::TooFewRows { .. })));
}
