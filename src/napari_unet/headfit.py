"""The first answer: a new head for the features that a net has already.

Nothing else changes, so the features are computed once, only at some pixels, and the
fit takes seconds. Pixels that nobody looked at keep what the model said of them:
without that, a few strokes, all of them drawn on mistakes, would tip the balance of
classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .corrections import FOREGROUND, IGNORE
from .examples import Example
from .hypercolumn import Hypercolumn
from .losses import distance, pixel_loss
from .unet import UNet

__all__ = ["TRUST", "fit_head", "forward", "right", "with_hypercolumn"]

TRUST = 0.3  # weight of what the model said before, next to 1 for what people said
_HIDDEN = 32
_REVIEWED, _OTHER = 6000, 3000  # pixels
_STEPS = 100
_RATE = 1e-2
_DECAY = 1e-3
_DROPOUT = 0.2


def forward(net: UNet, image: Tensor) -> Tensor:
    """Return the logits (N, K, Y, X) in float32, computed in the fastest dtype."""
    with torch.autocast(image.device.type, torch.bfloat16, enabled=_half(image)):
        logits: Tensor = net(image.contiguous(memory_format=torch.channels_last))
    return logits.float()


def _half(image: Tensor) -> bool:
    if image.device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return image.device.type == "cuda"


def with_hypercolumn(net: UNet) -> UNet:
    """Return a net with the encoder and decoder of `net` and a head yet to be fitted.

    The seed of its random weights is PyTorch's.
    """
    student = UNet(replace(net.spec, hypercolumn=_HIDDEN))
    kept = {k: v for k, v in net.state_dict().items() if not k.startswith("head.")}
    student.load_state_dict(kept, strict=False)
    return student.to(next(net.parameters()).device).eval()


@dataclass(frozen=True, slots=True)
class _Pixels:
    """Some pixels: features (P, F) of every level, targets, weights, the old answer."""

    columns: list[Tensor]
    target: Tensor
    weight: Tensor
    before: Tensor


def fit_head(
    student: UNet, teacher: UNet, examples: Sequence[Example]
) -> tuple[float, float, float]:
    """Fit the hypercolumn of `student` to the examples.

    Returns the last loss, and which share of the reviewed pixels the teacher and the
    student are right about.

    Parameters
    ----------
    student
        From `with_hypercolumn`; its head is changed, nothing else is.
    teacher
        The model so far, with the same encoder and decoder; says what becomes of pixels
        that nobody looked at.
    """
    pixels = _read(student, teacher, examples)
    head = _head(student)
    with torch.no_grad():
        head.standardise(
            [c.mean(0) for c in pixels.columns], [c.std(0) for c in pixels.columns]
        )
    standard = [
        (c - m) * g
        for c, m, g in zip(pixels.columns, head.mean, head.gain, strict=True)
    ]
    features = torch.cat(standard, 1)
    reviewed = pixels.target != IGNORE
    share = TRUST / max(int((~reviewed).sum()), 1)
    learnt = [p for p in head.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learnt, lr=_RATE, weight_decay=_DECAY)
    loss = torch.zeros(())
    for step in range(_STEPS):
        for group in optimiser.param_groups:
            group["lr"] = _RATE * (0.5 + 0.5 * math.cos(math.pi * step / _STEPS))
        # All pixels lose the same features: one mask is cheaper than one for each.
        seen = F.dropout(torch.ones_like(features[0]), _DROPOUT)
        hidden = features @ (torch.cat(list(head.read), 1) * seen).T + head.bias
        logits = head.classify(hidden)
        told = (pixel_loss(logits, pixels.target) * pixels.weight).sum()
        kept = (distance(logits, pixels.before) * ~reviewed).sum() * share
        loss = told + kept
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    head.eval()
    with torch.no_grad():
        after = head.classify(features @ torch.cat(list(head.read), 1).T + head.bias)
    good = (right(p, pixels.target) * pixels.weight for p in (pixels.before, after))
    was, now = (share.sum().item() for share in good)
    return loss.item(), was, now


def right(logits: Tensor, target: Tensor) -> Tensor:
    """Return which pixels (N, ...) logits (N, K, ...) are right about."""
    found = logits.argmax(1)
    return torch.where(target == FOREGROUND, found > 0, found == target)


def _head(net: UNet) -> Hypercolumn:
    if not isinstance(net.head, Hypercolumn):
        raise TypeError("only a hypercolumn is fitted")
    return net.head


@torch.no_grad()
def _read(student: UNet, teacher: UNet, examples: Sequence[Example]) -> _Pixels:
    """Compute the student's features at some pixels of every example."""
    random = np.random.default_rng(len(examples))
    device = next(student.parameters()).device
    total = sum(int((e.target != IGNORE).sum()) for e in examples)
    parts = [
        _read_one(student, teacher, e, device, _choose(e, total, len(examples), random))
        for e in examples
    ]
    columns = [
        torch.cat([p.columns[level] for p in parts])
        for level in range(len(parts[0].columns))
    ]
    weight = torch.cat([p.weight for p in parts])
    target = torch.cat([p.target for p in parts])
    return _Pixels(
        columns,
        target,
        _balance(weight, target),
        torch.cat([p.before for p in parts]),
    )


def _choose(
    example: Example, total: int, count: int, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return rows and columns of reviewed pixels and of others."""
    target = example.target.numpy()
    rows, columns = np.nonzero(target != IGNORE)
    keep = random.random(len(rows)) < _REVIEWED / max(total, 1)
    y = random.integers(target.shape[0], size=_OTHER // count)
    x = random.integers(target.shape[1], size=_OTHER // count)
    other = target[y, x] == IGNORE
    rows = np.concatenate([rows[keep], y[other]])
    columns = np.concatenate([columns[keep], x[other]])
    return torch.from_numpy(rows), torch.from_numpy(columns)


def _read_one(
    student: UNet,
    teacher: UNet,
    example: Example,
    device: torch.device,
    at: tuple[Tensor, Tensor],
) -> _Pixels:
    stride = student.spec.stride
    height, width = example.target.shape
    lack = (0, -width % stride, 0, -height % stride)
    image = F.pad(example.image[None], lack, mode="replicate").to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=_half(image)):
        features = student.features(image.contiguous(memory_format=torch.channels_last))
    columns = _head(student).columns(image, [f.float() for f in features])
    y, x = at
    found = [_sample(column[0], y, x, level) for level, column in enumerate(columns)]
    if isinstance(teacher.head, Hypercolumn):
        before = teacher.head.at(found)
    else:
        before = teacher.head(features[0].float())[0, :, y, x].T
    return _Pixels(
        found,
        example.target[y, x].to(device),
        example.weight[y, x].to(device),
        before.softmax(1),
    )


def _sample(column: Tensor, rows: Tensor, columns: Tensor, level: int) -> Tensor:
    """Return features (P, F) of one level at pixels of the finest."""
    if level == 0:
        return column[:, rows, columns].T
    _, height, width = column.shape
    y = (rows + 0.5) / 2**level * 2 / height - 1
    x = (columns + 0.5) / 2**level * 2 / width - 1
    grid = torch.stack([x, y], -1)[None, None].to(column)
    found = F.grid_sample(
        column[None], grid, padding_mode="border", align_corners=False
    )
    return found[0, :, 0].T


def _balance(weight: Tensor, target: Tensor) -> Tensor:
    """Let every class that somebody named weigh the same, all together 1."""
    found = torch.zeros_like(weight)
    values = torch.unique(target[target != IGNORE])
    for value in values:
        own = target == value
        found[own] = weight[own] / weight[own].sum() / len(values)
    return found
