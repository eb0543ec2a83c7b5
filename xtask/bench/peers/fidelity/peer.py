"""torch-fidelity's and prdc's side of `cargo xtask bench`: measures of generated images on given features.

    python peer.py WORKLOAD --batch N --case JSON

Frechet distance and KID are torch-fidelity's, with its own settings;
precision, recall, density and coverage are prdc's. Features are f32, as networks give them.
"""

import contextlib
import pathlib
import sys
from importlib.metadata import version

import torch
from prdc import compute_prdc
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import protocol  # noqa: E402


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
    torch.manual_seed(1)
    real, generated = (torch.randn(args.batch, args.case["width"]) for _ in range(2))
    versions = f"torch-fidelity {version('torch-fidelity')}, prdc {version('prdc')}"
    protocol.answer(lambda: measure(args.case, real, generated), lambda _: {"version": versions})


if __name__ == "__main__":
    protocol.main(play)
