"""torch-fidelity's and prdc's side of `cargo xtask bench`: measures of generated images on given features.

    python peer.py WORKLOAD --batch N --case JSON

The protocol is that of `mtl-bench` (xtask/bench/src/main.rs). Frechet distance and KID are torch-fidelity's, with its own settings;
precision, recall, density and coverage are prdc's. Features are f32, as networks give them.
"""

import argparse
import contextlib
import json
import os
import sys
import time
from importlib.metadata import version

import torch
from prdc import compute_prdc
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

WARM_UP = 3


def say(**what):
    print(json.dumps(what), flush=True)


def measure(case, real, generated):
    if case["measure"] == "frechet":
        fid_statistics_to_metric(fid_features_to_statistics(generated), fid_features_to_statistics(real), False)
    elif case["measure"] == "kid":
        size = min(case["size"], len(real))
        kid_features_to_metric(generated, real, kid_subsets=case["subsets"], kid_subset_size=size, verbose=False)
    else:
        with contextlib.redirect_stdout(sys.stderr):  # it prints the numbers of images
            compute_prdc(real.numpy(), generated.numpy(), case["nearest"])


def play(args):
    case = json.loads(args.case)
    torch.manual_seed(1)
    real, generated = (torch.randn(args.batch, case["width"]) for _ in range(2))

    def step():
        measure(case, real, generated)

    for _ in range(WARM_UP):
        step()
    say(ready=True, parameters=0, loss=None, flop=None, version=f"torch-fidelity {version('torch-fidelity')}, prdc {version('prdc')}")
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            began = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - began)
        say(seconds=seconds)
    say(peak_kib=None)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("workload")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--case", required=True)
    try:
        play(parser.parse_args())
    except BrokenPipeError:
        os._exit(1)  # nobody listens any more
    except Exception as error:  # whatever it is, the other side has to be told
        say(failed=f"{type(error).__name__}: {error}".strip().splitlines()[0])
        sys.exit(1)


if __name__ == "__main__":
    main()
