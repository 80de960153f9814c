"""Biases and factors of user, item, category and past behaviors, added to a click's logit.

Of the user's id: a matrix factorisation with biases (Koren, Bell, Volinsky 2009),
``b_u + b_i + b_c + p_u . (q_i + q_c)``. Of the behaviors, by option: SVD++ (Koren 2008, eq 15) and
what its Asymmetric-SVD (eq 14) does with explicit feedback, so that a user is described by what it
did as well as by what it is called:

* factors: ``|N|^-1/2 sum_j (scale_k * (y_j + y_c) + shift_k)`` stands beside ``p_u``; k is the type
  of behavior j. Eq 14 multiplies ``y_j`` by how much better than expected j was rated; here the
  multiplier is learned for each type and factor.
* bias: ``b_u`` is joined by means of ``level_k + d_j + d_c``, how much the type of behavior j says
  beyond what j's own id makes one expect. A mean of the newest few behaviors, of some dozens, and
  of all (weights halved every 10, 50, 400 behaviors), each shrunk towards 0 when there are few;
  half-lives and shrinkage are of no paper.

It is not part of the papers of the readers that it stands beside.
"""

import torch
from torch import Tensor, nn

from models.id_table import IdTable
from models.layers import weighted_sums
from models.request_rows import BehaviorRows
from models.vocabulary import TableRows

_STD = 0.03
#: Behaviors by which a weight is halved, and so many behaviors of a level 0 beside the real ones.
_HALF_LIVES = (10.0, 50.0, 400.0)
_SHRINKAGE = (3.0, 6.0, 10.0)


class Factorisation(nn.Module):
    """The factors of all ids; the first number of a row is its bias.

    Args:
        rows: Rows of the tables, unknown rows included.
        dim: Width of the factors.
        past: The part of the behaviors, None for none.
    """

    def __init__(self, rows: TableRows, dim: int, past: "PastFactors | None" = None) -> None:
        super().__init__()
        self.items = _factors(rows.items, dim)
        self.categories = _factors(rows.categories, dim)
        self.users = _factors(rows.users, dim)
        self.past = past

    def forward(
        self, users: Tensor, items: Tensor, categories: Tensor, behaviors: BehaviorRows
    ) -> Tensor:
        """Return what is added to the logits, ``[s, n]``.

        Args:
            users: Rows, ``[s]``.
            items: Rows of the candidates, ``[s, n]``.
            categories: Likewise.
            behaviors: Of the users, ``[s, t]``.
        """
        user = self.users(users)
        if self.past is not None:
            user = user + self.past(behaviors)
        shown = self.items(items) + self.categories(categories)
        products = torch.bmm(shown[..., 1:], user[:, 1:].unsqueeze(-1)).squeeze(-1)
        added: Tensor = shown[..., 0] + user[:, :1] + products
        return added


class PastFactors(nn.Module):
    """Bias and factors of users by what they did.

    Args:
        rows: Rows of the tables, unknown rows included.
        dim: Width of the factors.
        n_types: Event types, 0 when none are told apart.
    """

    half_lives: Tensor
    shrinkage: Tensor

    def __init__(self, rows: TableRows, dim: int, n_types: int) -> None:
        super().__init__()
        self.items = _factors(rows.items, dim)
        self.categories = _factors(rows.categories, dim)
        self.n_types = n_types
        self.level = nn.Parameter(torch.zeros(n_types + 1))
        self.scale = nn.Parameter(torch.ones(n_types + 1, dim))
        self.shift = nn.Parameter(torch.zeros(n_types + 1, dim))
        self.shares = nn.Parameter(torch.full((len(_HALF_LIVES),), 1.0 / len(_HALF_LIVES)))
        self.register_buffer("half_lives", torch.tensor(_HALF_LIVES), persistent=False)
        self.register_buffer("shrinkage", torch.tensor(_SHRINKAGE), persistent=False)

    def forward(self, behaviors: BehaviorRows) -> Tensor:
        """Return bias and factors, ``[s, 1 + dim]``; zeros without a behavior."""
        done = self.items(behaviors.items) + self.categories(behaviors.categories)
        types = behaviors.types if self.n_types else torch.zeros_like(behaviors.types)
        real = behaviors.mask.to(done.dtype)
        kinds = nn.functional.one_hot(types, self.n_types + 1).to(done.dtype)
        kinds = kinds * real.unsqueeze(-1)  # [s, t, k]
        sums = weighted_sums(kinds, done[..., 1:].contiguous())  # [s, k, dim]
        total = (sums * self.scale).sum(1) + kinds.sum(1) @ self.shift
        n = real.sum(1, keepdim=True)
        factors = total / n.clamp_min(1).sqrt()
        return torch.cat((self._bias(done[..., 0] + self.level[types], real, n), factors), -1)

    def _bias(self, levels: Tensor, real: Tensor, n: Tensor) -> Tensor:
        """Return the bias, ``[s, 1]``.

        Args:
            levels: Of the behaviors, ``[s, t]``.
            real: 1 where there is a behavior, ``[s, t]``.
            n: Behaviors, ``[s, 1]``.
        """
        newer = (n - 1 - torch.arange(real.shape[1], device=real.device)).clamp_min(0)
        weights = torch.exp2(-newer.unsqueeze(-1) / self.half_lives) * real.unsqueeze(-1)
        sums = (weights * levels.unsqueeze(-1)).sum(1)  # [s, 3]
        return (sums / (weights.sum(1) + self.shrinkage)) @ self.shares.unsqueeze(-1)


def _factors(n_rows: int, dim: int) -> IdTable:
    """Return the factors of ids of one kind, with biases of 0."""
    table = IdTable(n_rows, 1 + dim, _STD)
    with torch.no_grad():
        table.weight[:, 0] = 0.0
    return table
