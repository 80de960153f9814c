"""HPMN: hierarchical periodic memory network (Ren et al., SIGIR 2019), the module that trains.

Written from the published code, its README and the paper's abstract; the paper's equations were not
at hand. Symbols of the code: x_t event (``event``), memory slots m_1 .. m_k (``slots``) of width H,
li products of which are the ``periods``, q ``query``, H map ``hop_map``.

One event, the i-th of its user:
    m_j = GRU_j(m_{j-1}, m_j) for every slot j with i mod period_j = 0, in order, m_0 = x_i
A read of a candidate:
    q = v W + b;  then for each hop: a_j = softmax_j(MLP([q, m_j, q - m_j, q * m_j])),
    q <- q H + sum_j a_j m_j
    with an MLP of its own for each hop and one H for all.
Regulariser: covariance of the slots over their H values, off the diagonal (``covariance_penalty``).

Where this differs from the published code:
  * The candidate is never in the memory. There it is the last element of the sequence, and because
    lengths are padded to a multiple of all periods it updates every slot.
  * Only real events are processed, from the user's first one on. There zero rows stand in front:
    they move the cells and shift the phase of all periods.
  * The read asks with the candidate; for one data set the published code asks with the last
    behavior.
  * The event is item and category, without the user's id.
  * Slots that were not due yet are zero vectors that take part in the softmax; there the padding
    has updated every slot.
  * The regulariser is the mean over users, not the sum, so that its strength does not grow with the
    batch; ``default_penalty`` is the published rate 1e-5 times the published batch of 128.
  * H starts as the identity, so that a query outlives the hops from the beginning.
  * Beside the last query stands its product with the first one; the candidate itself and what
    follows are the composition's.
  * Periods 1, 2, 4, 8, 16 are those of the published code for its longest histories; it has fewer
    slots for shorter ones. Its attention has hidden layers of 80 and 40; ours, of 32 and 16, costs
    a request a quarter (``hop_hidden``).
A gradient reaches back one window of events (``models/training.py``).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.din import ActivationUnit
from models.hpmn_state import CovarianceForm, HpmnConfig
from models.layers import GruCell, split_rows, weighted_sums


class HpmnState(NamedTuple):
    """Memories of a batch of users; see ``HpmnConfig.row_dtype``."""

    slots: Tensor  # [batch, k, H]
    phase: Tensor  # [batch]
    n_events: Tensor  # [batch]


def covariance_penalty(slots: Tensor, form: CovarianceForm) -> Tensor:
    """Return how much the slots of each user vary together.

    C = Mc Mc^T / H with slots Mc centred over their H values; its diagonal is left out.

    Args:
        slots: ``[batch, k, H]``.
        form: ``norm``: Frobenius norm, as published. ``half_squared``: half its square, which
            fades as the slots part. Where all of C is 0 the norm has no gradient: it is 0 here.

    Returns:
        ``[batch]``.
    """
    centred = slots - slots.mean(-1, keepdim=True)
    covariance = centred @ centred.transpose(-1, -2) / slots.shape[-1]
    off = covariance * (1 - torch.eye(slots.shape[1], dtype=slots.dtype, device=slots.device))
    if form == "norm":
        norms: Tensor = torch.linalg.vector_norm(off, dim=(-2, -1))
        return norms
    return 0.5 * off.square().sum((-2, -1))


class Hpmn(nn.Module):
    """The memory model; ``models/hpmn_scan.py`` runs the same weights one event at a time.

    Args:
        config: Sizes.
    """

    #: Weight of ``regulariser`` in training, where none is given.
    default_penalty = 1e-5 * 128

    def __init__(self, config: HpmnConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.slot_dim
        self.cells = nn.ModuleList(
            GruCell(dim if j else config.event_dim, dim) for j in range(config.n_slots)
        )
        self.query = nn.Linear(config.event_dim, dim)
        self.hop_map = nn.Parameter(torch.eye(dim))
        self.hops = nn.ModuleList(
            ActivationUnit(dim, config.hop_hidden, "softmax", "relu") for _ in range(config.n_hops)
        )

    def initial_state(self, n_users: int) -> HpmnState:
        """Return the state of users without events."""
        zeros = self.hop_map.new_zeros
        slots = zeros(n_users, self.config.n_slots, self.config.slot_dim)
        return HpmnState(slots, zeros(n_users), zeros(n_users))

    def state_of(self, rows: Tensor) -> HpmnState:
        """Split stored rows ``[batch, row_floats]`` into their fields."""
        return HpmnState(*split_rows(rows, self.config.row_dtype))

    def fresh_where(self, fresh: Tensor, state: HpmnState) -> HpmnState:
        """Return the state as it is: a memory begins with zeros, nothing of it is trained."""
        del fresh
        return state

    def step(self, state: HpmnState, event: Tensor) -> HpmnState:
        """Move every user of the batch by one event, ``[batch, D]``."""
        count = state.phase + 1
        slots = list(state.slots.unbind(1))
        due = torch.arange(len(count), device=count.device)
        value = event
        for j, (cell, period) in enumerate(zip(self.cells, self.config.periods, strict=True)):
            if j:
                now = torch.remainder(count[due], period) == 0
                due, value = due[now], value[now]
                if not len(due):
                    # Longer periods are multiples of this one: they are not due either.
                    break
            value = cell(value, slots[j][due])
            slots[j] = slots[j].index_copy(0, due, value)
        phase = torch.remainder(count, self.config.periods[-1])
        return HpmnState(torch.stack(slots, 1), phase, state.n_events + 1)

    def read(self, state: HpmnState, candidates: Tensor) -> Tensor:
        """Read each user's memory by its candidates, ``[batch, n, D]`` to ``[batch, n, H]``."""
        return self._hop(state, self.query(candidates))[0]

    def read_weights(self, state: HpmnState, candidates: Tensor) -> Tensor:
        """Return what each candidate reads of each slot in the last hop, ``[batch, n, slots]``."""
        return self._hop(state, self.query(candidates))[1]

    def _hop(self, state: HpmnState, query: Tensor) -> tuple[Tensor, Tensor]:
        """Return the query after all hops, ``[batch, n, H]`` both ways, and the last weights."""
        slots = state.slots
        live = torch.ones(slots.shape[:2], dtype=torch.bool, device=slots.device)
        weights = slots.new_zeros(*slots.shape[:2], query.shape[1])
        for attend in self.hops:
            assert isinstance(attend, ActivationUnit)
            weights = attend.weights(query, slots, live)
            query = query @ self.hop_map + weighted_sums(weights, slots)
        return query, weights.transpose(1, 2)

    def regulariser(self, state: HpmnState, rate: float) -> Tensor:
        """Return the covariance regulariser, mean over users."""
        return rate * covariance_penalty(state.slots, self.config.covariance).mean()

    @property
    def interest_dim(self) -> int:
        """Width of what ``interest`` returns."""
        return 2 * self.config.slot_dim

    def interest(self, state: HpmnState, candidates: Tensor) -> Tensor:
        """Return what each candidate ``[batch, n, D]`` finds, ``[batch, n, interest_dim]``."""
        query = self.query(candidates)
        found, _ = self._hop(state, query)
        return torch.cat((found, query * found), -1)
