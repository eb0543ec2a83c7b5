//! `mtl balance`: one step of a method on gradients from a file.

use std::fs;

use comfy_table::{CellAlignment, Table};
use mtl_balance::Update;
use serde::Deserialize;
use serde_json::json;

use crate::args::Balance;
use crate::failure::{Failure, must_exist};
use crate::output::{json, out};
use crate::table::STYLE;

/// What the file holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    jacobian: Vec<Vec<f64>>,
    losses: Option<Vec<f64>>,
}

/// Prints weights and update.
pub fn run(args: &Balance) -> Result<(), Failure> {
    let (config, wrap) = mtl_balance::Config::typed(&args.method, &args.set).map_err(Failure::Usage)?;
    must_exist(&args.file, "file").map_err(Failure::Data)?;
    let place = args.file.display();
    let text = fs::read_to_string(&args.file).map_err(|error| Failure::Data(format!("{place}: {error}")))?;
    let step: Step = serde_json::from_str(&text).map_err(|error| Failure::Data(format!("{place}: {error}")))?;
    let losses = step.losses.unwrap_or_else(|| vec![1.0; step.jacobian.len()]);
    let update =
        mtl_balance::once((&config, &wrap), &step.jacobian, &losses, args.seed).map_err(|error| match error {
            mtl_balance::Error::Setting { .. }
            | mtl_balance::Error::Unsuited { .. }
            | mtl_balance::Error::UnknownTask { .. } => Failure::Usage(error.to_string()),
            _ => Failure::Data(format!("{place}: {error}")),
        })?;
    if args.json {
        json(&json!({ "weights": update.weights, "vector": update.vector }))
    } else {
        out(table(&step.jacobian, &losses, &update));
        Ok(())
    }
}

/// A line a task: how long its gradient is, what it weighs, and whether the update serves it.
fn table(jacobian: &[Vec<f64>], losses: &[f64], Update { weights, vector }: &Update) -> String {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let length = |row: &[f64]| dot(row, row).sqrt();
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(["task", "loss", "|gradient|", "weight", "cosine with the update"]);
    for column in 0..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (task, ((row, loss), weight)) in jacobian.iter().zip(losses).zip(weights).enumerate() {
        let norms = length(row) * length(vector);
        let cosine = if norms > 0.0 { format!("{:.4}", dot(row, vector) / norms) } else { "-".to_owned() };
        table.add_row([task.to_string(), format!("{loss:.4}"), number(length(row)), number(*weight), cosine]);
    }
    let first: Vec<String> = vector.iter().take(8).map(|v| number(*v)).collect();
    let more =
        if vector.len() > 8 { format!(" ... ({} numbers; all with --json)", vector.len()) } else { String::new() };
    format!("{table}\nupdate  {}{more}\nlength  {}", first.join("  "), number(length(vector)))
}

/// Six digits, as a power of ten where there are many zeros.
fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size) { format!("{value:.5e}") } else { format!("{value:.6}") }
}
