"""The gated layers of DIEN (Zhou et al., AAAI 2019), and the walk of a user's behaviors.

Paper symbols: u ``update``, r ``reset``, c ``candidate`` (eq 2-5), a the attention (``share``),
i_t the inputs x, h_t the ``states``:

    u = sigmoid(x Wu + h Uu + bu), r = sigmoid(x Wr + h Ur + br), c = tanh(x Wh + r * (h Uh) + bh)
    GRU: h' = (1 - u) h + u c; AGRU: h' = (1 - a) h + a c; AUGRU: h' = (1 - a u) h + a u c.

The reset gate acts after the matrix and u is the share of the new, as the paper prints it; the
cells of its published code are others (``layers.GruCell``). One layer is all three: the update gate
is multiplied by a share, which is a in an AUGRU and 1 in a GRU; an AGRU has no update gate. A share
of 0 leaves h as it is, to the last bit, which is how padding is passed over. Differs from the paper
in nothing else.

The steps are not left to autograd, which keeps and revisits every intermediate result: the way back
is written by hand, and on a processor the parts between the products are compiled.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from models import recurrent_kernels
from models.layers import is_compiled
from models.reading import Seen

#: With more rows than a tile of candidates has, products of matrices are the faster way.
_FEW_ROWS = 128


class _Weights(NamedTuple):
    """Weights of a layer; G is 3 H, 2 H without an update gate."""

    of_input: Tensor  # [D, G] candidate, reset, update
    bias: Tensor  # [G] like them
    of_hidden: Tensor  # [H, G] reset, update, candidate


class GatedLayer(nn.Module):
    """GRU, AGRU and AUGRU in the paper's form.

    Args:
        input_dim: Width D of the inputs.
        hidden_dim: Width H of the states.
        update_gate: False for an AGRU.
    """

    def __init__(self, input_dim: int, hidden_dim: int, update_gate: bool = True) -> None:
        super().__init__()
        columns = (3 if update_gate else 2) * hidden_dim
        self.of_input = nn.Parameter(torch.empty(input_dim, columns))
        self.bias = nn.Parameter(torch.empty(columns))
        self.of_hidden = nn.Parameter(torch.empty(hidden_dim, columns))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden_dim**-0.5), hidden_dim**-0.5)

    def forward(self, x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """Walk the inputs from a state of zeros.

        Args:
            x: ``[s, t, D]``.
            share: Factor of the update gate, of each of ``n`` states that walk the same inputs;
                0 where there is no input, ``[s, t, n]``.

        Returns:
            All states, ``[t, s * n, H]``, and the last ones, ``[s, n, H]``.
        """
        weights = _Weights(self.of_input, self.bias, self.of_hidden)
        # [t, s * n]
        by_step = share.transpose(0, 1).flatten(1).contiguous()
        if torch.is_grad_enabled():
            states, last = _Walk.apply(x, by_step, *weights)
        else:
            few = is_compiled(x) and by_step.shape[1] <= _FEW_ROWS
            walked = (_walk_few if few else _walk)(x, by_step, weights)
            states, last = walked[1:], walked[-1]
        return states, last.view(share.shape[0], share.shape[2], -1)


def _walk(x: Tensor, share: Tensor, weights: _Weights, kept: Tensor | None = None) -> Tensor:
    """Return the states before and after every step, ``[t + 1, s * n, H]``.

    Args:
        x: ``[s, t, D]``.
        share: ``[t, s * n]``.
        weights: Of the layer.
        kept: Filled with what the way back needs, ``[t, s * n, G + H]``; None for no way back.
    """
    n_steps, n_rows = share.shape
    width, columns = weights.of_hidden.shape
    states = x.new_empty(n_steps + 1, n_rows, width)
    states[0] = 0
    given, driven = x.new_empty(len(x), columns), x.new_empty(n_rows, columns)
    if kept is None:
        kept = x.new_empty(1, n_rows, columns + width)
    advance = _compiled_advance if is_compiled(x) else _advance
    for t in range(n_steps):
        torch.addmm(weights.bias, x[:, t], weights.of_input, out=given)
        torch.mm(states[t], weights.of_hidden, out=driven)
        advance(given, driven, share[t], states[t], kept[t % len(kept)], states[t + 1])
    return states


def _walk_few(x: Tensor, share: Tensor, weights: _Weights) -> Tensor:
    """``_walk`` without a way back, for few rows."""
    given = torch.addmm(weights.bias, x.transpose(0, 1).flatten(0, 1), weights.of_input)
    given = given.view(share.shape[0], len(x), -1)
    states = x.new_zeros(share.shape[0] + 1, share.shape[1], len(weights.of_hidden))
    arrays = (given, share, weights.of_hidden.detach(), states)
    recurrent_kernels.walk_rows(*(tensor.numpy() for tensor in arrays))
    return states


class _Walk(torch.autograd.Function):
    """``_walk`` with its gradient: all states, and the last ones apart from them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, share: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
        named = _Weights(*weights)
        width, columns = named.of_hidden.shape
        kept = x.new_empty(*share.shape, columns + width)
        states = _walk(x, share, named, kept)
        ctx.save_for_backward(x, share, *weights, kept, states)
        ctx.set_materialize_grads(value=False)
        return states[1:], states[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_states: Tensor | None, of_last: Tensor | None) -> Any:
        x, share, of_input, bias, of_hidden, kept, states = ctx.saved_tensors
        s, width = len(x), states.shape[2]
        columns = len(bias)
        gradient = torch.zeros_like(states[0])
        if of_last is not None:
            gradient += of_last
        moved, of_share = torch.empty_like(kept[0]), torch.empty_like(share)
        of_x = torch.empty_like(x, memory_format=torch.contiguous_format)
        of_weights = [torch.zeros_like(one) for one in (of_input, bias, of_hidden)]
        back = (of_input.T.contiguous(), of_hidden.T.contiguous())
        retreat = _compiled_retreat if is_compiled(x) else _retreat
        for t in range(len(share) - 1, -1, -1):
            if of_states is not None:
                gradient += of_states[t]
            retreat(states[t], share[t], kept[t], gradient, moved, of_share[t])
            through_hidden, through_input = moved[:, width:], moved[:, :columns]
            if len(moved) != s:
                through_input = through_input.view(s, -1, columns).sum(1)
            gradient.addmm_(through_hidden, back[1])
            of_weights[0].addmm_(x[:, t].T, through_input)
            of_weights[1].add_(through_input.sum(0))
            of_weights[2].addmm_(states[t].T, through_hidden)
            torch.mm(through_input, back[0], out=of_x[:, t])
        return of_x, of_share, *of_weights


def _compiled_advance(*tensors: Tensor) -> None:
    recurrent_kernels.advance(*(tensor.detach().numpy() for tensor in tensors))


def _compiled_retreat(*tensors: Tensor) -> None:
    recurrent_kernels.retreat(*(tensor.detach().numpy() for tensor in tensors))


def _advance(
    given: Tensor, driven: Tensor, share: Tensor, hidden: Tensor, kept: Tensor, following: Tensor
) -> None:
    """``recurrent_kernels.advance`` by torch: for other processors and for float64."""
    width = hidden.shape[1]
    given = given.repeat_interleave(len(hidden) // len(given), 0)
    gates = torch.sigmoid(given[:, width:] + driven[:, :-width])
    inner = driven[:, -width:]
    candidate = torch.tanh(given[:, :width] + gates[:, :width] * inner)
    step = share.unsqueeze(1).expand_as(hidden)
    if gates.shape[1] > width:
        step = step * gates[:, width:]
    torch.cat((candidate, gates, inner), 1, out=kept)
    torch.lerp(hidden, candidate, step, out=following)


def _retreat(
    hidden: Tensor, share: Tensor, kept: Tensor, gradient: Tensor, moved: Tensor, of_share: Tensor
) -> None:
    """``recurrent_kernels.retreat`` by torch."""
    candidate, reset, *update, inner = torch.split(kept, hidden.shape[1], 1)
    step = share.unsqueeze(1)
    of_step = gradient * (candidate - hidden)
    of_gates = []
    for gate in update:
        of_gates.append(of_step * step * gate * (1 - gate))
        of_step, step = of_step * gate, step * gate
    of_candidate = gradient * step * (1 - candidate * candidate)
    of_reset = of_candidate * inner * reset * (1 - reset)
    torch.cat((of_candidate, of_reset, *of_gates, of_candidate * reset), 1, out=moved)
    torch.sum(of_step, 1, out=of_share)
    gradient *= 1 - step


class Walked(NamedTuple):
    """States of a walk, and where a request's newest behaviors stand in it.

    Attributes:
        states: ``[l, u, H]``, step by step.
        place: Of each behavior attended to, in the states of all steps, ``[s, T]``.
        column: Of each in ``Seen.behaviors``, 0 where there is none, ``[s, T]``.
        real: True where there is a behavior, ``[s, T]``.
    """

    states: Tensor
    place: Tensor
    column: Tensor
    real: Tensor

    @property
    def newest(self) -> Tensor:
        """The states after the newest behaviors, oldest first, ``[s, T, H]``."""
        return nn.functional.embedding(self.place, self.states.flatten(0, 1))


def walk_behaviors(layer: GatedLayer, seen: Seen, length: int) -> Walked:
    """Walk the behaviors, those that requests share once; find the newest of each request.

    Args:
        layer: What walks.
        seen: The requests.
        length: At most so many behaviors of a request.
    """
    walked = seen.behaviors if seen.walk is None else seen.walk
    states, _ = layer(walked.keys, walked.mask.unsqueeze(-1).to(walked.keys.dtype))
    n_walks, n_steps = walked.mask.shape
    lengths = seen.behaviors.mask.sum(1, keepdim=True)
    n_newest = min(length, seen.behaviors.mask.shape[1])
    column = (lengths - n_newest).clamp_min(0) + torch.arange(n_newest, device=lengths.device)
    real = column < lengths
    column = column * real
    if seen.walk_at is None:
        row, step = torch.arange(n_walks, device=column.device).unsqueeze(1), column
    else:
        at = seen.walk_at.gather(1, column)
        row, step = at // n_steps, at % n_steps
    return Walked(states, step * n_walks + row, column, real)
