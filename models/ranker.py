"""Scores of requests: rows in, probabilities out; the same numbers as offline evaluation."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.ctr_model import CtrModel
from models.inputs import RankInputs
from models.request_layout import RequestLayout
from models.vocabulary import Vocabulary


class Ranker:
    """A trained click model behind numpy.

    A candidate's score depends on the request and on that candidate only; what else is scored
    beside it changes no more than the last digits. Candidates of a request that are the same to the
    model (unknown items of one category, say) are scored once, so that their scores are equal to
    the last bit, wherever they stand. Safe to call from several threads.

    Args:
        model: The model, put into evaluation form here.
        vocabulary: Ids of its tables.
    """

    def __init__(self, model: CtrModel, vocabulary: Vocabulary) -> None:
        self.model = model.eval().requires_grad_(requires_grad=False)
        self.vocabulary = vocabulary
        self.row_floats: int = 0 if model.memory is None else model.memory.config.row_floats
        self._layout = RequestLayout(model, vocabulary)

    @property
    def searches(self) -> bool:
        """Whether the model reads sub-sequences of categories."""
        return self.model.reader.searches_trigger or self.model.searches_candidates

    def score(self, inputs: RankInputs) -> NDArray[np.float64]:
        """Return the click probability of each candidate, ``[n_candidates]``.

        Raises:
            ValueError: The memory has another size than this model's.
        """
        return self.score_all([inputs])[0]

    def score_all(self, requests: Sequence[RankInputs]) -> list[NDArray[np.float64]]:
        """Return the click probabilities of several requests, which share the cost of each layer.

        Raises:
            ValueError: The memory of one has another size than this model's.
        """
        asked = [one for one in requests if len(one.candidate_items)]
        if not asked:
            return [np.zeros(0) for _ in requests]
        laid = self._layout.lay_out(asked)
        with torch.inference_mode():
            state, present = self._memories(asked)
            logits = [self.model(tile, state, present).logits for tile in laid.tiles()]
            probabilities = torch.sigmoid(torch.cat(logits).double()).numpy()
        ends = np.cumsum(laid.batch.candidate_mask.numpy().sum(1)).tolist()
        parts = zip(pairwise([0, *ends]), laid.places, strict=True)
        scored = (probabilities[first:end][place] for (first, end), place in parts)
        return [next(scored) if len(one.candidate_items) else np.zeros(0) for one in requests]

    def attended(self, inputs: RankInputs) -> "Attended":
        """Return what each candidate attended to, in the order of the candidates.

        Raises:
            ValueError: The memory has another size than this model's.
        """
        n_seen = self.n_seen(inputs)
        laid = self._layout.lay_out([inputs])
        [place] = laid.places
        with torch.inference_mode():
            state, present = self._memories([inputs])
            seen = [self.model.see(tile) for tile in laid.tiles()]
            attention = [self.model.reader.attention(one) for one in seen]
            reads = None
            if present is not None and bool(present):
                reads = [self.model.memory.read_weights(state, one.candidates) for one in seen]
            follows = self.model.reader.trigger_probability(seen[0])
        behaviors = None
        if attention[0] is not None:
            joined = torch.cat([one for one in attention if one is not None], 2)
            behaviors = joined[0, :n_seen].T.numpy()[place]
        return Attended(
            behaviors,
            None if reads is None else torch.cat(reads, 1)[0].numpy()[place],
            None if follows is None or not inputs.trigger_item else float(follows[0]),
        )

    def wanted_categories(
        self,
        candidate_items: NDArray[np.uint64],
        candidate_categories: NDArray[np.uint64],
        trigger_item: int,
        trigger_category: int,
    ) -> NDArray[np.uint64]:
        """Return the categories whose sub-sequences the model reads, for ``RankInputs``.

        Args:
            candidate_items: As in ``RankInputs``, like the rest.
            candidate_categories: 0 where unknown.
            trigger_item: 0 for none.
            trigger_category: 0 where unknown.
        """
        wanted = [np.zeros(0, np.uint64)]
        if self.model.searches_candidates:
            wanted.append(self.vocabulary.categories_of(candidate_items, candidate_categories))
        if self.model.reader.searches_trigger:
            trigger = np.array([trigger_item], np.uint64), np.array([trigger_category], np.uint64)
            wanted.append(self.vocabulary.categories_of(*trigger))
        categories = np.unique(np.concatenate(wanted))
        return np.asarray(categories[categories != 0])

    def n_seen(self, inputs: RankInputs) -> int:
        """Return how many of the recent behaviors the reader sees, the newest."""
        return min(len(inputs.behavior_items), self._layout.window(inputs))

    def _memories(self, requests: Sequence[RankInputs]) -> tuple[object, torch.Tensor | None]:
        """Return the memories of requests, and which of them may be read, ``[s]``."""
        if self.model.memory is None:
            return None, None
        rows = np.zeros((len(requests), self.row_floats), np.float32)
        for row, inputs in zip(rows, requests, strict=True):
            if inputs.memory is None:
                continue
            if inputs.memory.shape != row.shape:
                raise ValueError(f"memory of shape {inputs.memory.shape}, expected {row.shape}")
            row[:] = inputs.memory
        # A row of zeros has seen no event, and is not read.
        state = self.model.memory.state_of(torch.from_numpy(rows))
        return state, state.n_events > 0


class Attended(NamedTuple):
    """What the candidates of a request attended to.

    Attributes:
        behaviors: Weight of each of the newest behaviors, oldest first, ``[n_candidates, t]``, on a
            scale of the reader's own; None where the reader attends to none.
        slots: Weight of each memory slot, ``[n_candidates, n_slots]``; None without a memory.
        p_trigger: How far the user follows the trigger, p_tr of DEI2N; None where nobody says it.
    """

    behaviors: NDArray[np.float32] | None
    slots: NDArray[np.float32] | None
    p_trigger: float | None
