//! `mtl compare`: balancers next to equal weighting, tuned weights and single tasks.

use std::path::Path;

use mtl_experiment::{Comparison, ComparisonResult, Experiment, Observer, Table};
use serde::Serialize;
use serde_json::Value;

use crate::args::Compare;
use crate::failure::Failure;
use crate::interrupt;
use crate::logging::RunLog;
use crate::output::out;
use crate::paths::must_exist;
use crate::render::table::bordered;
use crate::screen::{ComparisonScreen, Console};

/// Content of the file of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    result: &'a ComparisonResult,
    table: &'a Table,
}

/// Trains the runs that are missing, and prints the table.
pub fn run(args: Compare, console: Console, log: &mut RunLog) -> Result<(), Failure> {
    for dir in &args.data {
        must_exist(dir, "folder").map_err(Failure::Data)?;
    }
    if let Some(file) = &args.config {
        must_exist(file, "configuration").map_err(Failure::Usage)?;
    }
    // Hours of training must not end with a file that cannot be written.
    if let Some(folder) = args.json.as_deref().and_then(Path::parent).filter(|dir| !dir.as_os_str().is_empty()) {
        must_exist(folder, "folder").map_err(Failure::Usage)?;
    }
    let comparison = comparison(&args)?;
    let mut screen = ComparisonScreen::new(console.clone());
    let stop = interrupt::flag(console)?;
    let result = mtl_experiment::compare(&comparison, &mut [&mut screen as &mut dyn Observer, log], &stop);
    screen.close();
    let result = result?;
    let table = Table::new(&result);
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&Report { result: &result, table: &table });
        let text = text.map_err(std::io::Error::from)?;
        std::fs::write(file, text + "\n").map_err(|error| Failure::other(format!("{}: {error}", file.display())))?;
    }
    if args.markdown {
        return Ok(out(table.markdown().trim_end())?);
    }
    let header = table.header();
    let columns = header.len();
    let mut shown = bordered(header, 1..columns);
    shown.add_rows(table.rows.iter().map(mtl_experiment::Row::cells));
    out(shown.trim_fmt())?;
    let seeds = comparison.experiment.seeds;
    Ok(out(format_args!(
        "held-out images; mean and standard deviation over {seeds} seeds; step time relative to equal weighting"
    ))?)
}

fn comparison(args: &Compare) -> Result<Comparison, Failure> {
    let mut overrides = args.set.clone();
    let folders = args.data.iter().map(|dir| toml_string(dir)).collect::<Result<Vec<_>, _>>()?;
    match &folders[..] {
        [] => {}
        [dir] => overrides.push(format!("data.path={dir}")),
        several => {
            let sources: Vec<String> = several.iter().map(|dir| format!("{{path={dir}}}")).collect();
            overrides.push(format!("data.sources=[{}]", sources.join(",")));
        }
    }
    let experiment = Experiment {
        preset: args.preset.clone(),
        file: args.config.clone(),
        overrides,
        steps: args.steps,
        seeds: args.seeds,
        runs: args.runs.clone(),
        keep_checkpoints: args.keep_checkpoints,
    };
    let methods = args.methods.iter().filter(|method| !method.is_empty()).cloned().collect();
    Ok(Comparison { experiment, methods })
}

/// A path as a TOML string. JSON's escapes are TOML's too.
fn toml_string(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().ok_or_else(|| Failure::Usage(format!("{}: the path is not UTF-8", path.display())))?;
    Ok(Value::from(text).to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Verb};

    fn parsed(args: &[&str]) -> Comparison {
        let all = ["mtl", "compare"].iter().chain(args);
        let Some(Verb::Compare(args)) = Args::try_parse_from(all).unwrap().verb else { panic!("not compare") };
        comparison(&args).unwrap()
    }

    #[test]
    fn the_defaults_are_those_of_the_library() {
        assert_eq!(parsed(&[]), Comparison::default());
    }

    #[test]
    fn methods_and_folders() {
        let one =
            parsed(&["--methods", "upgrad,cagrad:c=0.4;rescale=false", "--data", "my \"photos\"", "--set", "a=1"]);
        assert_eq!(one.methods, ["upgrad", "cagrad:c=0.4;rescale=false"]);
        assert_eq!(one.experiment.overrides, ["a=1", "data.path=\"my \\\"photos\\\"\""]);
        let two = parsed(&["--methods", "", "--data", "a", "--data", "b"]);
        assert_eq!(two.methods, Vec::<String>::new());
        assert_eq!(two.experiment.overrides, ["data.sources=[{path=\"a\"},{path=\"b\"}]"]);
    }
}
