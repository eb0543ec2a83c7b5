"""PyTorch's side of `cargo xtask bench`: one workload, stepped on request.

    python peer.py WORKLOAD --batch N --case JSON --variant eager|eager-cl|compile|compile-cl

The protocol is that of `mtl-bench` (xtask/bench/src/main.rs). `--case` says what to build: `op`, and the numbers it needs.
`cl` keeps images channels last; `compile` is torch.compile with its defaults.
"""

import argparse
import json
import os
import pathlib
import sys
import time
import warnings

import torch

HERE = pathlib.Path(__file__).resolve().parent
# The trunks and heads are those our goldens are computed with.
sys.path.insert(0, str(HERE.parents[3] / "tests" / "goldens"))

import kernels  # noqa: E402
import workloads  # noqa: E402

WARM_UP = 3


def say(**what):
    print(json.dumps(what), flush=True)


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
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    torch.manual_seed(1)
    case = json.loads(args.case)
    build = workloads.BUILDERS.get(case["op"]) or kernels.build
    step, parameters = build(case, args.batch, workloads.Variant(args.variant))
    for _ in range(WARM_UP):
        loss = step()
    forget_peak()
    say(ready=True, parameters=parameters, loss=loss, flop=None, version=f"torch {torch.__version__}")
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            began = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - began)
        say(seconds=seconds)
    say(peak_kib=peak_kib())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("workload")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--case", required=True)
    parser.add_argument("--variant", default="eager")
    warnings.filterwarnings("ignore")
    try:
        play(parser.parse_args())
    except BrokenPipeError:
        os._exit(1)  # nobody listens any more
    except Exception as error:  # whatever it is, the other side has to be told
        say(failed=f"{type(error).__name__}: {error}".strip().splitlines()[0])
        sys.exit(1)


if __name__ == "__main__":
    main()
