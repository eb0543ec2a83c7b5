//! `mtl list`: the registries, one line per entry.

use clap::ValueEnum;
use mtl_registry::{Entry, Member};

use crate::args::Registry;
use crate::failure::Failure;
use crate::output::out;
use crate::render::table::columns;

/// Lists one registry, or all of them under their names.
pub fn run(what: Option<Registry>) -> Result<(), Failure> {
    match what {
        Some(registry) => lines(registry).iter().try_for_each(out)?,
        None => {
            for (index, registry) in Registry::value_variants().iter().enumerate() {
                let title = title(*registry);
                out(if index == 0 { title.to_owned() } else { format!("\n{title}") })?;
                lines(*registry).iter().try_for_each(|line| out(format_args!("  {line}")))?;
            }
        }
    }
    Ok(())
}

fn title(registry: Registry) -> &'static str {
    match registry {
        Registry::Trunks => "trunks: --set model.trunk=NAME",
        Registry::Sharings => "sharings: --set model.sharing=NAME",
        Registry::Heads => "heads: chosen by the task, --set heads.TASK.NAME.key=value",
        Registry::Generators => "generators: --set stages.run=[\"joint\", \"NAME\"], generators.NAME.KIND.key=value",
        Registry::Objectives => "objectives: --set objectives.reconstruction=NAME",
        Registry::Stages => "stages: --set stages.run=[\"NAME\", ...]; every generator's name is a stage too",
        Registry::Balancers => {
            "balancers: --set balancer=NAME; for methods of gradients --set balancer_options.{ema,every,normalise,match_norm}=VALUE"
        }
        Registry::Readers => "readers: chosen by the folder, --set data.open.reader=NAME",
        Registry::Samplers => "samplers: --set data.sampling=NAME, with two or more of --data",
        Registry::Presets => "presets: --preset NAME",
        Registry::Augment => "augment: --set data.augment.key=value",
    }
}

fn lines(registry: Registry) -> Vec<String> {
    match registry {
        Registry::Trunks => of(mtl_trunk::TRUNKS),
        Registry::Sharings => of(mtl_trunk::sharing::SHARINGS),
        Registry::Heads => of(mtl_heads::HEADS),
        Registry::Objectives => of(mtl_model::objectives::OBJECTIVES),
        Registry::Generators => of(mtl_gen::GENERATORS),
        Registry::Stages => of(mtl_train::run::stages::STAGES),
        Registry::Balancers => balancers(),
        Registry::Readers => of(mtl_data::READERS),
        Registry::Samplers => of(mtl_data::SAMPLERS),
        Registry::Presets => of(mtl_train::config::load::PRESETS),
        Registry::Augment => of(mtl_data::augment::PRESETS),
    }
}

/// With family, signals and their cost per step, guarantee, and publication.
fn balancers() -> Vec<String> {
    use mtl_balance::{BALANCERS, Config, Facts, Feedback, Needs};
    // The signals of a method, and their cost per step on top of the weighted sum.
    let needs = |entry: &Entry<Member<Config, Facts>>| {
        let Ok(method) = (entry.item.default)().build(&[]) else { return ["-"; 2] };
        let requirements = method.requirements();
        match (requirements.needs, requirements.feedback) {
            (_, Feedback::LossesAfter) => ["losses before and after", "1 forward pass"],
            (_, Feedback::Lookahead(_)) => ["losses on another batch", "3 forward, 1 backward"],
            (Needs::Losses, Feedback::Nothing) => ["losses", "nothing"],
            (Needs::FeatureGram, _) => ["angles at the features", "heads one by one"],
            (Needs::TrunkGram, _) => ["angles of gradients", "1 trunk pass per task"],
            (Needs::HalvesGram, _) => ["angles between two halves", "1 trunk pass per task"],
            (Needs::Gradients, _) => ["gradients", "1 trunk pass per task"],
        }
    };
    let names = ["name", "family", "signals", "cost per step", "guarantee", "summary", "publication"];
    let rows = BALANCERS.iter().map(|entry| {
        let Facts { family, guarantee } = entry.item.facts;
        let [needs, cost] = needs(entry);
        [entry.name, family.name(), needs, cost, guarantee, entry.summary, entry.item.paper.unwrap_or("-")]
    });
    columns([names].into_iter().chain(rows).map(|row| row.map(str::to_owned)))
}

fn of<T>(entries: &[Entry<T>]) -> Vec<String> {
    columns(entries.iter().map(|entry| [entry.name.to_owned(), entry.summary.to_owned()]))
}
