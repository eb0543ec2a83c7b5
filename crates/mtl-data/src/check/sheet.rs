//! Contact sheet: a few images of each class with their masks and labels drawn over, so that a person sees whether the data were
//! read right.

use font8x8::{BASIC_FONTS, LATIN_FONTS, UnicodeFonts};
use image::{Rgb, RgbImage};
use mtl_task::{Target, TaskKind};

use crate::dataset::{Dataset, Labels};
use crate::image::colours::{UNLABELLED, class_colour};
use crate::image::picture::first_three;
use crate::size::Size;

/// Side of one picture, in pixels.
const SIDE: u32 = 192;
const GAP: u32 = 8;
const LINE: u32 = 12;
const LETTER: u32 = 8;
/// Pictures side by side.
const PANELS: u32 = 6;
/// Images per class, and of data without classes.
const PER_CLASS: usize = 4;
const WITHOUT_CLASSES: usize = 24;
/// Images of all classes together.
const MOST: usize = 48;

const PAPER: Rgb<u8> = Rgb([250, 250, 250]);
const INK: Rgb<u8> = Rgb([30, 30, 30]);

/// Rows to show: of each class of the first classification task a few that are spread over the data set, else a few of all.
/// Rows with a mask come first.
pub fn examples(dataset: &dyn Dataset) -> Vec<usize> {
    let tasks = &dataset.schema().tasks;
    let by = tasks.iter().position(|task| matches!(task.kind, TaskKind::Classification { .. }));
    let mut of_class: Vec<Vec<usize>> = Vec::new();
    let labels: Vec<Vec<Labels>> = (0..dataset.len()).map(|row| dataset.labels(row)).collect();
    match by {
        Some(at) => {
            of_class.resize(tasks[at].kind.classes().len(), Vec::new());
            for (row, labels) in labels.iter().enumerate() {
                if let Labels::Class(class) = labels[at] {
                    of_class[class].push(row);
                }
            }
        }
        None => of_class.push((0..dataset.len()).collect()),
    }
    let each = if by.is_some() { (MOST / of_class.len().max(1)).clamp(1, PER_CLASS) } else { WITHOUT_CLASSES };
    let pick = |rows: &Vec<usize>| {
        let drawn = |row: &&usize| labels[**row].contains(&Labels::Pixels);
        let with: Vec<usize> = rows.iter().filter(drawn).copied().collect();
        let rows = if with.is_empty() { rows.clone() } else { with };
        let shown = each.min(rows.len());
        (0..shown).map(|at| rows[at * rows.len() / shown]).collect::<Vec<_>>()
    };
    of_class.iter().flat_map(pick).take(MOST).collect()
}

/// The sheet of some rows. Rows that cannot be read are left out.
pub fn sheet(dataset: &dyn Dataset, rows: &[usize]) -> RgbImage {
    draw(dataset, rows.iter().filter_map(|&row| Cell::read(dataset, row)).collect())
}

/// The sheet of some rows with a remark below each. At most 48 are drawn.
pub fn sheet_with_remarks(dataset: &dyn Dataset, rows: &[(usize, String)]) -> RgbImage {
    let with_remark = |(row, remark): &(usize, String)| {
        let mut cell = Cell::read(dataset, *row)?;
        cell.lines.push(remark.clone());
        Some(cell)
    };
    draw(dataset, rows.iter().take(MOST).filter_map(with_remark).collect())
}

fn draw(dataset: &dyn Dataset, cells: Vec<Cell>) -> RgbImage {
    let legend = legend(dataset);
    let panels = cells.iter().map(|cell| cell.panels.len()).max().unwrap_or(1) as u32;
    let lines = cells.iter().map(|cell| cell.lines.len()).max().unwrap_or(0) as u32;
    let columns = (PANELS / panels).max(1);
    let cell_width = panels * SIDE + GAP;
    let legend_height = legend.len() as u32 * LINE + GAP;
    // A line of pictures is as high as the highest of them.
    let heights: Vec<u32> =
        cells.chunks(columns as usize).map(|line| line.iter().map(Cell::height).max().unwrap_or(0)).collect();
    let below = lines * LINE + GAP;
    let top_of = |line: usize| legend_height + heights[..line].iter().map(|height| height + below).sum::<u32>();
    let width = GAP + columns.min(cells.len().max(1) as u32) * cell_width;
    let mut sheet = RgbImage::from_pixel(width.max(400), top_of(heights.len()) + GAP, PAPER);
    for (line, parts) in legend.iter().enumerate() {
        let mut x = GAP;
        let y = GAP / 2 + line as u32 * LINE;
        for (text, colour) in parts {
            if let Some(colour) = colour {
                (0..LETTER).for_each(|at| (0..LETTER).for_each(|down| put(&mut sheet, x + at, y + down, Rgb(*colour))));
                x += LETTER + 4;
            }
            x = write(&mut sheet, x, y, text) + 2 * LETTER;
        }
    }
    for (at, cell) in cells.iter().enumerate() {
        let line = at / columns as usize;
        let (left, top) = (GAP + at as u32 % columns * cell_width, top_of(line));
        for (panel, picture) in (0..).zip(&cell.panels) {
            for (x, y, pixel) in picture.enumerate_pixels() {
                put(&mut sheet, left + panel * SIDE + x, top + y, *pixel);
            }
        }
        let captions = top + heights[line] + 3;
        for (line, text) in (0..).zip(&cell.lines) {
            let letters = (panels * SIDE / LETTER) as usize;
            write(&mut sheet, left, captions + line * LINE, &shortened(text, letters));
        }
    }
    sheet
}

fn put(sheet: &mut RgbImage, x: u32, y: u32, colour: Rgb<u8>) {
    if x < sheet.width() && y < sheet.height() {
        sheet.put_pixel(x, y, colour);
    }
}

/// Writes a line; where it ends.
fn write(sheet: &mut RgbImage, left: u32, top: u32, text: &str) -> u32 {
    let mut x = left;
    for letter in text.chars() {
        let glyph = BASIC_FONTS.get(letter).or_else(|| LATIN_FONTS.get(letter)).or_else(|| BASIC_FONTS.get('?'));
        for (y, row) in (0..).zip(glyph.unwrap_or_default()) {
            (0..8).filter(|bit| row >> bit & 1 == 1).for_each(|bit| put(sheet, x + bit, top + y, INK));
        }
        x += LETTER;
    }
    x
}

/// The end of a text that is too long: file names differ there.
fn shortened(text: &str, letters: usize) -> String {
    let count = text.chars().count();
    if count <= letters {
        return text.to_owned();
    }
    format!("..{}", text.chars().skip(count + 2 - letters).collect::<String>())
}

/// One line per segmentation task: its name, and its classes with their colours.
fn legend(dataset: &dyn Dataset) -> Vec<Vec<(String, Option<[u8; 3]>)>> {
    const SHOWN: usize = 12;
    let mut lines = vec![vec![(format!("{}: {} images", dataset.schema().name, dataset.len()), None)]];
    for task in &dataset.schema().tasks {
        let TaskKind::Segmentation { classes } = &task.kind else { continue };
        let mut parts = vec![(format!("{}:", task.name), None)];
        let shown = (1_u8..).zip(classes.iter().skip(1)).take(SHOWN);
        parts.extend(shown.map(|(class, name)| (name.clone(), Some(class_colour(class)))));
        if classes.len() > SHOWN + 1 {
            parts.push((format!("and {} more", classes.len() - SHOWN - 1), None));
        }
        parts.push(("no label".into(), Some(UNLABELLED)));
        lines.push(parts);
    }
    lines
}

/// One image: a panel for it with each mask, a panel for each dense map, and its labels.
struct Cell {
    panels: Vec<RgbImage>,
    lines: Vec<String>,
}

impl Cell {
    fn height(&self) -> u32 {
        self.panels.iter().map(RgbImage::height).max().unwrap_or(0)
    }

    fn read(dataset: &dyn Dataset, row: usize) -> Option<Self> {
        let schema = dataset.schema();
        let native = dataset.native_size(row).unwrap_or(Size { height: 64, width: 64 });
        let scale = f64::from(SIDE - 4) / native.height.max(native.width) as f64;
        let side = |length: usize| ((length as f64 * scale).round() as usize).max(1);
        let size = Size { height: side(native.height), width: side(native.width) };
        let sample = dataset.sample(row, size).ok()?;
        let plane = size.pixels();
        let shown = first_three(&sample.image, schema.channels, size);
        let pixel = |at: usize| [shown[at], shown[plane + at], shown[2 * plane + at]];
        let picture = |colour: &dyn Fn(usize) -> [u8; 3]| {
            let mut panel = RgbImage::from_pixel(SIDE, size.height as u32, PAPER);
            for at in 0..plane {
                panel.put_pixel((at % size.width) as u32, (at / size.width) as u32, Rgb(colour(at)));
            }
            panel
        };
        let mut panels = Vec::new();
        let mut lines = vec![dataset.row_name(row)];
        for ((task, label), target) in schema.tasks.iter().zip(dataset.labels(row)).zip(&sample.targets) {
            match (target, label) {
                (Target::Mask(mask), Labels::Pixels) => {
                    panels.push(picture(&|at| drawn_over(pixel(at), mask, at, size)))
                }
                (Target::Dense(values), Labels::Pixels) => {
                    let known = values.iter().filter(|value| !value.is_nan());
                    let range = known.fold([f32::MAX, f32::MIN], |[low, high], &v| [low.min(v), high.max(v)]);
                    panels.push(picture(&|at| shade(values[at], range)));
                }
                (Target::Mask(_) | Target::Dense(_), _) => lines.push(format!("{}: none", task.name)),
                (_, Labels::Class(class)) => lines.push(format!("{}: {}", task.name, task.kind.classes()[class])),
                (_, Labels::MultiLabel(cells)) => {
                    let yes = cells.iter().zip(task.kind.classes()).filter(|(cell, _)| **cell == Some(true));
                    let names: Vec<&str> = yes.map(|(_, name)| name.as_str()).collect();
                    lines.push(format!(
                        "{}: {}",
                        task.name,
                        if names.is_empty() { "none".into() } else { names.join(", ") }
                    ));
                }
                (_, Labels::Value(value)) => lines.push(format!("{}: {value} {}", task.name, task.kind.unit())),
                (_, _) => lines.push(format!("{}: no label", task.name)),
            }
        }
        if !schema.tasks.iter().any(|task| matches!(task.kind, TaskKind::Segmentation { .. })) || panels.is_empty() {
            panels.insert(0, picture(&pixel));
        }
        Some(Self { panels, lines })
    }
}

/// A pixel with the colour of its class: strong at borders, faint inside, so that the image stays visible.
fn drawn_over(pixel: [u8; 3], mask: &[u8], at: usize, size: Size) -> [u8; 3] {
    let class = mask[at];
    let (y, x) = (at / size.width, at % size.width);
    let other = |inside: bool, neighbour: usize| inside && mask[neighbour] != class;
    let border = other(x > 0, at.wrapping_sub(1))
        || other(x + 1 < size.width, at + 1)
        || other(y > 0, at.wrapping_sub(size.width))
        || other(y + 1 < size.height, at + size.width);
    let strength = match (class, border) {
        (0, _) => return pixel,
        (_, true) => 100,
        (_, false) => 30,
    };
    let colour = class_colour(class);
    [0, 1, 2].map(|c| ((u32::from(pixel[c]) * (100 - strength) + u32::from(colour[c]) * strength) / 100) as u8)
}

/// Dark for the smallest value of the map, light for the largest.
fn shade(value: f32, [low, high]: [f32; 2]) -> [u8; 3] {
    if value.is_nan() {
        return UNLABELLED;
    }
    [((value - low) / (high - low).max(1e-6) * 255.0) as u8; 3]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenes::{Config, Scenes};

    #[test]
    fn a_sheet_shows_every_class_and_task() {
        let scenes = Scenes::new(Config { count: 60, ..Config::default() }).unwrap();
        let rows = examples(&scenes);
        let classes = scenes.schema().tasks[0].kind.classes().len();
        assert_eq!(rows.len(), classes * PER_CLASS);
        let drawn = sheet(&scenes, &rows);
        // Two panels: parts and depth; three images side by side.
        assert_eq!(drawn.width(), GAP + 3 * (2 * SIDE + GAP));
        let colours: std::collections::BTreeSet<[u8; 3]> = drawn.pixels().map(|pixel| pixel.0).collect();
        assert!((1..5).all(|class| colours.contains(&class_colour(class))), "every class is drawn");
        assert!(colours.contains(&INK.0), "labels are written");
        assert_eq!(shortened("a/long/name.png", 10), "..name.png");
    }
}
