"""The Inception-v3 of torch-fidelity with weights of a formula: features of two images in f64, and the shape of every tensor of its
state dict.

`inception.safetensors` holds `images` [2, 3, 32, 40] (whole numbers from 0 to 255), `features` [2, 2048], and `shape/NAME`. The
network of pytorch-fid has to give the same features of the same resized images. `torch_zip.pth` and `torch_sequence.pth` are a small
state dict in both formats of `torch.save`. Needs torch-fidelity and pytorch-fid as well."""

import pathlib
from unittest import mock

import numpy as np
import pytorch_fid.inception
import torch
import torch_fidelity.feature_extractor_inceptionv3 as fidelity
from safetensors.torch import save
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

FOLDER = pathlib.Path(__file__).parent


def uniform(name, count):
    """Numbers in [-0.5, 0.5) of 24 bits: SplitMix64 of the name's FNV-1a hash, as in `inception.rs`."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2**24 - 0.5


def weights(name, shape):
    values = uniform(name, int(np.prod(shape)))
    if len(shape) > 1:
        values = values * np.sqrt(24.0 / np.prod(shape[1:]))
    elif name.endswith((".bn.weight", ".running_var")):
        values = values + 1.0
    return torch.tensor(values.astype(np.float32)).reshape(shape)


def state_dict(module):
    return {name: weights(name, tuple(v.shape)) for name, v in module.state_dict().items() if v.dtype.is_floating_point}


with (
    mock.patch.object(fidelity, "load_state_dict_from_url", lambda *args, **kwargs: {}),
    mock.patch.object(fidelity.FeatureExtractorInceptionV3, "load_state_dict", lambda *args: None),
):
    network = fidelity.FeatureExtractorInceptionV3("inception", ["2048"])
# Its own option for f64 gives f32.
network.double().feature_extractor_internal_dtype = torch.float64
values = state_dict(network)
network.load_state_dict(values, strict=False)
pixels = torch.tensor((uniform("images", 2 * 3 * 32 * 40) + 0.5) * 256).reshape(2, 3, 32, 40).to(torch.uint8)
taken = []
network.AvgPool.register_forward_hook(lambda module, inputs, output: taken.append(output.flatten(1)))
network(pixels)
features = taken[0]
assert features.dtype == torch.float64

with mock.patch.object(
    pytorch_fid.inception, "load_state_dict_from_url", lambda *args, **kwargs: network.state_dict()
):
    other = pytorch_fid.inception.InceptionV3(resize_input=False, normalize_input=False).double().eval()
resized = interpolate_bilinear_2d_like_tensorflow1x(pixels.double(), size=(299, 299), align_corners=False)
error = (other((resized - 128) / 128)[0].flatten(1) - features).abs().max()
print(f"pytorch-fid's network: off by {error:.1e}, largest feature {features.max():.3f}")
assert error < 1e-9

tensors = {"images": pixels.float(), "features": features.float()}
tensors |= {f"shape/{name}": torch.tensor([float(side) for side in value.shape]) for name, value in values.items()}
path = FOLDER / "inception.safetensors"
path.write_bytes(save({key: value.contiguous() for key, value in tensors.items()}))
print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB")

small = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 2), torch.nn.BatchNorm2d(2))
with torch.no_grad():
    for at, value in enumerate(small.state_dict().values()):
        value.copy_(torch.arange(value.numel()).reshape(value.shape) + 10 * at)
torch.save(small.state_dict(), FOLDER / "torch_zip.pth")
torch.save(small.state_dict(), FOLDER / "torch_sequence.pth", _use_new_zipfile_serialization=False)
