"""mtl-heads `dense` on random features: group norm, Huber loss with delta 0.1 and scale 10, SGD, lr 0.003. A fifth of
the pixels, and all of the first image, are missing."""

import torch
from networks import Decoder, dense_loss
from recording import depth, features, record, taps_of

SIZE, TAPS = (16, 24), [(2, 8), (4, 8), (8, 16)]

torch.manual_seed(41)
model = torch.nn.ModuleDict({"head": Decoder(TAPS, "group", 1)})
data = features(3, TAPS, SIZE) | {"labels": depth(3, SIZE, missing=0.2)}
data["labels"][0] = float("nan")


def run(data):
    output = model["head"](taps_of(data))
    return {"output": output}, dense_loss(output, data["labels"], delta=0.1, scale=10.0)


record("dense", model, data, run, "sgd", 0.003)
