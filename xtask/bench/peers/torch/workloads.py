"""Whole steps: the same networks, losses and updates as ours, written as PyTorch is written.

Each builder takes (case, batch, variant) and gives (step, number of trained values).
"""

import torch
import torch.nn.functional as F
from torch import nn

import generators
from kernels import dice
from networks import Autoencoder, ConvNet, Decoder, FcnSegmentation, Resnet, Vectorise, classification_loss

SIDE, CLASSES, PARTS = 64, 10, 3
RESNET_S = [(2, 32), (4, 64), (8, 128)]
RESNET_XS = [(2, 24), (4, 48), (8, 96)]


class Variant:
    """How PyTorch is asked to run."""

    def __init__(self, name):
        parts = name.split("-")
        if parts[0] not in ("eager", "compile") or parts[1:] not in ([], ["cl"]):
            raise ValueError(f"no variant {name}")
        self.compiled = parts[0] == "compile"
        self.format = torch.channels_last if parts[1:] else torch.contiguous_format

    def place(self, x):
        """A module or a tensor of images in the variant's layout."""
        return x.to(memory_format=self.format)

    def run(self, function):
        return torch.compile(function) if self.compiled else function


def count(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def images(batch, side):
    return torch.randn(batch, 3, side, side).clamp(-1, 1)


def adamw(model):
    """As ours: weight decay on matrices and kernels only. The fused update is PyTorch's fastest."""
    kernels = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": kernels, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-3, fused=True)


def learning(model, loss_of):
    updates = adamw(model)

    def step():
        updates.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward()
        updates.step()
        return loss.item()

    return step, count(model)


def tutorial(_, batch, variant):
    """The tutorial's mask and image come out as they are: its layers, without our interpolation and tanh."""
    trunk = ConvNet(3, [64, 128])
    classes = Vectorise([(2, 64), (4, 128)], (SIDE, SIDE), "flatten", 128, CLASSES)
    mask = FcnSegmentation(128, (SIDE, SIDE), PARTS)
    image = Autoencoder(128, 3)
    model = variant.place(nn.ModuleList([trunk, classes, mask, image]))
    x = variant.place(images(batch, SIDE))
    labels = torch.randint(CLASSES, (batch,))
    masks = variant.place(torch.randn(batch, PARTS, SIDE // 4, SIDE // 4))

    def losses(x, labels, masks):
        taps = trunk(x)
        deep = taps[-1]
        total = F.cross_entropy(classes(taps), labels)
        total = total + F.mse_loss(mask.conv2(F.relu(mask.conv1(deep))), masks)
        return total + F.mse_loss(image.conv2(F.relu(image.conv1(deep))), x)

    run = variant.run(losses)
    return learning(model, lambda: run(x, labels, masks))


def joint_networks():
    size = (SIDE, SIDE)
    trunk = Resnet(3, [32, 64, 128], 2, "batch", "unshuffle")
    return trunk, Vectorise(RESNET_S, size, "pyramid", None, CLASSES), Decoder(RESNET_S, "batch", PARTS)


def joint(_, batch, variant):
    trunk, classes, parts = joint_networks()
    vae = generators.Vae(RESNET_S, (SIDE, SIDE), CLASSES)
    model = variant.place(nn.ModuleList([trunk, classes, parts, vae]))
    x = variant.place(images(batch, SIDE))
    labels = torch.randint(CLASSES, (batch,))
    masks = torch.randint(PARTS, (batch, SIDE, SIDE))

    def losses(x, labels, masks):
        taps = trunk(x)
        total = vae.loss(taps, x, labels)
        total = total + classification_loss(classes(taps), labels, smoothing=0.05)
        logits = parts(taps)
        return total + F.cross_entropy(logits, masks) + dice(logits, masks)

    run = variant.run(losses)
    return learning(model, lambda: run(x, labels, masks))


def inference(_, batch, variant):
    trunk, classes, parts = joint_networks()
    model = variant.place(nn.ModuleList([trunk, classes, parts])).eval()
    parameters = count(model)
    x = variant.place(images(batch, SIDE))

    def forward(x):
        taps = trunk(x)
        return classes(taps), parts(taps)

    return judging(forward, variant, lambda: (x,)), parameters


def generate(case, batch, variant):
    network = variant.place(generators.Generator((case["side"],) * 2, case["classes"])).eval()
    labels = torch.arange(batch) % case["classes"]
    draw = judging(network, variant, lambda: (torch.randn(batch, generators.LATENT), labels))
    return draw, count(network)


def judging(forward, variant, inputs):
    if variant.compiled:
        # Here, because it takes memory that nothing else needs.
        from torch._inductor import config

        # Weights may be laid out anew once: nothing learns.
        config.freezing = True
    run = variant.run(forward)

    def step():
        with torch.inference_mode():
            run(*inputs())

    return step


def gan(case, batch, variant):
    size = (case["side"],) * 2

    def trunk():
        return Resnet(3, [24, 48, 96], 1, "batch", "unshuffle")

    own = trunk() if case["mode"] == "hybrid" else None
    backbones = [trunk() for _ in range(1 + case["random_trunks"])]
    model = generators.Gan(RESNET_XS, size, case["classes"], len(backbones), own)
    parameters = count(backbones[0]) + count(model)
    backbones = [variant.place(trunk).eval().requires_grad_(False) for trunk in backbones]
    model = variant.place(model)
    x = variant.place(images(batch, size[0]))
    labels = torch.arange(batch) % case["classes"]
    step = generators.gan_step(model, backbones, x, labels, case["reference_batches"], variant)
    return step, parameters


def flow_networks(case):
    return generators.FlowNetwork(case), generators.Tokenizer(RESNET_XS, case["channels"])


def flow(case, batch, variant):
    network, tokenizer = flow_networks(case)
    trunk = Resnet(3, [24, 48, 96], 1, "batch", "unshuffle")
    parameters = count(trunk) + count(network) + count(tokenizer)
    trunk, tokenizer = (variant.place(part).eval().requires_grad_(False) for part in (trunk, tokenizer))
    x = variant.place(images(batch, case["side"]))
    labels = torch.arange(batch) % case["classes"]
    step = generators.flow_step(variant.place(network), tokenizer, trunk, x, labels, case["classes"], variant)
    return step, parameters


def generate_flow(case, batch, variant):
    network, tokenizer = flow_networks(case)
    sampler = generators.FlowSampler(network, tokenizer, case["classes"], case["steps"])
    labels = torch.arange(batch) % case["classes"]
    side = case["side"] // 8
    draw = judging(variant.place(sampler).eval(), variant, lambda: (torch.randn(batch, case["channels"], side, side), labels))
    return draw, count(sampler)


BUILDERS = {
    "tutorial": tutorial,
    "joint": joint,
    "gan": gan,
    "flow": flow,
    "inference": inference,
    "generate": generate,
    "generate-flow": generate_flow,
}
