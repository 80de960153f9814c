"""Tensor functions and layers that several models share.

Row vectors multiply matrices from the left throughout (``x @ w + b``).
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from models.dice_training import dice_in_training

COSINE_EPSILON = 1e-8
DICE_EPSILON = 1e-8


def cosine_similarity(keys: Tensor, slots: Tensor) -> Tensor:
    """Return the cosine of each key and each slot.

    Args:
        keys: ``[..., n_keys, dim]``.
        slots: ``[..., n_slots, dim]``.

    Returns:
        ``[..., n_keys, n_slots]``; 0 where either is the zero vector.
    """
    dots = keys @ slots.transpose(-1, -2)
    key_norms = torch.linalg.vector_norm(keys, dim=-1).unsqueeze(-1)
    slot_norms = torch.linalg.vector_norm(slots, dim=-1).unsqueeze(-2)
    similarity: Tensor = dots / (key_norms * slot_norms + COSINE_EPSILON)
    return similarity


def erase_add(memory: Tensor, weights: Tensor, erase: Tensor, add: Tensor) -> Tensor:
    """Write one event into the slots.

    Eq. 4 of Pi et al. 2019 (MIMN); differs from it in nothing.

    Args:
        memory: Slots, ``[batch, n_slots, dim]``.
        weights: Where to write, ``[batch, n_slots]``.
        erase: Share of each channel to drop, in [0, 1], ``[batch, dim]``.
        add: What to write, ``[batch, dim]``.

    Returns:
        New slots, same shape as ``memory``; ``memory`` is not changed.
    """
    where = weights.unsqueeze(-1)
    return memory * (1 - where * erase.unsqueeze(-2)) + where * add.unsqueeze(-2)


def is_compiled(x: Tensor) -> bool:
    """Whether the compiled passes can take ``x``: on a processor, float32."""
    return x.device.type == "cpu" and x.dtype == torch.float32


def masked_softmax(scores: Tensor, real: Tensor, dim: int) -> Tensor:
    """Return the softmax over what is real, 0 elsewhere; all 0 where nothing is.

    Args:
        scores: Any shape.
        real: True where a score counts; broadcast to the scores.
        dim: Dimension to sum over.
    """
    # The least finite number, not -inf: a row without anything real stays a number.
    lowest = torch.finfo(scores.dtype).min
    return torch.softmax(scores.masked_fill(~real, lowest), dim) * real


def split_rows(rows: Tensor, row_dtype: np.dtype[np.void]) -> list[Tensor]:
    """Split stored rows into their fields, in order.

    Args:
        rows: ``[n, row_floats]``.
        row_dtype: Named fields, all float32.

    Returns:
        Each field with its own shape, ``[n, ...]``.
    """
    assert row_dtype.names is not None
    shapes = [row_dtype[name].shape for name in row_dtype.names]
    parts = torch.split(rows, [math.prod(shape) for shape in shapes], -1)
    return [part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]


def weighted_sums(weights: Tensor, keys: Tensor) -> Tensor:
    """Return the sum of the keys by each query's weights, ``[batch, n, D]``.

    Args:
        weights: ``[batch, t, n]``.
        keys: ``[batch, t, D]``.
    """
    sums = torch.bmm(weights.transpose(1, 2), keys)
    if sums.requires_grad:
        # What is concatenated has its gradient scattered, and products of scattered matrices go one
        # by one: thirty times as slow with one candidate a request.
        sums.register_hook(Tensor.contiguous)  # type: ignore[no-untyped-call]
    return sums


class GruCell(nn.Module):
    """Gated recurrent unit of Cho et al. 2014: the reset gate acts before the matrix.

    r, u = sigmoid([x, h] W_gates + b), c = tanh([x, r*h] W_candidate + b), h' = u*h + (1-u)*c.
    TensorFlow's GRUCell is the same function; ``torch.nn.GRUCell`` is another (reset after).

    Args:
        input_dim: Width of x.
        hidden_dim: Width of h.
    """

    def __init__(self, input_dim: int, hidden_dim: int) -> None:
        super().__init__()
        width = input_dim + hidden_dim
        self.gates = nn.Parameter(torch.empty(width, 2 * hidden_dim))
        self.gates_bias = nn.Parameter(torch.zeros(2 * hidden_dim))
        self.candidate = nn.Parameter(torch.empty(width, hidden_dim))
        self.candidate_bias = nn.Parameter(torch.zeros(hidden_dim))
        nn.init.xavier_uniform_(self.gates)
        nn.init.xavier_uniform_(self.candidate)
        with torch.no_grad():
            self.gates_bias.fill_(1.0)

    def forward(self, x: Tensor, hidden: Tensor, attention: Tensor | None = None) -> Tensor:
        """Return the next hidden state, ``[batch, hidden_dim]``.

        Args:
            x: ``[batch, input_dim]``.
            hidden: ``[batch, hidden_dim]``.
            attention: As in the AUGRU of DIEN's published code: the keep gate is multiplied by
                1 - attention, ``[batch, 1]``.
        """
        n = hidden.shape[-1]
        gates = torch.sigmoid(torch.addmm(self.gates_bias, torch.cat((x, hidden), -1), self.gates))
        reset, keep = gates[:, :n], gates[:, n:]
        if attention is not None:
            keep = keep * (1 - attention)
        inner = torch.cat((x, reset * hidden), -1)
        candidate = torch.tanh(torch.addmm(self.candidate_bias, inner, self.candidate))
        return candidate + keep * (hidden - candidate)


class Dice(nn.Module):
    """Data-adaptive activation of Zhou et al. 2018 (DIN), eq 3: p*s + (1-p)*alpha*s.

    p = sigmoid((s - mean) / sqrt(var + 1e-8)), with the batch's population statistics while
    training and their moving averages afterwards, so that a score never depends on its batch.

    Args:
        dim: Channels.
        momentum: Share of the new batch in the moving averages; not in the paper.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, dim: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(dim))
        #: Share of a batch in the moving averages; 1 / k at the k-th batch makes a plain mean.
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("variance", torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation, same shape as ``x`` (``[batch, dim]``)."""
        if self.training and is_compiled(x):
            activation, mean, variance = dice_in_training(x, self.alpha, DICE_EPSILON)
            self._follow(mean, variance)
            return activation
        mean, variance = self.mean, self.variance
        if self.training:
            variance, mean = torch.var_mean(x, dim=0, correction=0)
            self._follow(mean, variance)
        p = torch.sigmoid((x - mean) * torch.rsqrt(variance + DICE_EPSILON))
        return x * (p + (1 - p) * self.alpha)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the moving averages towards the statistics of a batch."""
        with torch.no_grad():
            self.mean.lerp_(mean, self.momentum)
            self.variance.lerp_(variance, self.momentum)


class Perceptron(nn.Sequential):
    """Fully connected layers with Dice or PReLU between them, ending in one logit.

    Args:
        input_dim: Width of the input.
        hidden: Widths of the hidden layers.
        activation: ``dice`` (with moving statistics) or ``prelu`` (one slope a channel, 0.1).
        dropout: Share of the hidden units left out in training.
    """

    def __init__(
        self,
        input_dim: int,
        hidden: tuple[int, ...],
        activation: str = "dice",
        dropout: float = 0.0,
    ) -> None:
        layers: list[nn.Module] = []
        for width in hidden:
            layers.append(nn.Linear(input_dim, width))
            layers.append(Dice(width) if activation == "dice" else nn.PReLU(width, init=0.1))
            if dropout:
                layers.append(nn.Dropout(dropout))
            input_dim = width
        layers.append(nn.Linear(input_dim, 1))
        super().__init__(*layers)


def relu_layers(input_dim: int, hidden: tuple[int, ...]) -> nn.Sequential:
    """Return fully connected layers of these widths with relu after each."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(input_dim, width), nn.ReLU()]
        input_dim = width
    return nn.Sequential(*layers)
