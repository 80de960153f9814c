"""The recurrent comparison model of the MIMN paper's experiments, named after GRU4Rec.

The network that the MIMN repository compares with: candidate, sum of the behaviors, and the final
state of a GRU over them. It is not the session model of Hidasi et al. 2016, which scores all items
at once and has a loss over sessions.

The candidate joins in the composition. Differs from published code: the GRU is that of DIEN's
paper (``recurrent.GatedLayer``), not TensorFlow's; padding is left out of the sum.
"""

from dataclasses import dataclass

import torch

from models.pooling import sum_of_newest
from models.reading import Reader, ReaderInputs, Reading, Seen
from models.recurrent import GatedLayer, walk_behaviors
from models.value_ranges import Count


@dataclass(frozen=True)
class Gru4RecConfig:
    """Sizes of the model.

    Attributes:
        hidden_dim: Width of the state.
    """

    hidden_dim: Count = 32


class Gru4RecReader(Reader):
    """Sum of the newest behaviors and the state after the newest one; the same to all candidates.

    Args:
        config: Sizes.
        inputs: What the composition offers.
    """

    def __init__(self, config: Gru4RecConfig, inputs: ReaderInputs) -> None:
        super().__init__()
        self.length = inputs.history_length
        self.layer = GatedLayer(inputs.dim, config.hidden_dim)
        self._interest_dim = inputs.dim + config.hidden_dim

    @property
    def interest_dim(self) -> int:
        """Width of the sum and of the state."""
        return self._interest_dim

    def forward(self, seen: Seen) -> Reading:
        """Walk the behaviors."""
        walked = walk_behaviors(self.layer, seen, 1)
        final = walked.newest.squeeze(1) * walked.real
        interest = torch.cat((sum_of_newest(seen.behaviors, self.length), final), -1)
        return Reading(interest.unsqueeze(1).expand(-1, seen.candidates.shape[1], -1))
