"""PyTorch's side of `cargo xtask bench`: one workload, stepped on request.

    python peer.py WORKLOAD --batch N --case JSON --variant eager|eager-cl|compile|compile-cl

`--case` says what to build: `op`, and the numbers it needs.
`cl` keeps images channels last; `compile` is torch.compile with its defaults.
"""

import os
import pathlib
import sys
import warnings

import torch

HERE = pathlib.Path(__file__).resolve().parent
# The trunks and heads are those our goldens are computed with.
sys.path[:0] = [str(HERE.parents[3] / "tests" / "goldens"), str(HERE.parent)]

import kernels  # noqa: E402
import protocol  # noqa: E402
import workloads  # noqa: E402

# The same variable as of mtl-bench.
DEVICE = os.environ.get("MTL_BENCH_DEVICE", "cpu")


def forget_peak():
    """The peak is then that of the steps, not that of compiling."""
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peak_kib():
    try:
        status = pathlib.Path("/proc/self/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), None)


def play(args):
    warnings.filterwarnings("ignore")
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    torch.manual_seed(1)
    torch.set_default_device(DEVICE)
    build = workloads.BUILDERS.get(args.case["op"]) or kernels.build
    step, parameters = build(args.case, args.batch, workloads.Variant(args.variant))

    def ready(loss):
        forget_peak()
        return {"parameters": parameters, "loss": loss, "version": f"torch {torch.__version__}"}

    protocol.answer(step, ready, peak_kib, torch.cuda.synchronize if DEVICE.startswith("cuda") else lambda: None)


if __name__ == "__main__":
    protocol.main(play, variant="eager")
