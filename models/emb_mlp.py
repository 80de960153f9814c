"""Embedding & MLP: the base model that DIN is compared with (Zhou et al., KDD 2018, section 4.2).

Behaviors are pooled to one vector of fixed length, the same to all candidates; the MLP of the
composition reads it beside the candidate. The paper pools by a sum or an average, published code by
a sum; ours is the mean by default: nothing normalises the input of the MLP, and sums of long
histories drown the rest of it. Behaviors are embedded as everywhere in the composition, with their
event types, which the paper does not have. Padding is left out; without behaviors the vector is
zeros.
"""

from dataclasses import dataclass

from models.pooling import Pooling, pooled
from models.reading import Reader, ReaderInputs, Reading, Seen


@dataclass(frozen=True)
class EmbMlpConfig:
    """Form of the model.

    Attributes:
        pooling: ``sum`` or ``mean`` of the behaviors.
    """

    pooling: Pooling = "mean"


class EmbMlpReader(Reader):
    """The pooled behaviors; the same to all candidates.

    Args:
        config: Form.
        inputs: What the composition offers.
    """

    def __init__(self, config: EmbMlpConfig, inputs: ReaderInputs) -> None:
        super().__init__()
        self.pooling = config.pooling
        self._dim = inputs.dim

    @property
    def interest_dim(self) -> int:
        """Width D of a behavior."""
        return self._dim

    def forward(self, seen: Seen) -> Reading:
        """Pool the behaviors."""
        pool = pooled(seen.behaviors, self.pooling).unsqueeze(1)
        return Reading(pool.expand(-1, seen.candidates.shape[1], -1))
