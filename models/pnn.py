"""PNN: product-based neural network with inner products, the IPNN of Qu et al. 2016.

Paper symbols: f_i the embedding of field i, z = (f_1, ...) the linear signals, p_ij = <f_i, f_j>
the quadratic ones, W_z and W_p the weights of the product layer. The fields here are item and
category of the candidate, and item and category of the behaviors, pooled.

The reader returns p and the pooled behaviors; the first layer of the composition's MLP, which
multiplies them and the candidate, is the product layer: l_z + l_p + b.

* p is symmetric: each pair counts once, with one weight in place of the paper's two.
* W_p is a full matrix; the paper factorises it, W_p = theta theta^T, to save time with many fields.
* The activation is the composition's, the paper has relu; user, page and what else the composition
  knows are linear signals only, because their embeddings are not as wide as the fields.
* A field of many values is pooled. The mean is ours: the square of a sum over a hundred behaviors
  may be ten thousand times that of one.

What the DIEN and MIMN repositories call PNN has no product layer: it gives their MLP the sum of the
behaviors and its elementwise product with the candidate.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from interest_center.core.errors import ConfigurationError
from models.pooling import Pooling, pooled
from models.reading import Reader, ReaderInputs, Reading, Seen


@dataclass(frozen=True)
class PnnConfig:
    """Form of the model.

    Attributes:
        pooling: ``sum`` or ``mean`` of the behaviors.
    """

    pooling: Pooling = "mean"


class PnnReader(Reader):
    """The pooled behaviors and the inner products of all pairs of fields.

    Args:
        config: Form.
        inputs: What the composition offers.

    Raises:
        ConfigurationError: Items and categories are not embedded equally wide.
    """

    def __init__(self, config: PnnConfig, inputs: ReaderInputs) -> None:
        super().__init__()
        self.pooling = config.pooling
        self._dim, self._field_dim = inputs.dim, inputs.item_dim
        if 2 * inputs.item_dim != inputs.dim:
            widths = f"{inputs.item_dim} and {inputs.dim - inputs.item_dim}"
            raise ConfigurationError(
                f"a pnn multiplies items and categories, which have widths of {widths}",
                hint=f"set category_dim={inputs.item_dim}",
            )

    @property
    def interest_dim(self) -> int:
        """Width of the pooled behaviors and of the products: of 2 + 2 fields, 10 pairs."""
        return self._dim + 10

    def forward(self, seen: Seen) -> Reading:
        """Pool the behaviors and multiply the fields."""
        s, n = seen.candidates.shape[:2]
        pool = pooled(seen.behaviors, self.pooling)
        shown = seen.candidates.view(s, n, 2, self._field_dim)
        done = pool.view(s, 2, self._field_dim)
        # Products of a candidate with what was done, all candidates of a request at once.
        across = torch.bmm(shown.flatten(1, 2), done.transpose(1, 2)).view(s, n, 4)
        shared = torch.cat((pool, _squares(done)), -1).unsqueeze(1).expand(-1, n, -1)
        return Reading(torch.cat((shared, _squares(shown), across), -1))


def _squares(fields: Tensor) -> Tensor:
    """Return the products of two fields with themselves and each other, ``[..., 3]``.

    Args:
        fields: ``[..., 2, width]``.
    """
    first, second = fields.unbind(-2)
    return torch.stack([(a * b).sum(-1) for a, b in (
        (first, first), (first, second), (second, second)
    )], -1)  # fmt: skip
