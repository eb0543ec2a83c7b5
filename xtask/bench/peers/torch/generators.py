"""VAE and GAN of mtl-gen in PyTorch: the decoder both share, encoder, critic heads on a frozen trunk, one GAN step."""

import math

import torch
import torch.nn.functional as F
from torch import nn

LATENT, EMBEDDING, CONDITION = 64, 32, 96
WIDTHS = (48, 64, 128)
PIXEL_FLOOR = 1 / 255


class ConditionalNorm(nn.Module):
    """Group normalisation whose scale and shift are linear functions of the condition; ReLU."""

    def __init__(self, channels):
        super().__init__()
        self.modulation = nn.Linear(CONDITION, 2 * channels)
        self.groups = channels // 8 if channels % 8 == 0 else 1

    def forward(self, x, condition):
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, 1)
        return F.relu(F.group_norm(x, self.groups) * (scale + 1) + shift)


class Generator(nn.Module):
    """crates/mtl-gen/src/decoder.rs, preset xs."""

    def __init__(self, size, classes):
        super().__init__()
        doublings, base = 0, size
        while base[0] % 2 == 0 and base[1] % 2 == 0 and min(base) >= 8:
            base, doublings = (base[0] // 2, base[1] // 2), doublings + 1

        def width(left):
            return WIDTHS[min(left - 1, 2)]

        self.base, self.width = base, width(doublings)
        self.embedding = nn.Embedding(classes + 1, EMBEDDING)
        self.start = nn.Linear(CONDITION, self.width * base[0] * base[1])
        widths = [width(left) for left in range(doublings, 0, -1)]
        self.norms = nn.ModuleList(ConditionalNorm(channels) for channels in widths)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(widths, widths[1:]))
        self.narrow = nn.Conv2d(widths[-1], 16, 3, padding=1)
        self.paint = nn.Conv2d(16, 3, 3, padding=1)

    def forward(self, z, labels):
        condition = torch.cat([z, self.embedding(labels)], 1)
        x = self.start(condition).view(len(z), self.width, *self.base)
        for norm, conv in zip(self.norms, self.convs):
            x = conv(F.interpolate(norm(x, condition), scale_factor=2, mode="nearest"))
        x = F.leaky_relu(self.narrow(self.norms[-1](x, condition)), 0.2)
        return torch.tanh(self.paint(F.interpolate(x, scale_factor=2, mode="nearest")))


class Vae(nn.Module):
    """crates/mtl-gen/src/vae.rs."""

    def __init__(self, taps, size, classes):
        super().__init__()
        (finer_stride, finer), (stride, deepest) = taps[-2:]
        self.factor = stride // finer_stride
        self.mix = nn.Conv2d(deepest + finer * self.factor**2, 64, 1)
        self.heads = nn.Linear(64 * (size[0] // stride) * (size[1] // stride), 2 * LATENT)
        self.decoder = Generator(size, classes)

    def loss(self, taps, images, labels):
        x = torch.cat([taps[-1], F.pixel_unshuffle(taps[-2], self.factor)], 1)
        both = self.heads(F.leaky_relu(self.mix(x), 0.2).flatten(1))
        mu, logvar = both[:, :LATENT], torch.tanh(both[:, LATENT:] / 8) * 8
        z = mu + torch.exp(logvar * 0.5) * torch.randn_like(mu)
        mse = (self.decoder(z, labels) - images).square().mean()
        kl = ((mu.square() + logvar.exp() - logvar - 1).mean(0) * 0.5).relu().sum()
        return 0.5 * torch.log(mse / PIXEL_FLOOR**2 + 1) + kl / images[0].numel()


class Head(nn.Module):
    """crates/mtl-gen/src/critic.rs: one number a feature pixel."""

    def __init__(self, channels, classes, width=64):
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1)
        self.direction = nn.Linear(width, 1)
        self.classes = nn.Embedding(classes + 1, width)
        self.scale = 1 / math.sqrt(width)

    def forward(self, x, labels):
        t = F.leaky_relu(self.conv(x), 0.2)
        direction = self.classes(labels) * self.scale + self.direction.weight
        return torch.bmm(direction.unsqueeze(1), t.flatten(2)).squeeze(1) + self.direction.bias


class Projection(nn.Module):
    """Fixed random mixing of features."""

    def __init__(self, taps):
        super().__init__()
        channels = [channels for _, channels in taps]
        self.within = nn.ModuleList(nn.Conv2d(c, c, 1, bias=False) for c in channels)
        self.across = nn.ModuleList(nn.Conv2d(b, a, 1, bias=False) for a, b in zip(channels, channels[1:]))
        self.requires_grad_(False)

    def forward(self, taps):
        mixed = []
        for at in reversed(range(len(taps))):
            x = self.within[at](taps[at])
            if mixed:
                moved = F.interpolate(self.across[at](mixed[-1]), scale_factor=2, mode="nearest")
                x = (x + moved) * math.sqrt(0.5)
            mixed.append(x)
        return mixed[::-1]


class Gan(nn.Module):
    """Generator and critic of mode `frozen`."""

    def __init__(self, taps, size, classes):
        super().__init__()
        self.generator = Generator(size, classes)
        self.projection = Projection(taps)
        self.heads = nn.ModuleList(Head(channels, classes) for _, channels in taps)

    def judge(self, taps, labels):
        return [head(tap, labels) for head, tap in zip(self.heads, self.projection(taps))]


def shifts(batch, side):
    """Matrices that move each image by up to an eighth of its side, and what that leaves uncovered becomes 0."""
    most = round(side / 8)
    by = torch.randint(-most, most + 1, (batch, 1, 1))
    at = torch.arange(side)
    return ((at[:, None] - at[None, :]) == by).float()


def translated(x, rows, columns):
    batch, channels, height, width = x.shape
    y = torch.bmm(x.reshape(batch, channels * height, width), columns)
    rows = rows[:, None].expand(batch, channels, height, height).reshape(-1, height, height)
    return torch.bmm(rows, y.view(-1, height, width)).view(batch, channels, height, width)


def gan_step(model, trunk, images, labels, variant):
    """One step: critic, generator, weight average. Gradients are cut to length 10 as in our runs."""
    batch, side = len(images), images.shape[-1]
    critics, drawn = list(model.heads.parameters()), list(model.generator.parameters())
    rules = [torch.optim.Adam(p, lr=lr, betas=(0.5, 0.99), fused=True) for p, lr in ((critics, 5e-3), (drawn, 2e-4))]
    averages = [p.detach().clone() for p in drawn]

    def show(z, images, a, b, c, d):
        fake = variant.place(translated(model.generator(z, labels), c, d))
        with torch.no_grad():
            real = trunk(variant.place(translated(images, a, b)))
        return (*real, *trunk(fake))

    def critic(real, fake):
        both = [torch.cat([a, b]) for a, b in zip(real, fake)]
        total = 0.0
        for logits in model.judge(both, labels.repeat(2)):
            total = total + F.relu(1 - logits[:batch]).mean() + F.relu(1 + logits[batch:]).mean()
        return total / len(both)

    def generator(real, fake):
        total = 0.0
        for logits in model.judge(fake, labels):
            total = total - logits.mean()
        for a, b in zip(fake, real):
            total = total + (a.mean(0) - b.mean(0)).square().mean() / b.square().mean().clamp_min(1e-12)
        return total / len(fake)

    show, critic, generator = variant.run(show), variant.run(critic), variant.run(generator)

    def update(rule, parameters, grads):
        for parameter, grad in zip(parameters, grads):
            parameter.grad = grad
        torch.nn.utils.clip_grad_norm_(parameters, 10.0)
        rule.step()

    def step():
        moves = [shifts(batch, side) for _ in range(4)]
        taps = show(torch.randn(batch, LATENT), images, *moves)
        real, fake = taps[: len(taps) // 2], taps[len(taps) // 2 :]
        loss = critic(real, [tap.detach() for tap in fake])
        update(rules[0], critics, torch.autograd.grad(loss, critics))
        model.heads.requires_grad_(False)
        judged = generator(real, fake)
        update(rules[1], drawn, torch.autograd.grad(judged, drawn))
        model.heads.requires_grad_(True)
        with torch.no_grad():
            torch._foreach_lerp_(averages, drawn, 0.01)
        return loss.item()

    return step
