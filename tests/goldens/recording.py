"""Five training steps of a network in f64, written down as one golden.

A golden is a safetensors file of f32 numbers:
    KEY            every input, label and loss constant
    before/NAME    parameters and running statistics at the start (rounded to f32 before anything is computed)
    output/KEY     outputs of the first step, in training mode
    loss           of the first step
    grad/NAME      its gradients by every parameter, and by the features a head reads
    stepped/NAME   running statistics and other buffers after the first step
    after/NAME     parameters and running statistics after five steps on the same batch
    evaluated/KEY  outputs after them, in evaluation mode
"""

import pathlib

import torch
from safetensors.torch import save

torch.set_default_dtype(torch.float64)


def exact(tensor):
    """The nearest tensor that f32 holds exactly."""
    return tensor.float().double()


def normals(*shape):
    return exact(torch.randn(*shape))


def start(model):
    """Norms at values of their own, so that a scale, shift or statistic left out cannot go unseen; all exact in f32."""
    with torch.no_grad():
        for name, tensor in state(model).items():
            if name.endswith("norm.weight") or name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith("bias") or name.endswith("running_mean"):
                tensor.normal_(0, 0.2)
            tensor.copy_(exact(tensor))


def state(model):
    return {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")}


def optimizer(model, rule, lr):
    parameters = list(model.parameters())
    if rule == "adam":
        return torch.optim.Adam(parameters, lr)
    if rule == "sgd":
        return torch.optim.SGD(parameters, lr, momentum=0.9)
    # Weight decay on matrices and kernels only.
    kernels = [p for p in parameters if p.dim() > 1]
    others = [p for p in parameters if p.dim() <= 1]
    groups = [{"params": kernels, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr)


def train(model, data, run, rule, lr, noise=0.0):
    """What a golden holds of five steps from the model's present state. `noise`: of the gradients, relative to the
    largest of their tensor."""
    tensors = {f"before/{key}": value.clone() for key, value in state(model).items()}
    updates = optimizer(model, rule, lr)
    model.train()
    for step in range(5):
        updates.zero_grad()
        for value in data.values():
            value.grad = None
        outputs, loss = run(data)
        loss.backward()
        if step == 0:
            tensors |= {f"output/{key}": value.detach().clone() for key, value in outputs.items()}
            tensors["loss"] = loss.detach().clone()
            tensors |= {f"grad/{key}": value.grad.clone() for key, value in model.named_parameters()}
            tensors |= {f"grad/{key}": value.grad.clone() for key, value in data.items() if value.grad is not None}
            buffers = dict(model.named_buffers())
            tensors |= {f"stepped/{key}": value.clone() for key, value in state(model).items() if key in buffers}
        for parameter in model.parameters():
            grad = parameter.grad
            grad += (grad != 0) * torch.randn_like(grad) * grad.abs().max() * noise
        updates.step()
    tensors |= {f"after/{key}": value.clone() for key, value in state(model).items()}
    model.eval()
    with torch.no_grad():
        tensors |= {f"evaluated/{key}": value for key, value in run(data)[0].items()}
    return tensors


def record(name, model, data, run, rule, lr):
    """`run(data)` gives named outputs and the loss; `data` are its tensors by name."""
    start(model)
    first = {key: value.clone() for key, value in model.state_dict().items()}
    tensors = train(model, data, run, rule, lr)
    # Adam divides a gradient by its own size: where one is nearly zero, nothing but rounding decides its sign. Such a
    # draw cannot be repeated in f32, by PyTorch neither; take another seed.
    model.load_state_dict(first)
    rounded = train(model, data, run, rule, lr, noise=3e-7)
    for key, value in rounded.items():
        change = ((value - tensors[key]).abs().max() / tensors[key].abs().max()).item()
        assert change < 5e-5, f"{name}: gradients off by 3e-7 change {key} by {change:.1e}"

    tensors |= {key: value.detach() for key, value in data.items()}
    tensors = {key: value.float().contiguous() for key, value in tensors.items()}
    path = pathlib.Path(__file__).parent / f"{name}.safetensors"
    path.write_bytes(save(tensors))
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB, loss {tensors['loss'].item():.6f}")


def features(batch, taps, size):
    """Random features with gradients. `taps`: list of (stride, channels)."""
    made = {}
    for at, (stride, channels) in enumerate(taps):
        made[f"tap{at}"] = normals(batch, channels, size[0] // stride, size[1] // stride).requires_grad_()
    return made


def taps_of(data):
    return [data[f"tap{at}"] for at in range(sum(key.startswith("tap") for key in data))]


def mask(batch, classes, size, missing):
    """Class indices in blobs of 4 x 4 pixels, a share of the pixels missing."""
    coarse = torch.randint(classes, (batch, 1, size[0] // 4, size[1] // 4)).double()
    pixels = torch.nn.functional.interpolate(coarse, size, mode="nearest").squeeze(1)
    pixels[torch.rand_like(pixels) < missing] = 255
    return pixels


def depth(batch, size, missing):
    """Numbers in 0..1, a share of the pixels missing."""
    pixels = exact(torch.rand(batch, *size))
    pixels[torch.rand_like(pixels) < missing] = float("nan")
    return pixels
