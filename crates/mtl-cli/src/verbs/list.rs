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
            "balancers: --set balancer=NAME (what a step computes for it, what it promises, what it does)"
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

/// With what a step must compute for them, cheapest first, and what they promise.
fn balancers(indent: &str) -> Vec<String> {
    use mtl_balance::{BALANCERS, Needs};
    let needs =
        |entry: &Entry<mtl_balance::Method>| match (entry.item.default)().build(&[]).map(|method| method.needs()) {
            Ok(Needs::Losses) => "losses",
            Ok(Needs::FeatureGram) => "1 trunk pass",
            Ok(Needs::TrunkGram) => "1 trunk pass a task",
            Ok(Needs::Gradients) => "all gradients",
            Err(_) => "-",
        };
    let width = |text: &dyn Fn(&Entry<mtl_balance::Method>) -> usize| BALANCERS.iter().map(text).max().unwrap_or(0);
    let (names, costs) = (width(&|entry| entry.name.len()), width(&|entry| needs(entry).len()));
    let promises = width(&|entry| entry.item.promise.len());
    let line = |entry: &Entry<mtl_balance::Method>| {
        let (name, cost, promise) = (entry.name, needs(entry), entry.item.promise);
        format!("{indent}{name:names$}  {cost:costs$}  {promise:promises$}  {}", entry.summary)
    };
    BALANCERS.iter().map(line).collect()
}

fn of<T>(entries: &[Entry<T>], indent: &str) -> Vec<String> {
    let width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    entries.iter().map(|entry| format!("{indent}{:width$}  {}", entry.name, entry.summary)).collect()
}
