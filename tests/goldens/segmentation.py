"""mtl-heads `segmentation` with 3 classes on random features: the U-Net-like network (batch norm; class weights) with
AdamW, lr 0.003, and the fully convolutional one with Adam, lr 0.003. A fifth of the pixels, and all of the last image, are
missing. Loss: cross-entropy + Dice / 2 (U-Net), cross-entropy + Dice (fully convolutional)."""

import torch
from networks import MISSING_PIXEL, Decoder, FcnSegmentation, segmentation_loss
from recording import features, mask, record, taps_of

SIZE = (16, 24)


def golden(name, head, taps, rule, lr, **losses):
    model = torch.nn.ModuleDict({"head": head})
    data = features(3, taps, SIZE) | {"labels": mask(3, 3, SIZE, missing=0.2)}
    data["labels"][2] = MISSING_PIXEL

    def run(data):
        logits = model["head"](taps_of(data))
        return {"logits": logits}, segmentation_loss(logits, data["labels"], **losses)

    record(f"segmentation_{name}", model, data, run, rule, lr)


torch.manual_seed(31)
taps = [(2, 8), (4, 8), (8, 16)]
golden("unet", Decoder(taps, "batch", 3), taps, "adamw", 0.003, weights=[0.5, 2.0, 1.0], dice=0.5)
torch.manual_seed(32)
taps = [(2, 4), (4, 8)]
golden("fcn", FcnSegmentation(8, SIZE, 3), taps, "adam", 0.003)
