"""Wide & Deep (Cheng et al. 2016), with the inputs that the DIN and DIEN repositories give it.

Paper symbols: x ``request``, candidate and pooled behaviors; phi(x) the crossings; w_wide ``wide``.
P = sigmoid(w_wide^T [x, phi(x)] + w_deep^T a + b): the wide part is linear and is added to the
logit, the deep part is the composition's MLP, which reads the pooled behaviors.

* Inputs of the wide part as in the DIEN and DEI2N repositories: user and context, candidate,
  pooled behaviors, and the product of the last two. Each repository has a part of them. They pool
  by a sum, see ``models/emb_mlp.py``.
* They are the embeddings that the deep part has too, as in those repositories. A linear function of
  an embedding is a weight of its id; the paper gives an id a weight that nothing else shares.
* Cross-product transformations (eq 1): whether candidate and some behavior are of the same item,
  and of the same category; unknown ones are the same as nothing. The paper has a weight for each
  pair of ids; ours is one for all pairs of equal ones. Published code has none.
* One optimiser for both parts; the paper has FTRL for the wide part and AdaGrad for the deep one.

The trigger is an input of the MLP, by the composition: that is the W&D+TR of the DEI2N paper.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.pooling import Pooling, pooled
from models.reading import Reader, ReaderInputs, Reading, Seen

_N_CROSSINGS = 2  # of item, of category


@dataclass(frozen=True)
class WideDeepConfig:
    """Parts of the model.

    Attributes:
        pooling: ``sum`` or ``mean`` of the behaviors.
        crossings: Whether the wide part has the cross-product transformations.
    """

    pooling: Pooling = "mean"
    crossings: bool = True


class WideDeepReader(Reader):
    """The pooled behaviors for the deep part, and the logits of the wide part.

    Args:
        config: Parts.
        inputs: What the composition offers.
    """

    def __init__(self, config: WideDeepConfig, inputs: ReaderInputs) -> None:
        super().__init__()
        self.pooling = config.pooling
        self.compares = config.crossings
        crossings = _N_CROSSINGS if config.crossings else 0
        #: Parts of the wide part's input: request, candidate, behaviors, product, crossings.
        self.widths = [inputs.request_dim, inputs.dim, inputs.dim, inputs.dim, crossings]
        self.wide = nn.Linear(sum(self.widths), 1, bias=False)  # the MLP has the bias

    @property
    def interest_dim(self) -> int:
        """Width D of a behavior."""
        return self.widths[1]

    def forward(self, seen: Seen) -> Reading:
        """Pool the behaviors and add up the wide part."""
        pool = pooled(seen.behaviors, self.pooling)
        interest = pool.unsqueeze(1).expand(-1, seen.candidates.shape[1], -1)
        return Reading(interest, logits=self._wide(seen, pool))

    def _wide(self, seen: Seen, pool: Tensor) -> Tensor:
        """Return w_wide^T [x, phi(x)], ``[s, n]``."""
        parts = torch.split(self.wide.weight.squeeze(0), self.widths)
        of_request, of_candidate, of_pool, of_product, of_crossings = parts
        shared = seen.request @ of_request + pool @ of_pool  # [s]
        # c w_c + (c * p) w_p = c (w_c + p * w_p): one vector a request.
        direction = of_candidate + pool * of_product  # [s, D]
        wide = (seen.candidates * direction.unsqueeze(1)).sum(-1) + shared.unsqueeze(1)
        if self.compares:
            real = seen.behaviors.mask[:, :, None, None]
            wide = wide + (seen.same * real).amax(1) @ of_crossings
        return wide
