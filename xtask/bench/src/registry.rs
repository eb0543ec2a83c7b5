//! All workloads, in the order of the runs.

use crate::kernels::{activation, conv, linear, loss, norm, optimizer, pool, resize};
use crate::workload::Workload;
use crate::{balance, generation, generators, inference, joint, reading, tutorial};

/// See the module.
pub fn workloads() -> Vec<Workload> {
    let mut all = vec![tutorial::workload(), joint::workload(), inference::workload()];
    all.extend(generators::workloads());
    all.extend(reading::workloads());
    all.extend(generation::workloads());
    all.extend(balance::workloads());
    for family in [
        conv::workloads,
        linear::workloads,
        pool::workloads,
        norm::workloads,
        resize::workloads,
        activation::workloads,
        loss::workloads,
        optimizer::workloads,
    ] {
        all.extend(family());
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_small_batches_run() {
        let all = workloads();
        let names: BTreeSet<&str> = all.iter().map(|workload| workload.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        // One per family; the largest are run by the benchmark only.
        for name in [
            "tutorial",
            "gan",
            "gan-hybrid",
            "flow",
            "inference",
            "generate",
            "generate-flow",
            "reading/jpg",
            "generation/kid-256",
            "generation/frechet-256",
            "conv/tutorial-image-2/weight",
            "linear/tutorial-classes/input",
            "pool/average/input",
            "norm/group-stage-1/all",
            "resize/bilinear/input",
            "activation/add_relu-32x32x32/all",
            "loss/dice/both",
            "optimizer/kernels/average",
            "weights/nash_mtl",
            "balanced/graddrop",
            "balanced/sdmgrad",
        ] {
            let workload = all.iter().find(|workload| workload.name == name).unwrap();
            let mut job = (workload.build)(2).unwrap();
            let loss = job.step().unwrap();
            assert!(loss.is_none_or(f64::is_finite), "{name}: {loss:?}");
        }
    }
}
