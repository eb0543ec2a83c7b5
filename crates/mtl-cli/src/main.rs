//! The `mtl` program: one shared trunk learns several image tasks at once, and generators train with that trunk.
//!
//! Words in, words out: [`args`] says what can be typed, `verbs` has one file a verb, [`screen`] shows a run while it
//! goes on, [`table`] its scores, [`failure`] what went wrong and the exit code. All work is done by the libraries.

mod args;
mod failure;
mod interrupt;
mod output;
mod process;
mod screen;
mod table;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Verb};

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
    mtl_train::built_from(option_env!("MTL_GIT_REVISION").unwrap_or("unknown"));
    let display = args.display;
    let result = process::on_a_worker(|| match args.verb.unwrap_or_default() {
        Verb::Train(train) => verbs::train::run(train, display),
        Verb::Resume(resume) => verbs::resume::run(&resume, display),
        Verb::Eval(eval) => verbs::eval::run(&eval),
        Verb::Predict(predict) => verbs::predict::run(&predict),
        Verb::Generate(generate) => verbs::generate::run(&generate),
        Verb::Data { verb } => verbs::data::run(&verb),
        Verb::Balance(balance) => verbs::balance::run(&balance),
        Verb::List { what } => verbs::list::run(what),
    });
    match result.and_then(|()| output::delivered()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.exit_code())
        }
    }
}
