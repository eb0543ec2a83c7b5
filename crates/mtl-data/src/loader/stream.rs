//! The workers and the queue of batches between them and the consumer.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use super::{AHEAD, Batch, Error, Shared, assemble};
use crate::dataset::Sample;
use crate::sampling::SampledRow;

/// Batches of many epochs with their place: `(epoch, index in the epoch, batch)`. See [`super::Loader::stream`].
///
/// A row that cannot be loaded makes its batch an error, once, in its turn; the next call goes on with the batch after
/// it. Dropping a stream stops its workers after the row they are at.
pub struct BatchStream {
    queue: Arc<BatchQueue>,
    workers: Vec<JoinHandle<()>>,
}

/// Batches of one epoch; see [`super::Loader::epoch`].
pub struct Epoch {
    pub(super) stream: BatchStream,
}

impl Iterator for Epoch {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.stream.next()?.map(|(_, _, batch)| batch))
    }
}

struct BatchQueue {
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// A batch is complete.
    ready: Condvar,
    /// The consumer took a batch, or wants no more.
    room: Condvar,
}

struct State {
    /// Oldest first; at most [`AHEAD`].
    open: VecDeque<Open>,
    /// The place of the batch to be opened next, and its epoch's order.
    epoch: u64,
    index: usize,
    order: Vec<SampledRow>,
    /// No batch of this epoch or later is opened.
    end: Option<u64>,
    /// The oldest open batch's running number.
    taken: u64,
    stop: bool,
}

/// A batch under construction.
struct Open {
    epoch: u64,
    index: usize,
    /// Positions in the loader's rows.
    draws: Vec<SampledRow>,
    /// Slots given to workers so far.
    given: usize,
    samples: Vec<Option<Sample>>,
    missing: usize,
    /// The first slot that failed, and why.
    failure: Option<(usize, Error)>,
    finished: Option<Result<Batch, Error>>,
}

/// One row's worth of work.
struct Job {
    batch: u64,
    slot: usize,
    draw: SampledRow,
}

impl BatchStream {
    pub(super) fn start(shared: Arc<Shared>, epoch: u64, index: usize, end: Option<u64>) -> Result<Self, Error> {
        let order = shared.order(epoch);
        let threads = shared.config.workers.max(1);
        let state = State { open: VecDeque::new(), epoch, index, order, end, taken: 0, stop: false };
        let queue =
            Arc::new(BatchQueue { shared, state: Mutex::new(state), ready: Condvar::new(), room: Condvar::new() });
        // The stream exists before its threads, so that an error half-way stops those already started.
        let mut stream = Self { queue, workers: Vec::with_capacity(threads) };
        for index in 0..threads {
            let queue = Arc::clone(&stream.queue);
            let thread = std::thread::Builder::new().name(format!("loader-{index}")).spawn(move || queue.work());
            stream.workers.push(thread.map_err(|source| Error::Thread { index, source })?);
        }
        Ok(stream)
    }
}

impl Iterator for BatchStream {
    type Item = Result<(u64, usize, Batch), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let started = Instant::now();
        let mut state = self.queue.lock();
        loop {
            state.open_batches(&self.queue.shared);
            // No open batch although there is room for one: the end.
            if state.open.front()?.finished.is_some() {
                break;
            }
            self.queue.room.notify_all();
            state = self.queue.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let open = state.open.pop_front()?;
        state.taken += 1;
        drop(state);
        self.queue.room.notify_all();
        let blocked = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.queue.shared.waited_ns.fetch_add(blocked, Ordering::Relaxed);
        Some(open.finished?.map(|batch| (open.epoch, open.index, batch)))
    }
}

impl Drop for BatchStream {
    fn drop(&mut self) {
        self.queue.lock().stop = true;
        self.queue.room.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches its rows' panics; a worker that still died needs no handling here.
            let _ = worker.join();
        }
    }
}

impl BatchQueue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent whenever the lock is free: no code that may panic runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop of a worker.
    fn work(&self) {
        while let Some(job) = self.next_job() {
            // What is shared with the closure is the cache, whose slots are filled in one step, and the data set, which
            // must bear it: it is only ever read.
            let result = catch_unwind(AssertUnwindSafe(|| self.shared.sample(job.draw)));
            let result = result.unwrap_or_else(|panic| {
                let words = panic.downcast_ref::<String>().map(String::as_str);
                let message =
                    words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned();
                Err(Error::Panicked {
                    dataset: self.shared.dataset.schema().name.clone(),
                    row: self.shared.rows[job.draw.position],
                    message,
                })
            });
            if let Some((batch, rows, samples)) = self.hand_in(&job, result) {
                // The last slot's worker puts the batch together, outside the lock.
                let samples: Vec<Sample> = samples.into_iter().flatten().collect();
                let batch_of_all = assemble(self.shared.dataset.schema(), rows, &samples, self.shared.size);
                let mut state = self.lock();
                if let Some(open) = state.find(batch) {
                    open.finished = Some(Ok(batch_of_all));
                }
                drop(state);
                self.ready.notify_one();
            }
        }
    }

    /// Waits for a row to be wanted; `None` when no more will be.
    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.stop {
                return None;
            }
            state.open_batches(&self.shared);
            let taken = state.taken;
            let next = state.open.iter_mut().enumerate().find(|(_, open)| open.given < open.draws.len());
            if let Some((offset, open)) = next {
                let slot = open.given;
                open.given += 1;
                return Some(Job { batch: taken + offset as u64, slot, draw: open.draws[slot] });
            }
            if state.open.is_empty() {
                return None; // opening was possible and gave nothing: the end
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Stores a row's result. Returns the batch's number, rows and samples if this was the last one missing.
    fn hand_in(&self, job: &Job, result: Result<Sample, Error>) -> Option<(u64, Vec<usize>, Vec<Option<Sample>>)> {
        let mut state = self.lock();
        let open = state.find(job.batch)?;
        open.missing -= 1;
        match result {
            Ok(sample) => open.samples[job.slot] = Some(sample),
            // Of several failures that of the first slot is reported, independent of the threads' timing.
            Err(error) if open.failure.as_ref().is_none_or(|(slot, _)| job.slot < *slot) => {
                open.failure = Some((job.slot, error));
            }
            Err(_) => {}
        }
        if open.missing > 0 {
            return None;
        }
        if let Some((_, error)) = open.failure.take() {
            open.finished = Some(Err(error));
            drop(state);
            self.ready.notify_one();
            return None;
        }
        let rows = open.draws.iter().map(|draw| self.shared.rows[draw.position]).collect();
        Some((job.batch, rows, std::mem::take(&mut open.samples)))
    }
}

impl State {
    /// Opens batches until [`AHEAD`] are open or the end is reached.
    fn open_batches(&mut self, shared: &Shared) {
        while self.open.len() < AHEAD {
            if self.index >= shared.batches() {
                self.epoch += 1;
                self.index = 0;
                self.order.clear();
            }
            if self.end.is_some_and(|end| self.epoch >= end) {
                return;
            }
            if self.order.is_empty() {
                self.order = shared.order(self.epoch);
            }
            let first = self.index * shared.config.batch;
            let last = (first + shared.config.batch).min(self.order.len());
            let draws = self.order[first..last].to_vec();
            self.open.push_back(Open {
                epoch: self.epoch,
                index: self.index,
                given: 0,
                samples: draws.iter().map(|_| None).collect(),
                missing: draws.len(),
                draws,
                failure: None,
                finished: None,
            });
            self.index += 1;
        }
    }

    /// The open batch with this running number.
    fn find(&mut self, batch: u64) -> Option<&mut Open> {
        self.open.get_mut(usize::try_from(batch.checked_sub(self.taken)?).ok()?)
    }
}
