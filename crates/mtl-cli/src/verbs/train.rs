//! `mtl train`, and `mtl` alone: the main job.

use mtl_train::config::load;
use mtl_train::config::{Budget, Config, SourceFolder};
use mtl_train::event::Observer;
use mtl_train::store::read_config;

use crate::args::Train;
use crate::failure::Failure;
use crate::interrupt;
use crate::logging::RunLog;
use crate::paths::must_exist;
use crate::screen::{Console, Screen};

/// Trains and prints the scores.
pub fn run(args: Train, console: Console, log: &mut RunLog) -> Result<(), Failure> {
    for dir in &args.data {
        must_exist(dir, "folder").map_err(Failure::Data)?;
    }
    if let Some(file) = &args.config {
        must_exist(file, "configuration").map_err(Failure::Usage)?;
    }
    if let Some(run) = &args.init_from {
        must_exist(run, "run folder").map_err(Failure::Usage)?;
    }
    let json = args.json;
    let config = configuration(args)?;
    let mut screen = Screen::new(console, json);
    let stop = interrupt::flag(screen.console())?;
    let result = mtl_train::train(config, &mut [&mut screen as &mut dyn Observer, log], &stop);
    screen.close(result)
}

/// Defaults, preset (or another run's settings), file, `--set` and flags, in this order.
fn configuration(args: Train) -> Result<Config, Failure> {
    // The user's own choices, apart from those of a preset.
    let chosen = load::chosen(args.config.as_deref(), &args.set)?;
    let has_folder = !args.data.is_empty() || chosen.data.path.is_some() || !chosen.data.sources.is_empty();
    let preset = args.preset.as_deref().unwrap_or(if has_folder { "standard" } else { "small" });
    let mut config = match &args.init_from {
        Some(run) => load::unresolved_from(run, read_config(run)?, args.config.as_deref(), &args.set)?,
        None => load::unresolved(preset, args.config.as_deref(), &args.set)?,
    };
    if args.epochs.is_some() || args.steps.is_some() || args.minutes.is_some() {
        let preset_steps = config.budget.steps;
        let scaled = |own: Option<u64>, preset: Option<u64>| {
            // Generator stages keep the preset's (or the other run's) proportion to the joint stage, unless the user set them.
            own.or_else(|| Some((preset? as f64 * args.steps? as f64 / preset_steps? as f64).round().max(1.0) as u64))
        };
        for (name, settings) in &mut config.stages.settings {
            settings.steps = scaled(chosen.stages.settings(name).steps, settings.steps);
        }
        config.budget = Budget { steps: args.steps, epochs: args.epochs, minutes: args.minutes };
    }
    // With the budget of the flags, which decides about generators.
    config.resolve().map_err(mtl_train::Error::from)?;
    match &args.data[..] {
        [] => {}
        [dir] => (config.data.path, config.data.sources) = (Some(dir.clone()), Vec::new()),
        several => {
            config.data.path = None;
            config.data.sources = several.iter().cloned().map(SourceFolder::new).collect();
        }
    }
    config.seed = args.seed.unwrap_or(config.seed);
    config.size = args.size.unwrap_or(config.size);
    config.device = args.device.unwrap_or(config.device);
    config.output.name = args.name.or(config.output.name);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_folder_decides_the_preset() {
        let small = load::load("small", None, &[]).unwrap();
        let standard = load::load("standard", None, &[]).unwrap();
        assert_ne!(small, standard);
        assert_eq!(configuration(Train::default()).unwrap(), small);
        let on_folder = configuration(Train { data: vec!["photos".into()], ..Train::default() }).unwrap();
        assert_eq!(on_folder.size, standard.size);
        assert_eq!(on_folder.data.path.as_deref(), Some("photos".as_ref()));
        let by_key = configuration(Train { set: set(&["data.path=photos"]), ..Train::default() }).unwrap();
        assert_eq!(by_key, on_folder);
    }

    #[test]
    fn several_folders_are_sources() {
        let data = || vec!["photos".into(), "scans".into()];
        let config =
            configuration(Train { data: data(), set: set(&["data.sampling=uniform"]), ..Train::default() }).unwrap();
        assert_eq!(config.size, load::load("standard", None, &[]).unwrap().size);
        let paths: Vec<_> = config.data.sources.iter().map(|source| source.path.clone()).collect();
        assert_eq!((config.data.path, paths), (None, data()));
        assert_eq!(config.data.sampling.name(), "uniform");
        // Flags win over keys: one folder replaces several, and several one.
        let keys = || set(&["data.sources=[{path=\"a\"},{path=\"b\"}]"]);
        let config = configuration(Train { data: vec!["c".into()], set: keys(), ..Train::default() }).unwrap();
        assert_eq!((config.data.path, config.data.sources.len()), (Some("c".into()), 0));
        let config = configuration(Train { data: data(), set: set(&["data.path=c"]), ..Train::default() }).unwrap();
        assert_eq!((config.data.path, config.data.sources.len()), (None, 2));
        let by_key = configuration(Train { set: keys(), ..Train::default() }).unwrap();
        assert_eq!(by_key.size, load::load("standard", None, &[]).unwrap().size);
    }

    #[test]
    fn flags_win_over_keys_and_budgets_replace_each_other() {
        let config = configuration(Train {
            seed: Some(3),
            steps: Some(100),
            set: set(&["seed=1", "budget.epochs=2"]),
            ..Train::default()
        })
        .unwrap();
        assert_eq!((config.seed, config.budget.steps, config.budget.epochs), (3, Some(100), None));
    }

    #[test]
    fn generators_follow_the_budget_of_the_flags() {
        let of = |train: Train| {
            let config = configuration(train).unwrap();
            (config.stages.run.join(" "), config.generators.keys().cloned().collect::<Vec<_>>().join(" "))
        };
        let pair = |run: &str, generators: &str| (run.to_owned(), generators.to_owned());
        assert_eq!(of(Train { minutes: Some(20.0), ..Train::default() }), pair("joint flow", "flow vae"));
        assert_eq!(of(Train { minutes: Some(2.0), ..Train::default() }), pair("joint vae gan", "gan vae"));
        let keys = set(&["budget.minutes=20"]);
        assert_eq!(of(Train { steps: Some(9), set: keys, ..Train::default() }), pair("joint vae gan", "gan vae"));
        let named = set(&["stages.run=[\"joint\",\"vae\",\"gan\"]"]);
        let train = Train { minutes: Some(20.0), set: named, ..Train::default() };
        assert_eq!(of(train), pair("joint vae gan", "gan vae"));
    }

    #[test]
    fn generator_steps_follow_the_joint_stages() {
        let small = load::load("small", None, &[]).unwrap();
        let steps = |config: &Config, stage: &str| config.stages.settings(stage).steps;
        let half = |steps: Option<u64>| steps.map(|steps| steps / 2);
        let config = configuration(Train { steps: half(small.budget.steps), ..Train::default() }).unwrap();
        for stage in ["vae", "gan"] {
            assert_eq!(steps(&config, stage), half(steps(&small, stage)));
        }
        let own = set(&["stages.gan.steps=2"]);
        let config = configuration(Train { steps: Some(4), set: own, ..Train::default() }).unwrap();
        assert_eq!(steps(&config, "gan"), Some(2));
        let minutes = configuration(Train { minutes: Some(1.0), ..Train::default() }).unwrap();
        assert_eq!((minutes.budget.steps, steps(&minutes, "gan")), (None, None));
    }
}
