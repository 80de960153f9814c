"""Biases and factors of user, item and category, added to a click's logit.

A matrix factorisation with biases (Koren, Bell, Volinsky 2009), b_u + b_i + b_c + p_u . (q_i +
q_c): what is true of a user or of an item whatever else is known. It is not part of the papers of
the readers that it stands beside.
"""

import torch
from torch import Tensor, nn

from models.id_table import IdTable
from models.vocabulary import TableRows

_STD = 0.03


class Factorisation(nn.Module):
    """The factors of all ids; the first number of a row is its bias.

    Args:
        rows: Rows of the tables, unknown rows included.
        dim: Width of the factors.
    """

    def __init__(self, rows: TableRows, dim: int) -> None:
        super().__init__()
        self.items = IdTable(rows.items, 1 + dim, _STD)
        self.categories = IdTable(rows.categories, 1 + dim, _STD)
        self.users = IdTable(rows.users, 1 + dim, _STD)
        for table in (self.items, self.categories, self.users):
            with torch.no_grad():
                table.weight[:, 0] = 0.0

    def forward(self, users: Tensor, items: Tensor, categories: Tensor) -> Tensor:
        """Return what is added to the logits, ``[s, n]``.

        Args:
            users: Rows, ``[s]``.
            items: Rows of the candidates, ``[s, n]``.
            categories: Likewise.
        """
        user = self.users(users)
        shown = self.items(items) + self.categories(categories)
        products = torch.bmm(shown[..., 1:], user[:, 1:].unsqueeze(-1)).squeeze(-1)
        added: Tensor = shown[..., 0] + user[:, :1] + products
        return added
