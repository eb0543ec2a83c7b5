//! `mtl balance`: one step of a balancing method on task gradients from a file.

use std::fs;

use mtl_balance::{Aggregator, Config, Error, Update, UpdateOptions};
use mtl_registry::UnknownName;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::args::Balance;
use crate::failure::Failure;
use crate::output::{json, out};
use crate::paths::must_exist;
use crate::render::number::precise;
use crate::render::table::bordered;

/// Content of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    jacobian: Vec<Vec<f64>>,
    losses: Option<Vec<f64>>,
}

/// Prints weights and update.
pub fn run(args: &Balance) -> Result<(), Failure> {
    let (config, options) = parse(&args.method, &args.set).map_err(Failure::Usage)?;
    must_exist(&args.file, "file").map_err(Failure::Data)?;
    let place = args.file.display();
    let text = fs::read_to_string(&args.file).map_err(|error| Failure::Data(format!("{place}: {error}")))?;
    let step: Step = serde_json::from_str(&text).map_err(|error| Failure::Data(format!("{place}: {error}")))?;
    let losses = step.losses.unwrap_or_else(|| vec![1.0; step.jacobian.len()]);
    let aggregator = Aggregator::new(&config).options(&options).losses(&losses).seed(args.seed);
    let update = aggregator.update(&step.jacobian).map_err(|error| match error {
        Error::Setting { .. } | Error::IncompatibleOption { .. } | Error::UnknownTask { .. } => {
            Failure::Usage(error.to_string())
        }
        _ => Failure::Data(format!("{place}: {error}")),
    })?;
    if args.json {
        json(&json!({ "weights": update.weights, "vector": update.vector }))?;
    } else {
        out(table(&step.jacobian, &losses, &update))?;
    }
    Ok(())
}

/// The method and the options from the command line: the method's name, also with hyphens, or `ew` for equal fixed weights; single
/// settings of either as `key=value`.
///
/// # Errors
/// The mistake, with the nearest name of a method or key.
fn parse(name: &str, settings: &[String]) -> Result<(Config, UpdateOptions), String> {
    let name = name.to_lowercase().replace('-', "_");
    let default = Config::default_of(if name == "ew" { "fixed" } else { &name }).map_err(|error| error.to_string())?;
    let words = |error: serde_json::Error| error.to_string();
    let mut tree = serde_json::to_value(&default).map_err(words)?;
    let mut options = serde_json::to_value(UpdateOptions::default()).map_err(words)?;
    for setting in settings {
        let (key, text) = setting.split_once('=').ok_or_else(|| format!("`{setting}` is not of the form key=value"))?;
        let read: Value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
        let method = &mut tree[default.name()];
        if let Some(value) = method.get_mut(key) {
            *value = read;
            // A task may be called `1`.
            if serde_json::from_value::<Config>(tree.clone()).is_err() {
                let mut other = tree.clone();
                other[default.name()][key] = text.into();
                tree = if serde_json::from_value::<Config>(other.clone()).is_ok() { other } else { tree };
            }
            continue;
        }
        if let Some(value) = options.get_mut(key) {
            *value = read;
            continue;
        }
        let keys = method.as_object().into_iter().chain(options.as_object()).flatten();
        let known: Vec<String> = keys.map(|(key, _)| key.clone()).collect();
        return Err(UnknownName::new("setting", key, known.iter().map(String::as_str)).to_string());
    }
    Ok((serde_json::from_value(tree).map_err(words)?, serde_json::from_value(options).map_err(words)?))
}

/// One line per task: length of its gradient, weight, cosine with the update.
fn table(jacobian: &[Vec<f64>], losses: &[f64], Update { weights, vector }: &Update) -> String {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let norm = |row: &[f64]| dot(row, row).sqrt();
    let mut table = bordered(["task", "loss", "|gradient|", "weight", "cosine with the update"], 0..5);
    for (task, ((row, loss), weight)) in jacobian.iter().zip(losses).zip(weights).enumerate() {
        let norms = norm(row) * norm(vector);
        let cosine = if norms > 0.0 { format!("{:.4}", dot(row, vector) / norms) } else { "-".to_owned() };
        table.add_row([task.to_string(), format!("{loss:.4}"), precise(norm(row)), precise(*weight), cosine]);
    }
    let first: Vec<String> = vector.iter().take(8).map(|v| precise(*v)).collect();
    let more =
        if vector.len() > 8 { format!(" ... ({} numbers; all with --json)", vector.len()) } else { String::new() };
    format!("{table}\nupdate  {}{more}\nlength  {}", first.join("  "), precise(norm(vector)))
}

#[cfg(test)]
mod tests {
    use mtl_balance::GradientsWrt;
    use mtl_balance::methods::{cagrad, pcgrad};

    use super::*;

    #[test]
    fn methods_and_settings_of_the_command_line() {
        let parsed = |name: &str, settings: &[&str]| {
            parse(name, &settings.iter().map(|&text| text.to_owned()).collect::<Vec<_>>()).map(|(config, _)| config)
        };
        assert_eq!(parsed("imtl-g", &[]).unwrap(), Config::default_of("imtl_g").unwrap());
        assert_eq!(parsed("EW", &[]).unwrap(), Config::default());
        let cagrad = cagrad::Config { c: 0.4, rescale: false, ..Default::default() };
        assert_eq!(parsed("cagrad", &["c=0.4", "rescale=false"]).unwrap(), Config::Cagrad(cagrad));
        let features = pcgrad::Config { gradients_wrt: GradientsWrt::Representation };
        assert_eq!(parsed("pcgrad", &["gradients_wrt=representation"]).unwrap(), Config::Pcgrad(features));
        let (_, options) = parse("mgda", &["match_norm=true".to_owned()]).unwrap();
        assert_eq!(options, UpdateOptions { match_norm: true, ..UpdateOptions::default() });
        assert_eq!(parsed("pcd", &["primary=1"]).unwrap(), parsed("pcd", &["primary=\"1\""]).unwrap());
        assert!(parsed("mgda", &["match_nrom=true"]).unwrap_err().contains("did you mean `match_norm`"));
        assert!(parsed("mgad", &[]).unwrap_err().contains("did you mean `mgda`"));
        assert!(parsed("cagrad", &["rescal=1"]).unwrap_err().contains("did you mean `rescale`"));
        assert!(parsed("cagrad", &["c"]).unwrap_err().contains("key=value"));
        assert!(parsed("cagrad", &["c=much"]).is_err());
    }
}
