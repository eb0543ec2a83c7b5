"""VAE and GAN of mtl-gen in PyTorch: the decoder both share, encoder, the GAN's discriminators, one GAN step; the flow's network, its
step and its sampling."""

import math

import torch
import torch.nn.functional as F
from torch import nn

LATENT, EMBEDDING, CONDITION = 64, 32, 96
WIDTHS = (48, 64, 128)
PIXEL_FLOOR = 1 / 255


class ConditionalNorm(nn.Module):
    """Group normalisation whose scale and shift are linear functions of the condition; ReLU."""

    def __init__(self, channels, condition=CONDITION):
        super().__init__()
        self.modulation = nn.Linear(condition, 2 * channels)
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


class FrozenHeads(nn.Module):
    """Projection and heads on a trunk that is not trained."""

    def __init__(self, taps, classes, spectral):
        super().__init__()
        self.projection = Projection(taps)
        self.heads = nn.ModuleList(Head(channels, classes) for _, channels in taps)
        if spectral:
            for head in self.heads:
                nn.utils.parametrizations.spectral_norm(head.conv)
                nn.utils.parametrizations.spectral_norm(head.direction)

    def forward(self, taps, labels):
        return [head(tap, labels) for head, tap in zip(self.heads, self.projection(taps))]


class OwnCritic(nn.Module):
    """A trunk of the discriminator's own with constant statistics and heads on all taps but the finest; its deepest head reads the
    standard deviation over the batch."""

    def __init__(self, trunk, taps, classes):
        super().__init__()
        self.trunk = trunk.eval()
        channels = [channels for _, channels in taps[1:]]
        channels[-1] += 1
        self.heads = nn.ModuleList(Head(c, classes) for c in channels)

    def forward(self, images, labels, rows):
        """`rows`: number of rows and index of the rows whose deviation they have."""
        taps = list(self.trunk(images))[1:]
        deviations, blocks, first = [], [], 0
        for at, (count, like) in enumerate(rows):
            part = taps[-1][first : first + count]
            deviations.append((part.var(0, unbiased=False) + 1e-4).sqrt().mean() if like == at else None)
            blocks.append(deviations[like].expand(count, 1, *part.shape[2:]))
            first += count
        taps[-1] = torch.cat([taps[-1], torch.cat(blocks)], 1)
        return [head(tap, labels).mean(1) for head, tap in zip(self.heads, taps)]


def descriptors(taps):
    """Means over a grid and deviations of each channel."""
    found = []
    for tap in taps:
        cell = min(tap.shape[2:]) // 2
        deviation = (tap.square().mean((2, 3)) - tap.mean((2, 3)).square()).relu().add(1e-6).sqrt()
        found.append(torch.cat([F.avg_pool2d(tap, cell).flatten(1), deviation], 1))
    return found


def kernel(distances, median):
    return sum(torch.exp(distances * (-0.5 / (width * median) ** 2)) for width in (0.5, 1.0, 2.0)) / 3


def squares(a, b):
    return -2 * (a @ b.T) + a.square().sum(1, keepdim=True) + b.square().sum(1)


class Reference:
    """Descriptors of all training images in one network."""

    def __init__(self, taps):
        self.taps = []
        for x in descriptors(taps):
            mean, scale = x.mean(0), 1 / x.std(0, unbiased=False).clamp_min(1e-6)
            real = (x - mean) * scale
            median = torch.cdist(real[:512], real[:512]).median()
            self.taps.append((mean, scale, real, median))

    def distance(self, taps):
        total = 0.0
        for x, (mean, scale, real, median) in zip(descriptors(taps), self.taps):
            x = (x - mean) * scale
            n = len(x)
            own = (kernel(squares(x, x), median).sum() - n) / (n * (n - 1))
            total = total + own - 2 * kernel(squares(x, real), median).mean()
        return total / len(self.taps)


class Gan(nn.Module):
    """Generator and discriminator: heads on each of `backbones`, or on the first one beside a trunk of its own."""

    def __init__(self, taps, size, classes, backbones, own=None):
        super().__init__()
        self.generator = Generator(size, classes)
        count = 1 if own else backbones
        self.heads = nn.ModuleList(FrozenHeads(taps, classes, own is not None) for _ in range(count))
        self.own = own and OwnCritic(own, taps, classes)


def gan_step(model, backbones, images, labels, reference_batches, variant):
    """One step: critic, generator, weight average. Gradients are cut to length 10 as in our runs; no augmentation, as in ours
    while its probability is 0."""
    n = len(images)
    half = n // 2
    own = model.own
    critics = [p for p in (*model.heads.parameters(), *(own.parameters() if own else ())) if p.requires_grad]
    drawn = list(model.generator.parameters())
    rules = [torch.optim.Adam(p, lr=lr, betas=(0.5, 0.99), fused=True) for p, lr in ((critics, 5e-3), (drawn, 2e-4))]
    averages = [p.detach().clone() for p in drawn]
    with torch.no_grad():
        references = []
        for trunk in backbones:
            batches = [trunk(images + 0.1 * torch.randn_like(images)) for _ in range(reference_batches)]
            references.append(Reference([torch.cat(taps) for taps in zip(*batches)]))

    def show(z, images):
        fake = model.generator(z, labels)
        with torch.no_grad():
            real = [trunk(images) for trunk in backbones[: len(model.heads)]]
        return fake, real, [trunk(fake) for trunk in backbones]

    def critic(images, fake, noise, real_taps, fake_taps):
        total = 0.0
        if own:
            clean = torch.cat([images, fake])
            penalised = torch.cat([images[:half], fake[:half]])
            twice = labels.repeat(2)
            rows = [(n, 0), (n, 1), (half, 0), (half, 1)]
            scores = own(torch.cat([clean, penalised + 0.01 * noise]), torch.cat([twice, labels[:half].repeat(2)]), rows)
            for score in scores:
                real, made = score[:n], score[n : 2 * n]
                before = torch.cat([real[:half], made[:half]])
                penalty = (before - score[2 * n :]).square().mean() / 1e-4
                total = total + (F.softplus(made - real).mean() + 0.02 * penalty) / len(scores)
        logits = []
        for heads, real, made in zip(model.heads, real_taps, fake_taps):
            logits += heads([torch.cat(pair) for pair in zip(real, made)], labels.repeat(2))
        hinge = sum(F.relu(1 - x[:n]).mean() + F.relu(1 + x[n:]).mean() for x in logits) / len(logits)
        return total + (0.5 if own else 1.0) * hinge

    def generator(images, fake, fake_taps):
        total = 0.0
        if own:
            with torch.no_grad():
                real = own(images, labels, [(n, 0)])
            made = own(fake, labels, [(n, 0)])
            total = sum(F.softplus(a - b).mean() for a, b in zip(real, made)) / len(made)
        logits = [x for heads, made in zip(model.heads, fake_taps) for x in heads(made, labels)]
        total = total - (0.5 if own else 1.0) * sum(x.mean() for x in logits) / len(logits)
        matching = sum(reference.distance(made) for reference, made in zip(references, fake_taps))
        return total + matching / len(references)

    show, critic, generator = variant.run(show), variant.run(critic), variant.run(generator)

    def update(rule, parameters, grads):
        for parameter, grad in zip(parameters, grads):
            parameter.grad = grad
        torch.nn.utils.clip_grad_norm_(parameters, 10.0)
        rule.step()

    def step():
        fake, real_taps, fake_taps = show(torch.randn(n, LATENT), images)
        noise = torch.randn(2 * half, *images.shape[1:])
        model.train()
        if own:
            own.trunk.eval()
        loss = critic(images, fake.detach(), noise, real_taps, [[tap.detach() for tap in taps] for taps in fake_taps])
        update(rules[0], critics, torch.autograd.grad(loss, critics))
        # Constants in the generator's phase; in evaluation mode spectral norms take no power iteration.
        model.eval()
        for parameter in critics:
            parameter.requires_grad_(False)
        judged = generator(images, fake, fake_taps)
        update(rules[1], drawn, torch.autograd.grad(judged, drawn))
        for parameter in critics:
            parameter.requires_grad_(True)
        with torch.no_grad():
            torch._foreach_lerp_(averages, drawn, 0.01)
        return loss.item()

    return step


class FlowBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norms = nn.ModuleList(ConditionalNorm(width, width) for _ in range(2))
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x, condition):
        y = x
        for norm, conv in zip(self.norms, self.convs):
            y = conv(norm(y, condition))
        return x + y


class FlowNetwork(nn.Module):
    """crates/mtl-gen/src/flow/network.rs, one level: the velocity of a noisy map."""

    def __init__(self, case):
        super().__init__()
        width, embedding, channels = case["width"], case["embedding"], case["channels"]
        self.embedding = nn.Embedding(case["classes"] + 1, embedding)
        self.condition = nn.Linear(32 + embedding, width)
        self.input = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(FlowBlock(width) for _ in range(case["blocks"]))
        self.norm = ConditionalNorm(width, width)
        self.output = nn.Conv2d(width, channels, 3, padding=1)
        self.register_buffer("frequencies", math.pi * 2 ** (5 * torch.arange(16) / 15))

    def forward(self, z, t, labels):
        angles = t[:, None] * self.frequencies
        condition = F.relu(self.condition(torch.cat([angles.cos(), angles.sin(), self.embedding(labels)], 1)))
        x = self.input(z)
        for block in self.blocks:
            x = block(x, condition)
        output = self.output(self.norm(x, condition))
        spread = (t.square() + (1 - t).square()).sqrt()[:, None, None, None]
        return (2 * t[:, None, None, None] - 1) * z / spread.square() + output / spread


class Tokenizer(nn.Module):
    """crates/mtl-gen/src/flow/tokenizer.rs."""

    def __init__(self, taps, channels):
        super().__init__()
        self.factors = [8 // stride for stride, _ in taps]
        self.mix = nn.Conv2d(sum(c * (8 // stride) ** 2 for stride, c in taps), 64, 1)
        self.encoder = nn.Conv2d(64, channels, 3, padding=1)
        widths = (128, 96, 64)
        self.start = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(w // 8, w) for w in widths)
        self.residuals = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1) for w in widths)
        self.next_norms = nn.ModuleList(nn.GroupNorm(w // 8, w) for w in widths)
        self.nexts = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(widths, (*widths[1:], 16)))
        self.paint = nn.Conv2d(16, 3, 3, padding=1)

    def encode(self, taps):
        maps = [F.pixel_unshuffle(tap, factor) if factor > 1 else tap for tap, factor in zip(taps, self.factors)]
        return self.encoder(F.leaky_relu(self.mix(torch.cat(maps, 1)), 0.2))

    def decode(self, z):
        x = self.start(z)
        for at, residual in enumerate(self.residuals):
            x = x + residual(F.relu(self.norms[at](x)))
            x = F.relu(self.next_norms[at](x))
            if at + 1 < len(self.nexts):
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = self.nexts[at](x)
        return torch.tanh(self.paint(F.interpolate(F.leaky_relu(x, 0.2), scale_factor=2, mode="nearest")))


def flow_step(network, tokenizer, trunk, images, labels, classes, variant):
    """One step of the flow's network on maps that do not change, with a class dropped in 10 % of the images."""
    n = len(images)
    parameters = list(network.parameters())
    rule = torch.optim.Adam(parameters, lr=1e-3, betas=(0.9, 0.99), fused=True)
    averages = [p.detach().clone() for p in parameters]

    def loss(images, noise, t, labels):
        with torch.no_grad():
            clean = tokenizer.encode(trunk(images))
        time = t[:, None, None, None]
        velocity = network(time * clean + (1 - time) * noise, t, labels)
        return (velocity - (clean - noise)).square().mean()

    run = variant.run(loss)
    with torch.no_grad():
        shape = tokenizer.encode(trunk(images)).shape

    def step():
        dropped = torch.where(torch.rand(n) < 0.1, classes, labels)
        value = run(images, torch.randn(shape), torch.sigmoid(torch.randn(n)), dropped)
        for parameter, grad in zip(parameters, torch.autograd.grad(value, parameters)):
            parameter.grad = grad
        torch.nn.utils.clip_grad_norm_(parameters, 10.0)
        rule.step()
        with torch.no_grad():
            torch._foreach_lerp_(averages, parameters, 0.01)
        return value.item()

    return step


class FlowSampler(nn.Module):
    """Midpoint steps with guidance 1.5, then the decoder."""

    def __init__(self, network, tokenizer, classes, steps):
        super().__init__()
        self.network, self.tokenizer, self.none, self.steps = network, tokenizer, classes, steps

    def velocity(self, z, t, labels):
        both = torch.cat([labels, torch.full_like(labels, self.none)])
        found, without = self.network(torch.cat([z, z]), torch.full((2 * len(z),), t), both).chunk(2)
        return without + 1.5 * (found - without)

    def forward(self, z, labels):
        size = 1 / self.steps
        for at in range(self.steps):
            half = z + 0.5 * size * self.velocity(z, at * size, labels)
            z = z + size * self.velocity(half, (at + 0.5) * size, labels)
        return self.tokenizer.decode(z)
