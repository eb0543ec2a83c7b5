//! Typed events of an experiment, for progress bars and log files.

use crate::outcome::{ArmResult, Outcome};

/// An event of an experiment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// All settings are checked; nothing has been trained.
    Planned {
        /// Runs of the whole experiment, including those that are already in the folder.
        runs: usize,
        /// The labelled tasks.
        tasks: &'a [String],
    },
    /// A run starts, or is resumed.
    RunStarted {
        /// Name of the arm.
        arm: &'a str,
        /// Seed of the run.
        seed: u64,
        /// Whether an interrupted run is resumed.
        resumed: bool,
    },
    /// An event of the present run.
    Run(&'a mtl_train::event::Event),
    /// A run is complete.
    RunFinished {
        /// Name of the arm.
        arm: &'a str,
        /// Its scores.
        outcome: &'a Outcome,
        /// Whether it was found in the folder and not trained now.
        reused: bool,
        /// Complete runs, including this one.
        finished: usize,
        /// Runs of the whole experiment.
        planned: usize,
    },
    /// All runs of an arm are complete.
    ArmFinished(&'a ArmResult),
}

/// Receives the events of an experiment.
pub trait Observer {
    /// Called on the training thread: return quickly.
    fn event(&mut self, event: &Event<'_>);
}

/// Sends an event to all observers.
pub(crate) fn send(observers: &mut [&mut dyn Observer], event: &Event<'_>) {
    for observer in observers {
        observer.event(event);
    }
}

/// Passes the events of a run on.
pub(crate) struct Forward<'a, 'b>(pub &'a mut [&'b mut dyn Observer]);

impl mtl_train::event::Observer for Forward<'_, '_> {
    fn event(&mut self, event: &mtl_train::event::Event) {
        send(self.0, &Event::Run(event));
    }
}
