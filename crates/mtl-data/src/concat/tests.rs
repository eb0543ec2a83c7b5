//! Tests of [`super`].

use super::*;
use crate::scenes::{self, Scenes};

const SIZE: Size = Size { height: 16, width: 24 };

/// Grey rows, each with its number as class or as dense map, with sides and something skipped.
struct Grey {
    schema: Schema,
    skipped: Vec<Skipped>,
    notes: Vec<String>,
}

fn grey(name: &str, tasks: Vec<Task>) -> Arc<dyn Dataset> {
    let schema = Schema { name: name.into(), channels: 1, tasks };
    let skipped = vec![Skipped { path: "torn.png".into(), reason: "it is torn".into() }];
    Arc::new(Grey { schema, skipped, notes: vec!["column `x` is blank".into()] })
}

impl Dataset for Grey {
    fn schema(&self) -> &Schema {
        &self.schema
    }
    fn len(&self) -> usize {
        3
    }
    fn row_name(&self, row: usize) -> String {
        format!("{row}.png")
    }
    fn labels(&self, row: usize) -> Vec<Labels> {
        self.schema.tasks.iter().map(|_| Labels::Class(row)).collect()
    }
    fn subset(&self, row: usize) -> Option<Subset> {
        (row == 2).then_some(Subset::Test)
    }
    fn sample(&self, row: usize, size: Size) -> Result<Sample, Error> {
        let image = (0..size.height * size.width).map(|at| (at + row) as u8).collect();
        Ok(Sample { image, targets: self.schema.tasks.iter().map(|_| Target::Class(vec![row as i32])).collect() })
    }
    fn content_hash(&self, row: usize) -> Result<Option<u64>, Error> {
        Ok(Some(row as u64))
    }
    fn native_size(&self, row: usize) -> Option<Size> {
        Some(Size { height: row, width: 7 })
    }
    fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }
    fn reading(&self) -> Reading {
        let mut reading = Reading::default();
        self.notes.iter().for_each(|note| reading.guess(note.clone()));
        reading
    }
}

fn class(name: &str, classes: &[&str]) -> Task {
    Task::new(name, TaskKind::Classification { classes: classes.iter().map(|&class| class.into()).collect() })
}

fn scenes(count: usize) -> Arc<dyn Dataset> {
    Arc::new(Scenes::new(scenes::Config { count, ..Default::default() }).unwrap())
}

fn problem(parts: Vec<Component>) -> String {
    ConcatDataset::new(parts).err().unwrap().to_string()
}

#[test]
fn rows_and_labels_are_those_of_the_sources() {
    let stress = class("stress", &["a", "b", "c"]);
    let grey = grey("leaves", vec![stress.clone(), class("kind", &["x", "y", "z"])]);
    let kept = Component { tasks: Some(vec!["stress".into()]), ..Component::new(Arc::clone(&grey)) };
    let all = ConcatDataset::new(vec![kept, Component::new(scenes(4))]).unwrap();
    let names: Vec<&str> = all.schema().tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!((names, all.len()), (vec!["stress", "class", "parts", "depth"], 7));
    assert_eq!((all.schema().name.as_str(), all.schema().channels), ("leaves-scenes", 3));
    assert_eq!(all.origins(), ["leaves", "scenes"]);
    assert_eq!((0..7).map(|row| all.origin(row)).collect::<Vec<_>>(), [0, 0, 0, 1, 1, 1, 1]);
    assert_eq!([2, 3, 6].map(|row| all.row_name(row)), ["leaves/2.png", "scenes/scene-000000", "scenes/scene-000003"]);
    assert_eq!([1, 2, 3].map(|row| all.subset(row)), [None, Some(Subset::Test), None]);
    assert_eq!(all.native_size(1), Some(Size { height: 1, width: 7 }));
    assert_eq!(all.content_hash(1).unwrap(), Some(1));
    assert_eq!(all.content_hash(4).unwrap(), scenes(4).content_hash(1).unwrap());
    assert_eq!((all.skipped().len(), all.reading().lines()), (1, vec!["leaves: column `x` is blank".to_owned()]));

    assert_eq!(all.labels(1), [Labels::Class(1), Labels::Missing, Labels::Missing, Labels::Missing]);
    let drawn = scenes(4);
    assert_eq!(all.labels(5)[0], Labels::Missing);
    assert_eq!(all.labels(5)[1..], drawn.labels(2)[..]);
    // A grey image is its value three times; missing labels are missing at the requested size.
    let sample = all.sample(2, SIZE).unwrap();
    let plane = grey.sample(2, SIZE).unwrap().image;
    assert_eq!(sample.image, [&plane[..], &plane, &plane].concat());
    assert_eq!(sample.targets[0], Target::Class(vec![2]));
    for (task, target) in all.schema().tasks.iter().zip(&sample.targets).skip(1) {
        assert_eq!((target.present(), format!("{target:?}")), (0, format!("{:?}", task.kind.missing(1, 16, 24))));
    }
    let (sample, own) = (all.sample(5, SIZE).unwrap(), drawn.sample(2, SIZE).unwrap());
    assert_eq!((sample.targets[0].present(), &sample.image), (0, &own.image));
    assert_eq!(sample.targets[1..], own.targets[..]);
}

#[test]
fn equal_tasks_pool_and_others_are_refused_with_a_way_out() {
    let labelled = |name, classes: &[&str]| grey(name, vec![class("class", classes)]);
    let pooled = ConcatDataset::new(vec![
        Component::new(labelled("one", &["a", "b", "c"])),
        Component::new(labelled("two", &["a", "b", "c"])),
    ])
    .unwrap();
    assert_eq!((pooled.schema().tasks.len(), pooled.schema().channels), (1, 1));
    assert_eq!([pooled.labels(1), pooled.labels(5)], [[Labels::Class(1)], [Labels::Class(2)]]);

    let two =
        || vec![Component::new(labelled("one", &["a", "b", "c"])), Component::new(labelled("two", &["a", "c", "b"]))];
    let words = problem(two());
    for word in ["`class`", "`one`", "a, b, c", "`two`", "a, c, b", "rename = { class = \"NAME\" }", "tasks = [...]"] {
        assert!(words.contains(word), "{word}: {words}");
    }
    let mut renamed = two();
    renamed[1].rename = BTreeMap::from([("class".to_owned(), "other".to_owned())]);
    let renamed = ConcatDataset::new(renamed).unwrap();
    assert_eq!(renamed.labels(4), [Labels::Missing, Labels::Class(1)]);
    assert_eq!(renamed.schema().tasks[1].name, "other");
    let mut without = two();
    without[0].tasks = Some(Vec::new());
    let without = ConcatDataset::new(without).unwrap();
    assert_eq!((without.schema().tasks.len(), without.labels(0)), (1, vec![Labels::Missing]));
}

#[test]
fn what_cannot_be_put_together_is_told() {
    let tasks = || vec![class("class", &["a", "b"]), class("kind", &["a", "b"])];
    let part = || Component::new(grey("one", tasks()));
    let rename = |from: &str, to: &str| Component { rename: BTreeMap::from([(from.into(), to.into())]), ..part() };
    let only = |names: &[&str]| Component { tasks: Some(names.iter().map(|&name| name.into()).collect()), ..part() };
    let named = |name: &str| Component { name: Some(name.into()), ..part() };
    for (parts, words) in [
        (vec![], "no source"),
        (vec![only(&["clas"])], "source `one`: unknown task in `tasks` `clas`: did you mean `class`?"),
        (vec![rename("knd", "x")], "source `one`: unknown task in `rename` `knd`: did you mean `kind`?"),
        (vec![rename("kind", "class")], "two tasks called `class`"),
        (vec![only(&["kind", "kind"])], "two tasks called `kind`"),
        (vec![rename("kind", "")], "an empty name"),
        (vec![named("a/b")], "`a/b` cannot name a source"),
        (vec![named("")], "`` cannot name a source"),
    ] {
        let found = problem(parts);
        assert!(found.contains(words), "{found} lacks: {words}");
    }
}

#[test]
fn names_are_unique_and_fit_a_run_folder() {
    let all = |names: &[&str]| {
        let part = |name: &&str| Component::new(grey(name, vec![]));
        ConcatDataset::new(names.iter().map(part).collect()).unwrap()
    };
    assert_eq!(all(&["a", "a", "a-2", "a"]).origins(), ["a", "a-2", "a-2-2", "a-3"]);
    assert_eq!(all(&["my leaves (old)", ".", "."]).origins(), ["my-leaves--old-", "source", "source-2"]);
    let long = "x".repeat(70);
    let many = all(&[&long, "b", "c"]);
    assert_eq!(many.schema().name, format!("{}-and-2-more", "x".repeat(60)));
}

#[test]
fn spread_rows_hold_every_source_in_proportion_from_the_start() {
    let all = ConcatDataset::new(vec![Component::new(scenes(60)), Component::new(scenes(20))]).unwrap();
    let rows: Vec<usize> = (0..80).collect();
    let order = spread(&all, &rows);
    for taken in 1..=80 {
        let of_second = order[..taken].iter().filter(|&&row| all.origin(row) == 1).count();
        assert!((of_second as f64 - taken as f64 / 4.0).abs() <= 1.0, "{of_second} of {taken}");
    }
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, rows);
    assert_eq!(spread(&*scenes(9), &[1, 5, 2]), [1, 5, 2]);
}
