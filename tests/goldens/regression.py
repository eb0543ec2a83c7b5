"""mtl-heads `regression` on random features: labels around 12.5 with a standard deviation of 4, one of 4 missing; smooth L1
and squared loss of the standardised labels. Five AdamW steps, lr 0.01."""

import torch
from networks import Vectorise, regression_loss
from recording import features, record, taps_of

SIZE, TAPS = (16, 24), [(2, 4), (4, 8), (8, 16)]

for seed, (name, hidden, mse) in enumerate([("smooth_l1", None, False), ("mse", 12, True)]):
    torch.manual_seed(51 + seed)
    model = torch.nn.ModuleDict({"head": Vectorise(TAPS, SIZE, "pyramid", hidden, 1)})
    model["head"].register_buffer("label_statistics", torch.tensor([12.5, 4.0]))
    data = features(4, TAPS, SIZE) | {"labels": torch.tensor([3.25, 14.5, float("nan"), 21.0])}

    def run(data):
        output = model["head"](taps_of(data))
        mean, std = model["head"].label_statistics
        return {"output": output}, regression_loss(output, (data["labels"] - mean) / std, mse)

    record(f"regression_{name}", model, data, run, "adamw", 0.01)
