//! A report as plain text.

use std::fmt;

use mtl_task::ValueStatistics;

use super::{Report, Splits, TaskReport};
use crate::error::Skipped;
use crate::split::duplicates::Likeness;

/// Entries of a list that are written out; the rest is counted.
const SHOWN: usize = 20;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} rows", self.name, self.rows)?;
        match self.channels {
            0 => writeln!(f)?,
            1 => writeln!(f, ", grey")?,
            3 => writeln!(f, ", colour")?,
            channels => writeln!(f, ", {channels} channels")?,
        }
        if let Some(reason) = &self.refused {
            writeln!(f, "REFUSED: {reason}")?;
        }
        if !self.reading.reader.is_empty() {
            writeln!(f, "reader: {}", self.reading.reader)?;
        }
        if let Some(Splits { train, validation, test, unlabelled }) = self.splits {
            writeln!(
                f,
                "own split: {train} train, {validation} validation, {test} test; {unlabelled} of them unlabelled"
            )?;
        }
        if let Some(sizes) = &self.sizes {
            let [h, w] = [sizes.height, sizes.width];
            let distinct = sizes.distinct;
            if distinct == 1 {
                writeln!(f, "size: all {} x {} (width x height)", w[0], h[0])?;
            } else {
                write!(f, "sizes: {distinct} different; width {} to {}, median {}", w[0], w[2], w[1])?;
                writeln!(f, "; height {} to {}, median {}", h[0], h[2], h[1])?;
            }
        }
        if self.rows > 0 {
            let list = |values: &[f64]| values.iter().map(|v| format!("{v:.3}")).collect::<Vec<_>>().join(", ");
            writeln!(f, "pixels: mean {}; std {} (0 to 1)", list(&self.mean), list(&self.std))?;
        }
        for task in &self.tasks {
            writeln!(f)?;
            write_task(f, task, self.rows)?;
        }
        writeln!(f)?;
        write_broken(f, &self.broken)?;
        write_list(f, "classes too small", self.small_classes.iter().cloned())?;
        writeln!(f, "same images: {} pairs; nearly the same: {} pairs", self.exact_pairs, self.near_pairs)?;
        for (likeness, word) in [(Likeness::Exact, "same"), (Likeness::Near, "nearly the same")] {
            let pairs = self.crossing.iter().filter(|pair| pair.likeness == likeness).map(|pair| {
                let why: Vec<&str> = pair.classes.iter().chain(&pair.parts).map(String::as_str).collect();
                format!("{} | {} ({})", pair.rows[0], pair.rows[1], why.join("; "))
            });
            write_list(f, &format!("{word}, in different classes or subsets"), pairs)?;
        }
        write_list(f, "notes", self.reading.notes().into_iter())?;
        write_list(f, "warnings", self.reading.warnings.iter().cloned())?;
        let count = |count: usize, what: &str| match count {
            0 => format!("no {what}s"),
            1 => format!("1 {what}"),
            n => format!("{n} {what}s"),
        };
        let problems = count(self.problems(), "problem");
        match self.reading.warnings.len() {
            0 => writeln!(f, "{problems}"),
            warnings => writeln!(f, "{problems}, {}", count(warnings, "warning")),
        }
    }
}

fn write_task(f: &mut fmt::Formatter<'_>, task: &TaskReport, rows: usize) -> fmt::Result {
    let labelled = rows - task.missing;
    writeln!(f, "{} ({}): {labelled} rows labelled, {} not", task.name, task.kind, task.missing)?;
    let unit = if task.unit.is_empty() { String::new() } else { format!(" {}", task.unit) };
    if let Some([low, high]) = task.range {
        writeln!(f, "  values {low:.4} to {high:.4}{unit}")?;
    }
    if let Some(ValueStatistics { mean, std, min, max, .. }) = task.values {
        writeln!(f, "  values {min} to {max}{unit}, mean {mean:.4}, standard deviation {std:.4}")?;
    }
    if task.unlabelled_pixels > 0.0 {
        writeln!(f, "  {:.2} % of the pixels of labelled rows have no label", 100.0 * task.unlabelled_pixels)?;
    }
    if task.kind == "segmentation" {
        writeln!(f, "  {} masks are empty (background only)", task.empty_masks)?;
    }
    let width = task.classes.iter().map(|class| class.name.chars().count()).max().unwrap_or(0).max(5);
    let head = match task.kind {
        "segmentation" => "  rows with it  share of pixels",
        "multi_label" => "       yes        no",
        _ => "      rows     share",
    };
    if !task.classes.is_empty() {
        writeln!(f, "  {:width$}{head}", "class")?;
    }
    for class in &task.classes {
        write!(f, "  {:width$}", class.name)?;
        match (class.pixels, task.kind) {
            (Some(share), _) => writeln!(f, "  {:>12}  {:>13.2} %", class.rows, 100.0 * share)?,
            (None, "multi_label") => writeln!(f, "{:>10}{:>10}", class.rows, class.no)?,
            _ => writeln!(f, "{:>10}{:>8.1} %", class.rows, 100.0 * class.rows as f64 / labelled.max(1) as f64)?,
        }
    }
    Ok(())
}

/// One line per reason.
fn write_broken(f: &mut fmt::Formatter<'_>, broken: &[Skipped]) -> fmt::Result {
    let lines = Skipped::lines(broken);
    if !lines.is_empty() {
        writeln!(f, "missing or broken files ({}):", broken.len())?;
        lines.iter().take(SHOWN).try_for_each(|line| writeln!(f, "  {line}"))?;
        if lines.len() > SHOWN {
            writeln!(f, "  ... and {} more reasons", lines.len() - SHOWN)?;
        }
    }
    Ok(())
}

fn write_list(f: &mut fmt::Formatter<'_>, title: &str, items: impl Iterator<Item = String>) -> fmt::Result {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        return Ok(());
    }
    writeln!(f, "{title} ({}):", items.len())?;
    items.iter().take(SHOWN).try_for_each(|item| writeln!(f, "  {item}"))?;
    if items.len() > SHOWN {
        writeln!(f, "  ... and {} more", items.len() - SHOWN)?;
    }
    Ok(())
}
