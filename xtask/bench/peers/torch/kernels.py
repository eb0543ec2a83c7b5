"""Single operations: their value, or a gradient through the operation alone, from ones that lie ready."""

import torch
import torch.nn.functional as F


def conv2d(case):
    return lambda x, w: F.conv2d(x, w, None, case["stride"], case["padding"])


def conv_transpose2d(case):
    return lambda x, w: F.conv_transpose2d(x, w, None, case["stride"], case["padding"])


def batch_norm(_):
    return lambda x, scale, shift: F.relu(F.batch_norm(x, None, None, scale, shift, training=True))


def group_norm(case):
    return lambda x, scale, shift: F.relu(F.group_norm(x, case["groups"], scale, shift))


OPERATIONS = {
    "conv2d": conv2d,
    "conv_transpose2d": conv_transpose2d,
    "linear": lambda _: F.linear,
    "max_pool2d": lambda case: lambda x: F.max_pool2d(x, case["k"]),
    "avg_pool2d": lambda case: lambda x: F.avg_pool2d(x, case["k"]),
    "global_avg_pool": lambda _: lambda x: x.mean((2, 3)),
    "batch_norm": batch_norm,
    "group_norm": group_norm,
    "upsample_nearest": lambda case: lambda x: F.interpolate(x, scale_factor=case["k"], mode="nearest"),
    "upsample_bilinear": lambda case: lambda x: F.interpolate(
        x, (case["height"], case["width"]), mode="bilinear", align_corners=False
    ),
    "pixel_shuffle": lambda case: lambda x: F.pixel_shuffle(x, case["k"]),
    "pixel_unshuffle": lambda case: lambda x: F.pixel_unshuffle(x, case["k"]),
    "relu": lambda _: F.relu,
    "leaky_relu": lambda _: lambda x: F.leaky_relu(x, 0.2),
    "add_relu": lambda _: lambda a, b: F.relu(a + b),
    "tanh": lambda _: torch.tanh,
    "softplus": lambda _: F.softplus,
}


def dice(logits, labels):
    """As in networks.py, for masks without missing pixels: nothing has to be picked out first."""
    kinds = torch.arange(logits.shape[1]).view(1, -1, 1, 1)
    p, t = logits.softmax(1), (labels.unsqueeze(1) == kinds).to(logits.dtype)
    score = (2 * (p * t).sum((0, 2, 3)) + 1) / (p.sum((0, 2, 3)) + t.sum((0, 2, 3)) + 1)
    return 1 - score[1:].mean()


# Loss of (predictions, labels, targets).
LOSSES = {
    "cross_entropy": lambda x, labels, _: F.cross_entropy(x, labels),
    "dice": lambda x, labels, _: dice(x, labels),
    "mean_squared": lambda x, _, targets: F.mse_loss(x, targets),
    "binary_cross_entropy": lambda x, _, targets: F.binary_cross_entropy_with_logits(x, targets),
    "huber": lambda x, _, targets: F.huber_loss(x, targets, delta=0.1),
}


def placed(shape, variant):
    x = torch.randn(*shape)
    return variant.place(x) if len(shape) == 4 else x


def build(case, batch, variant):
    op = case["op"]
    if op in LOSSES:
        return loss(case, batch, variant), 0
    if op in ("adamw", "average"):
        return update(case), 0
    if op == "weights":
        return weights(case, batch), 0
    operation, tensors = OPERATIONS[op](case), []
    for at, (first, *rest) in enumerate(case["shapes"]):
        rows = batch if at == 0 or case.get("rows") else 1
        tensors.append(placed([first * rows, *rest], variant))
    part = case["part"]
    if part == "forward":

        def forward():
            with torch.inference_mode():
                operation(*tensors)

        return forward, 0
    wanted = {"input": tensors[:1], "weight": tensors[1:2], "all": tensors}[part]
    for tensor in wanted:
        tensor.requires_grad_()
    y = operation(*tensors)
    ones = torch.ones_like(y)

    def backward():
        torch.autograd.grad(y, wanted, ones, retain_graph=True)

    return backward, 0


def loss(case, batch, variant):
    run, (_, *row) = LOSSES[case["op"]], case["shapes"][0]
    x = placed([batch, *row], variant).requires_grad_()
    labels = torch.randint(row[0], (batch, *row[1:]))
    targets = torch.randint_like(x, 2).detach()

    def step():
        torch.autograd.grad(run(x, labels, targets), x)

    return step


def weights(case, tasks):
    """One call of a torchjd aggregator: of its weights from the Gram matrix where it has such a half."""
    from torchjd import aggregation

    more = {"NashMTL": {"n_tasks": tasks}, "TrimmedMean": {"trim_number": 1}, "Krum": {"n_byzantine": 0}}
    more |= {"CAGrad": {"c": 0.5}, "FairGrad": {"alpha": 1.0}}
    aggregator = getattr(aggregation, case["aggregator"])(**more.get(case["aggregator"], {}))
    jacobian = torch.randn(tasks, case["parameters"])
    weighting, gram = getattr(aggregator, "gramian_weighting", None), jacobian @ jacobian.T

    def call():
        aggregator(jacobian) if weighting is None else weighting(gram)

    return call


def update(case):
    parameters = [torch.randn(*case["shapes"][0], requires_grad=True) for _ in range(case["count"])]
    if case["op"] == "average":
        averages = [p.detach().clone() for p in parameters]

        @torch.no_grad()
        def average():
            torch._foreach_lerp_(averages, parameters, 0.01)

        return average
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.05, fused=True).step
