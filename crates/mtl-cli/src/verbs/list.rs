//! `mtl list`: everything that has a name, in one line each.

use clap::ValueEnum;
use mtl_registry::Entry;

use crate::args::Registry;
use crate::failure::Failure;
use crate::output::out;

/// Lists one registry, or all of them under their names.
pub fn run(what: Option<Registry>) -> Result<(), Failure> {
    match what {
        Some(registry) => lines(registry, "").iter().for_each(out),
        None => {
            for (index, registry) in Registry::value_variants().iter().enumerate() {
                let title = title(*registry);
                out(if index == 0 { title.to_owned() } else { format!("\n{title}") });
                lines(*registry, "  ").iter().for_each(out);
            }
        }
    }
    Ok(())
}

fn title(registry: Registry) -> &'static str {
    match registry {
        Registry::Trunks => "trunks: --set model.trunk=NAME",
        Registry::Heads => "heads: chosen by the task, --set heads.TASK.NAME.key=value",
        Registry::Generators => "generators: mtl generate RUN --generator NAME, --set model.NAME.key=value",
        Registry::Balancers => {
            "balancers: --set balancer=NAME, around those that see gradients --set balancing.{ema,every,normalise,match_norm}=VALUE"
        }
        Registry::Readers => "readers: chosen by the folder, --set data.open.reader=NAME",
        Registry::Mixings => "mixings: --set data.mixing=NAME, with two or more of --data",
        Registry::Presets => "presets: --preset NAME",
        Registry::Augment => "augment: --set data.augment.key=value",
    }
}

fn lines(registry: Registry, indent: &str) -> Vec<String> {
    match registry {
        Registry::Trunks => of(mtl_trunk::TRUNKS, indent),
        Registry::Heads => of(mtl_heads::HEADS, indent),
        Registry::Generators => of(mtl_gen::GENERATORS, indent),
        Registry::Balancers => balancers(indent),
        Registry::Readers => of(mtl_data::READERS, indent),
        Registry::Mixings => of(mtl_data::MIXINGS, indent),
        Registry::Presets => of(mtl_train::settings::PRESETS, indent),
        Registry::Augment => of(mtl_data::augment::PRESETS, indent),
    }
}

/// With family, what a step must compute for them, what they promise, and where they were published.
fn balancers(indent: &str) -> Vec<String> {
    use mtl_balance::{BALANCERS, Feedback, Needs};
    // What a method is told, and what a step pays for it beside the weighted sum.
    let needs = |entry: &Entry<mtl_balance::Method>| {
        let Ok(method) = (entry.item.default)().build(&[]) else { return ["-"; 2] };
        match (method.needs(), method.feedback()) {
            (_, Feedback::LossesAfter) => ["losses before and after", "1 forward pass"],
            (_, Feedback::Lookahead(_)) => ["losses on another batch", "3 forward, 1 backward"],
            (Needs::Losses, Feedback::Nothing) => ["losses", "nothing"],
            (Needs::FeatureGram, _) => ["angles at the features", "heads one by one"],
            (Needs::TrunkGram, _) => ["angles of gradients", "1 trunk pass a task"],
            (Needs::HalvesGram, _) => ["angles between two halves", "1 trunk pass a task"],
            (Needs::Gradients, _) => ["gradients", "1 trunk pass a task"],
        }
    };
    let rows: Vec<[&str; 7]> = BALANCERS
        .iter()
        .map(|entry| {
            let method = &entry.item;
            let [needs, cost] = needs(entry);
            [entry.name, method.family.name(), needs, cost, method.promise, entry.summary, method.paper]
        })
        .collect();
    let head = ["name", "family", "needs", "costs a step", "promises", "what it does", "published"];
    let width = |column: usize| rows.iter().chain([&head]).map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |row: &[&str; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}  "));
        format!("{indent}{}{}", cells.collect::<String>(), row[6])
    };
    [&head].into_iter().chain(&rows).map(line).collect()
}

fn of<T>(entries: &[Entry<T>], indent: &str) -> Vec<String> {
    let width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    entries.iter().map(|entry| format!("{indent}{:width$}  {}", entry.name, entry.summary)).collect()
}
