"""mtl-heads `classification` with 4 classes, smoothing 0.1 and class weights on random features: each way of pooling,
and a hidden layer; the second of four labels is missing."""

import torch
from networks import MISSING_CLASS, Vectorise, classification_loss
from recording import features, record, taps_of

SIZE, TAPS = (16, 24), [(2, 4), (4, 8), (8, 16)]
WEIGHTS = [0.5, 1.0, 2.0, 1.5]


def golden(name, pool, hidden, rule, lr, seed):
    torch.manual_seed(seed)
    model = torch.nn.ModuleDict({"head": Vectorise(TAPS, SIZE, pool, hidden, 4)})
    data = features(4, TAPS, SIZE) | {"labels": torch.tensor([2.0, MISSING_CLASS, 0.0, 3.0])}

    def run(data):
        logits = model["head"](taps_of(data))
        return {"logits": logits}, classification_loss(logits, data["labels"], WEIGHTS, smoothing=0.1)

    record(f"classification_{name}", model, data, run, rule, lr)


golden("average", "average", None, "adam", 0.01, 11)
golden("pyramid", "pyramid", None, "adamw", 0.01, 12)
golden("flatten", "flatten", None, "sgd", 0.1, 13)
golden("hidden", "pyramid", 12, "adamw", 0.01, 16)
