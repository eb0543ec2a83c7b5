"""The networks of mtl-trunk and mtl-heads in PyTorch, with the same parameter names, and the losses of the heads."""

import torch
import torch.nn.functional as F
from torch import nn

MISSING_CLASS, MISSING_PIXEL = -1, 255


def normalisation(kind, channels):
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(channels // 8 if channels % 8 == 0 else 1, channels)


class ConvNorm(nn.Module):
    def __init__(self, source, target, kernel, stride, norm):
        super().__init__()
        self.conv = nn.Conv2d(source, target, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = normalisation(norm, target)

    def forward(self, x):
        return self.norm(self.conv(x))


class Block(nn.Module):
    def __init__(self, source, target, stride, norm):
        super().__init__()
        self.first = ConvNorm(source, target, 3, stride, norm)
        self.second = ConvNorm(target, target, 3, 1, norm)
        if stride != 1 or source != target:
            self.shortcut = ConvNorm(source, target, 1, stride, norm)

    def forward(self, x):
        kept = self.shortcut(x) if hasattr(self, "shortcut") else x
        return F.relu(self.second(F.relu(self.first(x))) + kept)


class Resnet(nn.Module):
    """Taps at strides 2, 4 and 8."""

    def __init__(self, channels, widths, blocks, norm, stem):
        super().__init__()
        if stem == "unshuffle":
            self.stem = ConvNorm(channels * 4, widths[0], 3, 1, norm)
        else:
            self.full = ConvNorm(channels, widths[0] // 2, 3, 1, norm)
            self.stem = ConvNorm(widths[0] // 2, widths[0], 3, 2, norm)
        source = widths[0]
        for stage, target in enumerate(widths, start=1):
            row = nn.ModuleDict()
            for block in range(1, blocks + 1):
                row[f"block{block}"] = Block(source, target, 2 if stage > 1 and block == 1 else 1, norm)
                source = target
            self.add_module(f"stage{stage}", row)
        self.stages = len(widths)

    def forward(self, images):
        x = F.relu(self.full(images)) if hasattr(self, "full") else F.pixel_unshuffle(images, 2)
        x = F.relu(self.stem(x))
        taps = []
        for stage in range(1, self.stages + 1):
            for block in getattr(self, f"stage{stage}").values():
                x = block(x)
            taps.append(x)
        return taps


class ConvNet(nn.Module):
    """Taps at strides 2 and 4."""

    def __init__(self, channels, widths):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.conv2 = nn.Conv2d(widths[0], widths[1], 3, padding=1)

    def forward(self, images):
        first = F.max_pool2d(F.relu(self.conv1(images)), 2)
        return [first, F.max_pool2d(F.relu(self.conv2(first)), 2)]


class Vectorise(nn.Module):
    """Heads with one row of outputs an image. `taps`: list of (stride, channels)."""

    def __init__(self, taps, size, pool, hidden, outputs):
        super().__init__()
        stride, channels = taps[-1]
        width = {
            "average": channels,
            "pyramid": sum(channels for _, channels in taps),
            "flatten": channels * (size[0] // stride) * (size[1] // stride),
        }[pool]
        if hidden:
            self.hidden = nn.Linear(width, hidden)
            width = hidden
        self.last = nn.Linear(width, outputs)
        self.pool = pool

    def forward(self, taps):
        if self.pool == "flatten":
            x = taps[-1].flatten(1)
        else:
            x = torch.cat([tap.mean((2, 3)) for tap in (taps if self.pool == "pyramid" else taps[-1:])], 1)
        if hasattr(self, "hidden"):
            x = F.relu(self.hidden(x))
        return self.last(x)


class Decoder(nn.Module):
    """U-Net-like: up by nearest neighbours, join, convolve; pixel shuffle at the end."""

    def __init__(self, taps, norm, outputs):
        super().__init__()
        self.steps = []
        stride, channels = taps[-1]
        for finer, width in reversed(taps[:-1]):
            self.add_module(f"up{finer}", ConvNorm(channels + width, width, 3, 1, norm))
            self.steps.append((f"up{finer}", stride // finer))
            stride, channels = finer, width
        self.last = nn.Conv2d(channels, outputs * stride * stride, 3, padding=1)
        self.stride = stride

    def forward(self, taps):
        x = taps[-1]
        for (name, factor), tap in zip(self.steps, reversed(taps[:-1])):
            x = torch.cat([F.interpolate(x, scale_factor=factor, mode="nearest"), tap], 1)
            x = F.relu(getattr(self, name)(x))
        return F.pixel_shuffle(self.last(x), self.stride)


class FcnSegmentation(nn.Module):
    def __init__(self, channels, size, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 3, padding=1)
        self.conv2 = nn.Conv2d(64, classes, 3, padding=1)
        self.size = size

    def forward(self, taps):
        x = self.conv2(F.relu(self.conv1(taps[-1])))
        return F.interpolate(x, self.size, mode="bilinear", align_corners=False)


class Autoencoder(nn.Module):
    """On the tap of stride 4, here the last one."""

    def __init__(self, tap_channels, channels):
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(tap_channels, 64, 4, 2, 1)
        self.conv2 = nn.ConvTranspose2d(64, channels, 4, 2, 1)

    def forward(self, taps):
        return torch.tanh(self.conv2(F.relu(self.conv1(taps[-1]))))


def classification_loss(logits, labels, weights=None, smoothing=0.0):
    weights = None if weights is None else torch.tensor(weights)
    return F.cross_entropy(logits, labels.long(), weights, ignore_index=MISSING_CLASS, label_smoothing=smoothing)


def multi_label_loss(logits, labels, positive_weights=None):
    present = ~labels.isnan()
    weights = None if positive_weights is None else torch.tensor(positive_weights)
    cells = F.binary_cross_entropy_with_logits(logits, labels.nan_to_num(), pos_weight=weights, reduction="none")
    return cells[present].mean()


def dice_loss(logits, labels):
    """Pooled over the labelled pixels of the batch, mean over the classes but the background, smoothed by 1 pixel."""
    present = labels != MISSING_PIXEL
    p = logits.softmax(1).movedim(1, -1)[present]
    t = F.one_hot(labels[present].long(), logits.shape[1]).to(p.dtype)
    score = (2 * (p * t).sum(0) + 1) / (p.sum(0) + t.sum(0) + 1)
    return 1 - score[1:].mean()


def segmentation_loss(logits, labels, weights=None, cross_entropy=1.0, dice=1.0):
    weights = None if weights is None else torch.tensor(weights)
    entropy = F.cross_entropy(logits, labels.long(), weights, ignore_index=MISSING_PIXEL)
    return cross_entropy * entropy + dice * dice_loss(logits, labels)


def dense_loss(output, labels, delta=0.1, scale=10.0):
    present = ~labels.isnan()
    output, labels = output.squeeze(1)[present], labels[present]
    return scale * (F.l1_loss(output, labels) if delta == 0 else F.huber_loss(output, labels, delta=delta) / delta)


def regression_loss(output, labels, mse=False):
    """Of standardised labels."""
    present = ~labels.isnan()
    output, labels = output.squeeze(1)[present], labels[present]
    return F.mse_loss(output, labels) if mse else F.smooth_l1_loss(output, labels)
