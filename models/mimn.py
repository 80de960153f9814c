"""MIMN: multi-channel user interest memory network (Pi et al., KDD 2019), the module that trains.

Paper symbols: x_t event (``event``), h controller (``hidden``), k_r/k_w keys, e_t ``erase``, a_t
``add``, M_t ``memory``, w_r/w_w ``read``/``write`` weights, g_t sum of the write weights,
W_g ``transfer``, P_t transfer matrix, w~ rebalanced weights, S_t ``channels``, m slots of width D.

One event:
    h = GRU([x, r_{t-1}], h);  (k_r, k_w, e, a) = h W + b, e = sigmoid, a = tanh
    w = softmax(cos(k, M_{t-1}))                      eq 1-2
    r_t = w_r M_{t-1}                                 eq 3
    w~ = w_w P, P_ij = softmax_j(W_g[i][j] . g')      eq 5-7
    M_t = (1 - w~ x e) M_{t-1} + w~ x a               eq 4
    S_i = GRU([x, M_t(i)], S_i) for the k largest w_r eq 9

Where the paper leaves a choice, and what is not in it:
  * P: the printed equation is read as a row-stochastic matrix, so that a write keeps its mass. The
    elementwise readings are options (``MimnConfig.utilisation``).
  * g enters P as g / max(1, sum g): the plain sum saturates the softmax after some tens of events.
    It is the sum over the earlier events; the event's own w~ depends on it.
  * tanh on the added vector, GRU in the form of Cho et al. 2014, a learned first memory, zero first
    controller, read and channels.
  * W_g starts so that slot j takes about twice the mass of slot j + 1, and the erase gate starts
    low. Without this the paper's form collapses: a softmax of plain cosines is nearly flat, so all
    slots are written alike, become equal within tens of events, and the choice of the top channel
    is rounding noise. Slots of unequal rate hold the recent and the long past instead. Eq 8 pulls
    towards equal use and is therefore weighted lightly.
  * A candidate reads as in the published code: one controller step on it, nothing stored. The
    channels are attended by the candidate with the unit of DIN and a softmax.
  * Beside the vector read and the attended channel stands the product of that vector and the
    candidate.
  * Eq 8 is taken of the mean use of the slots, not of its sum, which grows with the history; its
    gradient, like every other, reaches back one window of events (``models/training.py``).
Published code differs from the paper and is not followed: key memory shared by all users, learned
addressing strength, shift and sharpening instead of P, channels from the old memory and all but one
of them lost, events of padding. Ties of w_r go to the lowest slot.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.din import ActivationUnit
from models.layers import GruCell, cosine_similarity, erase_add, split_rows
from models.mimn_state import MimnConfig, Utilisation

_DIAGONAL = 1.0
_SHARE_RATIO = 2.0
_ERASE_BIAS = -2.0
_CHANNEL_ATTENTION = (32, 16)


class MimnState(NamedTuple):
    """Memories of a batch of users; ``usage`` is the mean of w~, g is ``usage * n_events``."""

    memory: Tensor  # [batch, m, D]
    hidden: Tensor  # [batch, H]
    read: Tensor  # [batch, D]
    channels: Tensor  # [batch, m, C]
    usage: Tensor  # [batch, m]
    n_events: Tensor  # [batch]


def utilise(write: Tensor, g: Tensor, transfer: Tensor, form: Utilisation) -> Tensor:
    """Rebalance write weights by how much each slot was used (eq 6-7).

    Args:
        write: Write weights, ``[batch, m]``.
        g: Use of the slots as it enters the softmax, ``[batch, m]``.
        transfer: W_g, ``[m, m, m]``; ``[m, 1, m]`` for the elementwise forms.
        form: Reading of the equation.

    Returns:
        w~, ``[batch, m]``; its sum is that of ``write`` except in the plain elementwise form.
    """
    if form == "off":
        return write
    m = write.shape[-1]
    if form == "transfer_matrix":
        matrix = torch.softmax((g @ transfer.view(m * m, m).T).view(-1, m, m), -1)
        return torch.bmm(write.unsqueeze(1), matrix).squeeze(1)
    scaled = write * torch.softmax(g @ transfer.view(m, m).T, -1)
    if form == "elementwise":
        return scaled
    return scaled / scaled.sum(-1, keepdim=True)


def utilisation_loss(g: Tensor, rate: float) -> Tensor:
    """Regulariser of eq 8, mean over users: rate * sum_i (g_i - mean_i g)^2, ``g [batch, m]``."""
    return rate * (g - g.mean(-1, keepdim=True)).square().sum(-1).mean()


class Mimn(nn.Module):
    """The memory model; ``models/mimn_scan.py`` runs the same weights one event at a time.

    Args:
        config: Sizes.
    """

    #: Weight of ``regulariser`` in training, where none is given.
    default_penalty = 0.001

    def __init__(self, config: MimnConfig) -> None:
        super().__init__()
        self.config = config
        d, m = config.slot_dim, config.n_slots
        self.controller = GruCell(2 * d, config.controller_dim)
        self.heads = nn.Parameter(torch.empty(config.controller_dim, 4 * d))
        self.heads_bias = nn.Parameter(torch.zeros(4 * d))
        self.channels = GruCell(2 * d, config.channel_dim)
        width = m if config.utilisation == "transfer_matrix" else 1
        self.transfer = nn.Parameter(torch.zeros(m, width, m))
        self.initial_memory = nn.Parameter(torch.randn(m, d) * 0.5)
        self.query = nn.Linear(d, config.channel_dim, bias=False)
        self.channel_attention = ActivationUnit(config.channel_dim, _CHANNEL_ATTENTION, "softmax")
        nn.init.xavier_uniform_(self.heads)
        with torch.no_grad():
            self.heads_bias[2 * d : 3 * d] = _ERASE_BIAS
            shares = -math.log(_SHARE_RATIO) * torch.arange(m)
            if width == m:
                # The entries of g sum to 1, so equal entries over k are a plain logit.
                self.transfer.add_((shares + _DIAGONAL * torch.eye(m)).unsqueeze(-1))
            else:
                self.transfer.add_(shares.view(m, 1, 1))

    def initial_state(self, n_users: int) -> MimnState:
        """Return the state of users without events."""
        config = self.config
        zeros = self.heads.new_zeros
        return MimnState(
            self.initial_memory.expand(n_users, -1, -1),
            zeros(n_users, config.controller_dim),
            zeros(n_users, config.slot_dim),
            zeros(n_users, config.n_slots, config.channel_dim),
            zeros(n_users, config.n_slots),
            zeros(n_users),
        )

    def state_of(self, rows: Tensor) -> MimnState:
        """Split stored rows ``[batch, row_floats]`` into their fields."""
        return MimnState(*split_rows(rows, self.config.row_dtype))

    def fresh_where(self, fresh: Tensor, state: MimnState) -> MimnState:
        """Return the state with the learned first memory where ``fresh [batch]``: it trains."""
        memory = torch.where(fresh[:, None, None], self.initial_memory, state.memory)
        return state._replace(memory=memory)

    def step(self, state: MimnState, event: Tensor) -> MimnState:
        """Move every user of the batch by one event, ``[batch, D]``."""
        d = self.config.slot_dim
        hidden = self.controller(torch.cat((event, state.read), -1), state.hidden)
        heads = torch.addmm(self.heads_bias, hidden, self.heads)
        keys = heads[:, : 2 * d].view(-1, 2, d)
        weights = torch.softmax(cosine_similarity(keys, state.memory), -1)
        read, write = weights[:, 0], weights[:, 1]
        vector = torch.bmm(read.unsqueeze(1), state.memory).squeeze(1)
        count = state.n_events.unsqueeze(-1)
        g = state.usage * (count / (count * state.usage.sum(-1, keepdim=True)).clamp_min(1.0))
        final = utilise(write, g, self.transfer, self.config.utilisation)
        memory = erase_add(
            state.memory,
            final,
            torch.sigmoid(heads[:, 2 * d : 3 * d]),
            torch.tanh(heads[:, 3 * d :]),
        )
        usage = state.usage + (final - state.usage) / (count + 1)
        channels = self.induce(state.channels, memory, event, read)
        return MimnState(memory, hidden, vector, channels, usage, state.n_events + 1)

    def induce(self, channels: Tensor, memory: Tensor, event: Tensor, read: Tensor) -> Tensor:
        """Move the channels of the most read slots on the new memory (eq 9)."""
        for index in top_slots(read, self.config.n_top_channels):
            row = torch.arange(len(index), device=index.device)
            moved = self.channels(torch.cat((event, memory[row, index]), -1), channels[row, index])
            chosen = nn.functional.one_hot(index, channels.shape[1]).to(channels.dtype)
            channels = channels + chosen.unsqueeze(-1) * (moved - channels[row, index]).unsqueeze(1)
        return channels

    def read(self, state: MimnState, candidates: Tensor) -> Tensor:
        """Read each user's memory by its candidates, ``[batch, n, D]`` both ways."""
        return torch.bmm(self.read_weights(state, candidates), state.memory)

    def read_weights(self, state: MimnState, candidates: Tensor) -> Tensor:
        """Return the share that each candidate reads of each slot, ``[batch, n, n_slots]``."""
        d = self.config.slot_dim
        batch, n, _ = candidates.shape
        last_read = state.read.unsqueeze(1).expand(-1, n, -1)
        hidden = state.hidden.unsqueeze(1).expand(-1, n, -1).reshape(batch * n, -1)
        hidden = self.controller(torch.cat((candidates, last_read), -1).flatten(0, 1), hidden)
        keys = torch.addmm(self.heads_bias[:d], hidden, self.heads[:, :d]).view(batch, n, d)
        return torch.softmax(cosine_similarity(keys, state.memory), -1)

    def regulariser(self, state: MimnState, rate: float) -> Tensor:
        """Return eq 8 on the mean use of the slots: lambda is ``rate / n_events**2``."""
        return utilisation_loss(state.usage, rate)

    @property
    def interest_dim(self) -> int:
        """Width of what ``interest`` returns."""
        return 2 * self.config.slot_dim + self.config.channel_dim

    def interest(self, state: MimnState, candidates: Tensor) -> Tensor:
        """Return what each candidate ``[batch, n, D]`` finds, ``[batch, n, interest_dim]``."""
        vector = self.read(state, candidates)
        live = torch.ones(state.channels.shape[:2], dtype=torch.bool, device=vector.device)
        channel = self.channel_attention(self.query(candidates), state.channels, live)
        return torch.cat((vector, vector * candidates, channel), -1)


def top_slots(read: Tensor, n_top: int) -> list[Tensor]:
    """Return the indices of the ``n_top`` largest weights, largest first; ties: lowest slot."""
    order = torch.sort(read.detach(), dim=-1, descending=True, stable=True).indices
    return [order[:, k] for k in range(n_top)]
