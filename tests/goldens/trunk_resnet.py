"""mtl-trunk `resnet`, widths 8, 8 and 16: each norm with each stem, each with its own optimizer; one block a stage,
with group norm and the full stem two (of widths 8, 8, 8) on images of one channel."""

import torch
from networks import Resnet
from recording import normals, record


def golden(norm, stem, rule, lr, seed, widths=(8, 8, 16), blocks=1, channels=3):
    torch.manual_seed(seed)
    model = torch.nn.ModuleDict({"trunk": Resnet(channels, widths, blocks, norm, stem)})
    data = {"images": normals(2, channels, 16, 24)}
    for at, width in enumerate(widths):
        data[f"slope{at}"] = normals(2, width, 8 >> at, 12 >> at)

    def run(data):
        """The loss is linear in the features: the mean of their products with fixed numbers."""
        taps = model["trunk"](data["images"])
        loss = sum((tap * data[f"slope{at}"]).mean() for at, tap in enumerate(taps))
        return {f"tap{at}": tap for at, tap in enumerate(taps)}, loss

    record(f"trunk_resnet_{norm}_{stem}", model, data, run, rule, lr)


golden("batch", "unshuffle", "adamw", 0.0003, 3)
golden("batch", "full", "adam", 0.0003, 2)
golden("group", "unshuffle", "sgd", 0.01, 4)
golden("group", "full", "adamw", 0.0003, 6, widths=(8, 8, 8), blocks=2, channels=1)
