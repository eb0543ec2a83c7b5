use super::*;

fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("c{i}")).collect()
}

fn learned(kind: &TaskKind, train: &[Target]) -> Baseline {
    let mut baseline = Baseline::new(kind);
    train.iter().for_each(|target| baseline.learn(target).unwrap());
    baseline
}

fn score(kind: &TaskKind, train: &[Target], test: &Target, images: usize, name: &str) -> f64 {
    let baseline = learned(kind, train);
    let mut scores = baseline.scores().unwrap();
    scores.add(test, images).unwrap();
    scores.scores().into_iter().find(|score| score.name == name).unwrap().value
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
}

#[test]
fn classes_and_labels_by_hand() {
    // Train: class 2 twice, class 1 twice, so 1 wins as the first of equals; one of four test labels is 1.
    let kind = TaskKind::Classification { classes: names(3) };
    let train = [Target::Class(vec![2, 2, 0, -1]), Target::Class(vec![1, 1])];
    let test = Target::Class(vec![2, 2, 2, 1, -1]);
    assert_eq!(score(&kind, &train, &test, 5, "accuracy"), 0.25);
    assert_eq!(score(&kind, &train, &test, 5, "balanced_accuracy"), 0.5);

    // Label 0 is yes three times of five, label 1 once of four: no is right more often, yes has the better F1. The rows: yes yes
    // once, no no twice.
    let kind = TaskKind::MultiLabel { labels: names(2) };
    let train = [Target::MultiLabel(vec![1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, f32::NAN, 1.0, f32::NAN, f32::NAN, 0.0])];
    let test = Target::MultiLabel(vec![1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    close(score(&kind, &train, &test, 3, "label_accuracy"), (1.0 / 3.0 + 2.0 / 3.0) / 2.0);
    close(score(&kind, &train, &test, 3, "macro_f1"), 0.5); // 2 * 1 / (3 + 1) of both
    close(score(&kind, &train, &test, 3, "exact_match"), 2.0 / 3.0);
    // A label that is never yes in training is left at no: without yes in the test it has no F1.
    let train = [Target::MultiLabel(vec![1.0, 0.0])];
    close(score(&kind, &train, &Target::MultiLabel(vec![1.0, 0.0]), 1, "macro_f1"), 1.0);
}

#[test]
fn masks_that_are_mostly_foreground_have_the_foreground_as_baseline() {
    // 8 of 9 pixels are foreground: mIoU of all foreground is 8/9 / 2, of all background 1/9 / 2.
    let kind = TaskKind::Segmentation { classes: names(2) };
    let mut mask = vec![1; 9];
    mask[0] = 0;
    let mask = Target::Mask(mask);
    let all = |name| score(&kind, std::slice::from_ref(&mask), &mask, 1, name);
    close(all("miou"), 4.0 / 9.0);
    close(all("pixel_accuracy"), 8.0 / 9.0);
    close(all("dice/c1"), 16.0 / 17.0);
    close(all("dice/c0"), 0.2);
    close(all("iou/c0"), 1.0 / 9.0);
    assert!(learned(&kind, &[mask]).describe().unwrap().starts_with("all `c1`"));
}

#[test]
fn mean_dice_over_images_takes_the_class_that_fills_its_images() {
    // Class 1 has more pixels, spread thinly over two images; class 2 fills half of the only image it is in.
    let kind = TaskKind::Segmentation { classes: names(3) };
    let images = [vec![0, 0, 0, 1, 1, 1, 0, 0], vec![0, 0, 0, 1, 1, 1, 0, 0], vec![2, 2, 2, 2, 0, 0, 0, 0]];
    let train: Vec<Target> = images.iter().cloned().map(Target::Mask).collect();
    let test = Target::Mask(images.concat());
    let all = |name| score(&kind, &train, &test, 3, name);
    close(all("dice_image"), (8.0 / 12.0) / 2.0); // Dice of class 2 where it is, 0 for class 1
    close(all("dice_image/c1"), 6.0 / 11.0);
    close(all("dice/c1"), 12.0 / 30.0);
    close(all("pixel_accuracy"), 14.0 / 24.0);
    let baseline = learned(&kind, &train);
    let mut scores = baseline.scores().unwrap();
    scores.add(&test, 3).unwrap();
    let mut model = MetricSet::new(&kind);
    model.add(&test, &Prediction::Mask(images.concat()), 3).unwrap();
    let names = |scores: Vec<Score>| scores.into_iter().map(|score| score.name).collect::<Vec<_>>();
    assert_eq!(names(scores.scores()), names(model.scores()), "every score once, in the model's order");
}

#[test]
fn numbers_have_the_mean_the_median_and_the_most_frequent_one() {
    let kind = TaskKind::Dense { unit: "m".into() };
    let train = [Target::Dense(vec![1.0, f32::NAN, 1.0]), Target::Dense(vec![3.0, 7.0])];
    let test = Target::Dense(vec![4.0, 2.0, f32::NAN]);
    let all = |name| score(&kind, &train, &test, 1, name);
    close(all("rmse"), (0.5_f64 * (1.0 + 1.0)).sqrt()); // mean 3
    close(all("mae"), 1.0); // median 2: between 1 and 3
    close(all("abs_rel"), (3.0 / 4.0 + 1.0 / 2.0) / 2.0); // 1, with 2 of the weight 2 + 1/3 + 1/7

    let kind = TaskKind::Regression { unit: String::new() };
    let train = [Target::Value(vec![0.0, 0.0, 1.0, 3.0, 3.5])];
    let test = Target::Value(vec![0.0, 2.0, 1.0]);
    let all = |name| score(&kind, &train, &test, 3, name);
    close(all("rmse"), ((1.5_f64.powi(2) + 0.5 * 0.5 + 0.5 * 0.5) / 3.0).sqrt());
    close(all("mae"), 2.0 / 3.0);
    close(all("rounded_accuracy"), 1.0 / 3.0);
    assert!(all("r2") < 0.0, "the mean of the training labels is not that of the test labels");
}

#[test]
fn medians_of_negative_numbers_and_both_zeros() {
    let median = |values: &[f32]| {
        learned(&TaskKind::Regression { unit: String::new() }, &[Target::Value(values.to_vec())]).median(|_| 1.0)
    };
    assert_eq!(median(&[-3.0, 5.0, -1.0]), -1.0);
    assert_eq!(median(&[-0.0, 0.0, 1.0, -1.0]), 0.0);
    assert_eq!(median(&[-2.0, 4.0]), 1.0);
    assert_eq!(median(&[f32::MAX, f32::MAX]), f32::MAX);
    [-1.5, 0.0, 2.5e-30, f32::MIN].iter().for_each(|&value| assert_eq!(value_of(order(value)), value));
}

#[test]
fn describes_its_prediction() {
    let classes = TaskKind::Classification { classes: names(3) };
    assert_eq!(Baseline::new(&classes).describe(), None);
    assert_eq!(learned(&classes, &[Target::Class(vec![1, 1, 0])]).describe().unwrap(), "always `c1`");
    let weight = TaskKind::Regression { unit: "g".into() };
    let words = learned(&weight, &[Target::Value(vec![10_000.0, 20_000.0, 45_000.0])]).describe().unwrap();
    assert_eq!(words, "mean 25000 g; mae: median 20000 g");
}

#[test]
fn no_label_no_baseline_and_wrong_input_is_an_error() {
    let mut baseline = Baseline::new(&TaskKind::Classification { classes: names(2) });
    baseline.learn(&Target::Class(vec![-1, -1])).unwrap();
    assert_eq!(baseline.predict(&Target::Class(vec![0])), Ok(None));
    assert!(baseline.scores().is_none());
    let before = baseline.clone();
    assert!(baseline.learn(&Target::Class(vec![0, 2])).is_err());
    assert!(baseline.learn(&Target::Dense(vec![0.0])).is_err());
    assert!(baseline.predict(&Target::Mask(vec![0])).is_err());
    assert_eq!(baseline, before);
    let refuses = |kind: TaskKind, train: Target| Baseline::new(&kind).learn(&train).is_err();
    assert!(refuses(TaskKind::MultiLabel { labels: names(2) }, Target::MultiLabel(vec![1.0])));
    assert!(refuses(TaskKind::Segmentation { classes: names(2) }, Target::Mask(vec![2])));
    assert!(refuses(TaskKind::Dense { unit: "m".into() }, Target::Dense(vec![f32::INFINITY])));
    assert!(refuses(TaskKind::Regression { unit: "m".into() }, Target::Value(vec![f32::INFINITY])));
}
