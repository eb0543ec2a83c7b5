//! The `mtl` program: multi-task learning with one shared trunk, and generators trained with that trunk.
//!
//! [`args`] parses the command line, `verbs` has one file per verb, [`screen`] shows a run's progress, [`render`] formats tables
//! and numbers, [`logging`] writes log lines, [`failure`] maps errors to messages and exit codes. The libraries do the work.

mod args;
mod failure;
mod interrupt;
mod logging;
mod output;
mod paths;
mod process;
mod render;
mod screen;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Verb};
use crate::failure::Failure;
use crate::screen::Console;

fn main() -> ExitCode {
    process::prepare();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version come this way too. A closed pipe is no failure.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(args: Args) -> Result<(), Failure> {
    let console = Console::new(args.display);
    let mut run_log = logging::start(args.display, &console)?;
    let revision = option_env!("MTL_GIT_REVISION").unwrap_or("unknown");
    mtl_train::built_from(revision);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), revision, "mtl");
    tracing::debug!(verb = ?args.verb, "arguments");
    process::on_a_worker(|| match args.verb.unwrap_or_default() {
        Verb::Train(train) => verbs::train::run(train, console, &mut run_log),
        Verb::Resume(resume) => verbs::resume::run(&resume, console, &mut run_log),
        Verb::Eval(eval) => verbs::eval::run(&eval),
        Verb::Predict(predict) => verbs::predict::run(&predict),
        Verb::Generate(generate) => verbs::generate::run(&generate, &console),
        Verb::Data { verb } => verbs::data::run(&verb, args.display),
        Verb::Balance(balance) => verbs::balance::run(&balance),
        Verb::Compare(compare) => verbs::compare::run(compare, console, &mut run_log),
        Verb::List { what } => verbs::list::run(what),
    })
}
