"""mtl-gen `autoencoder` on random features of stride 4: mean squared error, five Adam steps, lr 0.0003."""

import torch
from networks import Autoencoder
from recording import exact, features, record, taps_of

SIZE, TAPS = (16, 24), [(2, 4), (4, 4)]

torch.manual_seed(51)
model = torch.nn.ModuleDict({"head": Autoencoder(4, 3)})
data = features(2, TAPS[1:], SIZE) | {"images": exact(torch.rand(2, 3, *SIZE) * 2 - 1)}


def run(data):
    output = model["head"](taps_of(data))
    return {"output": output}, (output - data["images"]).square().mean()


record("autoencoder", model, data, run, "adam", 0.0003)
