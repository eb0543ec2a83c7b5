"""mtl-metrics `generation` on random features: torch-fidelity (FID, KID, precision, recall), pytorch-fid (FID) and prdc
(precision, recall, density, coverage). Features are f32 numbers, given to the packages in f64.

`generation.safetensors` holds per case CASE/real and CASE/generated, and the values CASE/PACKAGE/SCORE in f64; the rows of the
subsets of KID as CASE/subsets/real and CASE/subsets/generated. Needs torch-fidelity, pytorch-fid, prdc and scipy as well."""

import pathlib

import numpy as np
import torch
from prdc import compute_prdc
from pytorch_fid.fid_score import calculate_frechet_distance
from recording import exact
from safetensors.torch import save
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

SUBSETS, SEED = 6, 2020


def features(images, width, shift, scale):
    """Correlated features with a mean, as those behind a ReLU have."""
    mixing = torch.randn(width, width) / width**0.5
    return exact((torch.randn(images, width) @ mixing * scale + shift).abs())


def measure(real, generated, size):
    found = {}
    one, other = fid_features_to_statistics(generated), fid_features_to_statistics(real)
    found["fidelity/frechet_distance"] = fid_statistics_to_metric(one, other, False)["frechet_inception_distance"]
    found["pytorch_fid/frechet_distance"] = calculate_frechet_distance(
        one["mu"], one["sigma"], other["mu"], other["sigma"]
    )
    kid = kid_features_to_metric(
        generated, real, kid_subsets=SUBSETS, kid_subset_size=size, rng_seed=SEED, verbose=False
    )
    found["fidelity/kid"] = kid["kernel_inception_distance_mean"]
    found["fidelity/kid_spread"] = kid["kernel_inception_distance_std"]
    near = prc_features_to_metric(generated, real, verbose=False)
    found["fidelity/precision"], found["fidelity/recall"] = near["precision"], near["recall"]
    for k in [3, 5]:
        for name, value in compute_prdc(real.numpy(), generated.numpy(), k).items():
            found[f"prdc/{name}/{k}"] = value
    return found


def subsets(real, generated, size):
    """The rows that torch-fidelity draws."""
    random = np.random.RandomState(SEED)
    drawn = {"generated": [], "real": []}
    for _ in range(SUBSETS):
        drawn["generated"].append(random.choice(len(generated), size, replace=False))
        drawn["real"].append(random.choice(len(real), size, replace=False))
    return {kind: torch.tensor(np.array(rows)) for kind, rows in drawn.items()}


torch.manual_seed(61)
cases = {
    # More images than features, and fewer: covariances are singular then.
    "tall": (features(220, 12, 0.5, 1.0), features(180, 12, 0.6, 0.9), 50),
    "wide": (features(60, 80, 0.5, 1.0), features(50, 80, 0.7, 1.1), 50),
}
tensors = {}
for name, (real, generated, size) in cases.items():
    tensors |= {f"{name}/real": real.float(), f"{name}/generated": generated.float()}
    tensors |= {f"{name}/subsets/{kind}": rows for kind, rows in subsets(real, generated, size).items()}
    for key, value in measure(real, generated, size).items():
        tensors[f"{name}/{key}"] = torch.tensor(float(value), dtype=torch.float64)
        print(name, key, float(value))
path = pathlib.Path(__file__).parent / "generation.safetensors"
path.write_bytes(save({key: value.contiguous() for key, value in tensors.items()}))
print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB")
