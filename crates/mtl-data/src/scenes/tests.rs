//! Tests of [`super`].

use super::*;

fn scenes(difficulty: f64) -> Scenes {
    Scenes::new(Config { difficulty, ..Config::default() }).unwrap()
}

fn square(side: usize) -> Size {
    Size { height: side, width: side }
}

/// Class, mask and depth.
fn labels(sample: &Sample) -> (usize, &[u8], &[f32]) {
    match sample.targets.as_slice() {
        [Target::Class(class), Target::Mask(mask), Target::Dense(depth)] => (class[0] as usize, mask, depth),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_row_is_a_function_of_seed_and_row() {
    let few = Scenes::new(Config { count: 7, ..Config::default() }).unwrap();
    let many = Scenes::new(Config { count: 90, ..Config::default() }).unwrap();
    let other = Scenes::new(Config { seed: 1, ..Config::default() }).unwrap();
    let _ = many.sample(50, square(32)); // earlier drawings have no effect
    for row in 0..7 {
        let sample = few.sample(row, square(32)).unwrap();
        assert!(sample == many.sample(row, square(32)).unwrap());
        assert_ne!(sample.image, other.sample(row, square(32)).unwrap().image);
        assert_eq!(few.labels(row)[0], Labels::Class(labels(&sample).0));
        let hash = few.content_hash(row).unwrap();
        assert_eq!(hash, many.content_hash(row).unwrap());
        assert!(hash.is_some() && hash != other.content_hash(row).unwrap());
        assert_ne!(hash, few.content_hash(row + 1).unwrap());
    }
    assert_eq!((few.len(), few.row_name(3).as_str()), (7, "scene-000003"));
}

#[test]
fn every_size_shows_the_same_scene() {
    for row in 0..20 {
        let (small, large) = (scenes(0.3).sample(row, square(32)), scenes(0.3).sample(row, square(96)));
        let (small, large) = (small.unwrap(), large.unwrap());
        let ((class, mask, _), (class_large, mask_large, _)) = (labels(&small), labels(&large));
        assert_eq!(class, class_large);
        for part in 0..5 {
            let share = |mask: &[u8]| mask.iter().filter(|&&value| value == part).count() as f64 / mask.len() as f64;
            let (a, b) = (share(mask), share(mask_large));
            assert!((a - b).abs() < 0.02, "row {row}, part {part}: {a} at 32, {b} at 96");
        }
    }
    // Objects keep their proportions in wide pictures: they cover half the share of twice the width.
    let wide = scenes(0.0).sample(0, Size { height: 32, width: 64 }).unwrap();
    assert_eq!(wide.image.len(), 3 * 32 * 64);
    let cover = |sample: &Sample| labels(sample).1.iter().filter(|&&value| value > 0).count() as f64;
    let (wide, narrow) = (cover(&wide), cover(&scenes(0.0).sample(0, square(32)).unwrap()));
    assert!((wide / narrow - 1.0).abs() < 0.1, "{wide} against {narrow}");
}

#[test]
fn easy_scenes_show_every_part_before_the_background() {
    let scenes = scenes(0.0);
    let mut seen = [0usize; 6];
    for row in 0..120 {
        let sample = scenes.sample(row, square(48)).unwrap();
        let (class, mask, depth) = labels(&sample);
        seen[class] += 1;
        for part in 0..5 {
            assert!(mask.contains(&part), "row {row}, a {}, has no {}", Class::ALL[class].name(), PARTS[part as usize]);
        }
        for (part, depth) in mask.iter().zip(depth) {
            let range = if *part == 0 { 0.7..=1.0 } else { 0.1..=0.6 };
            assert!(range.contains(depth), "row {row}: part {part} at depth {depth}");
        }
    }
    assert!(seen.iter().all(|&count| count >= 8), "{seen:?}");
}

#[test]
fn occluders_hide_parts_and_are_nearest() {
    let hard = scenes(1.0);
    let (mut occluded, rows) = (0, 100);
    for row in 0..rows {
        let sample = hard.sample(row, square(32)).unwrap();
        let (_, mask, depth) = labels(&sample);
        assert!(depth.iter().all(|depth| (0.0..=1.0).contains(depth)));
        let object = mask.iter().zip(depth).filter(|(part, _)| **part > 0).map(|(_, depth)| *depth);
        let nearest_part = object.fold(1.0, f32::min);
        let near: Vec<f32> =
            mask.iter().zip(depth).filter(|(part, d)| **part == 0 && **d < 0.5).map(|p| *p.1).collect();
        assert!(near.iter().all(|&depth| depth < nearest_part));
        occluded += usize::from(!near.is_empty());
    }
    assert!((80..=98).contains(&occluded), "{occluded} of {rows}"); // 90 % expected
}

/// The class whose mean picture is nearest. At the default difficulty it must do better than chance, or colour and
/// place would not hint at the class, and stay far from perfect, or nothing would be left to learn.
#[test]
fn a_template_is_neither_right_nor_at_chance() {
    let scenes = scenes(0.5);
    let picture = |row: usize| {
        let sample = scenes.sample(row, square(16)).unwrap();
        let class = labels(&sample).0;
        (class, sample.image.into_iter().map(f64::from).collect::<Vec<f64>>())
    };
    let mut means = vec![vec![0.0; 3 * 256]; 6];
    let mut counts = [0.0; 6];
    for (class, image) in (0..900).map(picture) {
        counts[class] += 1.0;
        means[class].iter_mut().zip(image).for_each(|(sum, value)| *sum += value);
    }
    for (mean, count) in means.iter_mut().zip(counts) {
        mean.iter_mut().for_each(|sum| *sum /= count);
    }
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let right = (900..1200)
        .map(picture)
        .filter(|(class, image)| {
            let nearest = (0..6).min_by(|&a, &b| distance(&means[a], image).total_cmp(&distance(&means[b], image)));
            nearest == Some(*class)
        })
        .count();
    assert!((80..=210).contains(&right), "{right} of 300 right; chance is 50");
}

#[test]
fn fewer_classes_are_numbered_in_the_order_asked_for() {
    let two = Scenes::new(Config { classes: vec![Class::Boat, Class::Fish], ..Config::default() }).unwrap();
    assert_eq!(two.schema().tasks[0].kind.classes(), ["boat", "fish"]);
    let boats = (0..400).filter(|&row| two.labels(row)[0] == Labels::Class(0)).count();
    assert!((160..=240).contains(&boats), "{boats}");
}

#[test]
fn mistakes_are_named() {
    for (config, key) in [
        (Config { count: 0, ..Config::default() }, "count"),
        (Config { size: 0, ..Config::default() }, "size"),
        (Config { difficulty: 1.5, ..Config::default() }, "difficulty"),
        (Config { difficulty: f64::NAN, ..Config::default() }, "difficulty"),
        (Config { classes: vec![], ..Config::default() }, "classes"),
        (Config { classes: vec![Class::Car, Class::Car], ..Config::default() }, "classes"),
    ] {
        let error = Scenes::new(config).unwrap_err();
        assert_eq!(error.key, key);
        assert!(error.to_string().starts_with(&format!("scenes.{key} = ")), "{error}");
    }
}
