"""The whole model: `resnet` trunk (batch norm, unshuffle, widths 4, 8, 8) with a classification, a segmentation and a
dense head, each of whose tasks misses one of the three images. Sum of the three losses, five AdamW steps, lr 0.0003."""

import torch
from networks import Decoder, Resnet, Vectorise, classification_loss, dense_loss, segmentation_loss
from recording import depth, mask, normals, record

SIZE, TAPS = (16, 24), [(2, 4), (4, 8), (8, 8)]

torch.manual_seed(62)
heads = {
    "variety": Vectorise(TAPS, SIZE, "pyramid", None, 3),
    "parts": Decoder(TAPS, "batch", 3),
    "depth": Decoder(TAPS, "batch", 1),
}
trunk = Resnet(3, [4, 8, 8], 1, "batch", "unshuffle")
model = torch.nn.ModuleDict({"trunk": trunk, "heads": torch.nn.ModuleDict(heads)})
data = {
    "images": normals(3, 3, *SIZE),
    "variety": torch.tensor([1.0, -1.0, 2.0]),
    "parts": mask(3, 3, SIZE, missing=0.1),
    "depth": depth(3, SIZE, missing=0.1),
}
data["parts"][2] = 255
data["depth"][0] = float("nan")


def run(data):
    taps = model["trunk"](data["images"])
    outputs = {name: head(taps) for name, head in model["heads"].items()}
    loss = classification_loss(outputs["variety"], data["variety"], smoothing=0.05)
    loss = loss + segmentation_loss(outputs["parts"], data["parts"])
    loss = loss + dense_loss(outputs["depth"], data["depth"])
    return outputs, loss


record("joint", model, data, run, "adamw", 0.0003)
