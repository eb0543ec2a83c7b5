//! Collective communication: the operations that the processes of a distributed run make together.
//!
//! Data-parallel training needs three of them: a mean over all processes (of losses, gradients and batch statistics), a copy of
//! one process's tensors on all (the initial weights), and a barrier. [`SingleProcess`] is the run of one process, the only
//! member so far. Names and meanings are those of MPI and `torch.distributed`.
//!
//! Training calls [`Collective::all_reduce_mean`] for the gradients before each optimizer step. Losses, inner products of the
//! tasks' gradients and batch-norm statistics are those of each process: a member with several processes has to add them.

use std::fmt::Debug;

use candle_core::{Result, Tensor};

/// The processes of a run, seen from one of them.
///
/// Every process makes the same calls in the same order with tensors of the same shapes and types. Afterwards all processes hold
/// the same bytes. Results are constants: gradients do not flow between processes.
///
/// ```
/// use mtl_tensor::collective::{Collective, SingleProcess};
/// use mtl_tensor::{Device, Tensor};
///
/// /// One number per process: the mean over all of them.
/// fn mean_loss(loss: f32, processes: &dyn Collective) -> mtl_tensor::Result<f32> {
///     let mut losses = [Tensor::new(loss, &Device::Cpu)?];
///     processes.all_reduce_mean(&mut losses)?;
///     losses[0].to_scalar()
/// }
/// assert_eq!(mean_loss(0.5, &SingleProcess)?, 0.5);
/// # mtl_tensor::Result::Ok(())
/// ```
pub trait Collective: Debug + Send + Sync {
    /// Number of this process, from 0 to `size() - 1`.
    fn rank(&self) -> usize;

    /// Number of processes, at least 1.
    fn size(&self) -> usize;

    /// Replaces each tensor by its mean over all processes. Summed in the order of ranks.
    ///
    /// # Errors
    /// Shapes or types that differ between processes, a process that has gone away.
    fn all_reduce_mean(&self, tensors: &mut [Tensor]) -> Result<()>;

    /// Replaces each tensor by that of process `root`.
    ///
    /// # Errors
    /// A root that is no rank; those of [`Collective::all_reduce_mean`].
    fn broadcast(&self, tensors: &mut [Tensor], root: usize) -> Result<()>;

    /// Returns when all processes have called it.
    ///
    /// # Errors
    /// A process that has gone away.
    fn barrier(&self) -> Result<()>;

    /// True on one process: the one that writes files and prints.
    fn is_root(&self) -> bool {
        self.rank() == 0
    }
}

/// A run of one process. Every operation leaves the numbers as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SingleProcess;

impl Collective for SingleProcess {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn all_reduce_mean(&self, tensors: &mut [Tensor]) -> Result<()> {
        tensors.iter_mut().for_each(|tensor| *tensor = tensor.detach());
        Ok(())
    }

    fn broadcast(&self, tensors: &mut [Tensor], root: usize) -> Result<()> {
        if root != 0 {
            candle_core::bail!("broadcast from process {root} of a run of 1");
        }
        self.all_reduce_mean(tensors)
    }

    fn barrier(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier, Mutex};

    use candle_core::{Device, Var};

    use super::*;
    use crate::to_f64;

    /// Threads in place of processes, to show that the laws below hold for more than one.
    #[derive(Clone, Debug)]
    struct Threads {
        rank: usize,
        table: Arc<Mutex<Vec<Vec<Tensor>>>>,
        meeting: Arc<Barrier>,
    }

    impl Threads {
        fn run(size: usize, body: impl Fn(Self) + Sync) {
            let table = Arc::new(Mutex::new(vec![Vec::new(); size]));
            let meeting = Arc::new(Barrier::new(size));
            std::thread::scope(|threads| {
                for rank in 0..size {
                    let process = Self { rank, table: Arc::clone(&table), meeting: Arc::clone(&meeting) };
                    threads.spawn(|| body(process));
                }
            });
        }

        /// The tensors of all processes.
        fn gather(&self, tensors: &[Tensor]) -> Vec<Vec<Tensor>> {
            self.table.lock().unwrap()[self.rank] = tensors.iter().map(Tensor::detach).collect();
            self.meeting.wait();
            let all = self.table.lock().unwrap().clone();
            self.meeting.wait();
            all
        }
    }

    impl Collective for Threads {
        fn rank(&self) -> usize {
            self.rank
        }
        fn size(&self) -> usize {
            self.table.lock().unwrap().len()
        }
        fn all_reduce_mean(&self, tensors: &mut [Tensor]) -> Result<()> {
            let all = self.gather(tensors);
            for (at, tensor) in tensors.iter_mut().enumerate() {
                let mut sum = all[0][at].clone();
                for other in &all[1..] {
                    sum = (sum + &other[at])?;
                }
                *tensor = (sum / all.len() as f64)?;
            }
            Ok(())
        }
        fn broadcast(&self, tensors: &mut [Tensor], root: usize) -> Result<()> {
            let all = self.gather(tensors);
            match all.get(root) {
                Some(from) => tensors.clone_from_slice(from),
                None => candle_core::bail!("broadcast from process {root} of a run of {}", all.len()),
            }
            Ok(())
        }
        fn barrier(&self) -> Result<()> {
            self.meeting.wait();
            Ok(())
        }
    }

    fn pair(rank: usize) -> [Tensor; 2] {
        let own = Tensor::new(&[rank as f64, 1.0 - rank as f64], &Device::Cpu).unwrap();
        [own, Tensor::new(&[[7.0f64]], &Device::Cpu).unwrap()]
    }

    fn laws(processes: &dyn Collective) {
        let (rank, size) = (processes.rank(), processes.size());
        assert!(rank < size);
        assert_eq!(processes.is_root(), rank == 0);

        let mut tensors = pair(rank);
        processes.all_reduce_mean(&mut tensors).unwrap();
        let mean = (size as f64 - 1.0) / 2.0;
        assert_eq!(to_f64(&tensors[0]).unwrap(), [mean, 1.0 - mean]);
        assert_eq!(to_f64(&tensors[1]).unwrap(), [7.0], "the mean of equal numbers is that number");
        assert_eq!(tensors[1].dims(), [1, 1]);
        let once = to_f64(&tensors[0]).unwrap();
        processes.all_reduce_mean(&mut tensors).unwrap();
        assert_eq!(to_f64(&tensors[0]).unwrap(), once, "a mean of means that are equal");

        for root in 0..size {
            let mut tensors = pair(rank);
            processes.broadcast(&mut tensors, root).unwrap();
            assert_eq!(to_f64(&tensors[0]).unwrap(), to_f64(&pair(root)[0]).unwrap());
        }
        assert!(processes.broadcast(&mut pair(rank), size).is_err(), "a root that is no rank");

        let variable = Var::new(&[1.0f64], &Device::Cpu).unwrap();
        let mut tracked = [crate::ops::tanh(&variable).unwrap()];
        processes.all_reduce_mean(&mut tracked).unwrap();
        assert!(!tracked[0].track_op(), "results are constants");
        processes.all_reduce_mean(&mut []).unwrap();
        processes.barrier().unwrap();
    }

    #[test]
    fn one_process_keeps_the_laws() {
        laws(&SingleProcess);
        assert_eq!((SingleProcess.rank(), SingleProcess.size()), (0, 1));
    }

    #[test]
    fn several_threads_keep_the_laws() {
        Threads::run(3, |process| laws(&process));
    }
}
