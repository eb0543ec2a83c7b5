"""mtl-trunk `convnet`, widths 8 and 16: five Adam steps, lr 0.003."""

import torch
from networks import ConvNet
from recording import normals, record

torch.manual_seed(1)
model = torch.nn.ModuleDict({"trunk": ConvNet(3, [8, 16])})
data = {"images": normals(2, 3, 16, 24), "slope0": normals(2, 8, 8, 12), "slope1": normals(2, 16, 4, 6)}


def run(data):
    """The loss is linear in the features: the mean of their products with fixed numbers."""
    taps = model["trunk"](data["images"])
    loss = sum((tap * data[f"slope{at}"]).mean() for at, tap in enumerate(taps))
    return {f"tap{at}": tap for at, tap in enumerate(taps)}, loss


record("trunk_convnet", model, data, run, "adam", 0.003)
