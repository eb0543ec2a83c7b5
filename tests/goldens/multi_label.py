"""mtl-heads `multi_label` with 3 labels and weights of the yes labels on random features; 4 of 12 cells are missing,
among them all of the third image. Five AdamW steps, lr 0.01."""

import torch
from networks import Vectorise, multi_label_loss
from recording import features, record, taps_of

NAN = float("nan")
SIZE, TAPS = (16, 24), [(2, 4), (4, 8), (8, 16)]

torch.manual_seed(21)
model = torch.nn.ModuleDict({"head": Vectorise(TAPS, SIZE, "pyramid", None, 3)})
labels = torch.tensor([[1, 0, 1], [NAN, 1, 0], [NAN, NAN, NAN], [0, 0, 1.0]])
data = features(4, TAPS, SIZE) | {"labels": labels}


def run(data):
    logits = model["head"](taps_of(data))
    return {"logits": logits}, multi_label_loss(logits, data["labels"], [1.0, 3.0, 0.5])


record("multi_label", model, data, run, "adamw", 0.01)
