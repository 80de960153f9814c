"""The same training samples in the form that each side takes, and the sizes that all share.

Sizes: embeddings of 16 for item and for category, attention 80 and 40 with sigmoids, MLP 200 and 80
(those of the published code of DIN and DIEN, whose embeddings are 18 wide), batch 1,024, no user
id. No dropout, no batch normalisation; the MLP has PReLU in ours and ReLU in the peers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interest_center.core.layout import load_state_config
from models.recipe import Recipe
from models.samples import PointInTime, point_in_time
from models.tables import read_events, read_samples
from models.training import Trainer
from models.training_vocabulary import make_vocabulary
from models.vocabulary import Vocabulary

BATCH = 1024
DIM = 16
ATTENTION = (80, 40)
MLP = (200, 80)
#: Steps that are taken before time is.
WARM_STEPS = 3

Batch = tuple[Tensor, ...]


def read_tables(folder: Path) -> PointInTime:
    """Return what ``uic convert movielens`` wrote."""
    state = load_state_config(folder / "state.json")
    events = read_events(folder / "events.parquet", state)
    return point_in_time(events, read_samples(folder / "samples.parquet"), state)


class PeerSizes(NamedTuple):
    """Sizes of a peer's model.

    Attributes:
        n_rows: Rows of the tables of items and categories.
        length: Behaviors of a sample.
        dim: Width of an embedding.
    """

    n_rows: dict[str, int]
    length: int
    dim: int

    @classmethod
    def of(cls, vocabulary: Vocabulary, length: int, dim: int = DIM) -> "PeerSizes":
        """Return the sizes for a vocabulary."""
        rows = vocabulary.table_rows
        return cls({"item": rows.items, "category": rows.categories}, length, dim)


@dataclass(frozen=True)
class PeerSamples:
    """So many training samples for the peers.

    Attributes:
        data: Histories and requests.
        chosen: The requests, of one sample each.
        length: Behaviors of a sample.
        vocabulary: Which row of the tables an id has; row 0 is padding.
        columns: Items and categories ``[n, length]``, mask, candidates' items and categories
            ``[n, 1]``, labels ``[n]``.
    """

    data: PointInTime
    chosen: NDArray[np.int64]
    length: int
    vocabulary: Vocabulary
    columns: Batch

    @classmethod
    def of(cls, data: PointInTime, length: int, n_steps: int) -> "PeerSamples":
        """Choose at random and look up everything that a sample needs."""
        config, options = Recipe("din", {"history_length": length}).configs(data.state)
        trainer = Trainer(data, make_vocabulary(data, config), config, options)
        single = np.diff(data.requests.starts)[trainer.train_requests] == 1
        requests = trainer.train_requests[single]
        chosen = np.random.default_rng(0).permutation(requests)[: n_steps * BATCH]
        batch, labels = trainer.tensors.batch(chosen)
        done = batch.behaviors
        missing = length - done.items.shape[1]
        padded = [
            torch.nn.functional.pad(column, (0, missing))
            for column in (done.items, done.categories, done.mask)
        ]
        columns = (*padded, batch.candidate_items, batch.candidate_categories, labels)
        return cls(data, chosen, length, trainer.vocabulary, columns)

    @property
    def sizes(self) -> PeerSizes:
        """Sizes of the models that take them."""
        return PeerSizes.of(self.vocabulary, self.length)

    def batches(self) -> Iterator[Batch]:
        """Yield batches that are ready to be trained on."""
        for first in range(0, len(self.chosen), BATCH):
            yield tuple(column[first : first + BATCH] for column in self.columns)

    def first(self, n: int) -> "PeerSamples":
        """Return the first ``n`` of the samples."""
        columns = tuple(column[:n] for column in self.columns)
        some: dict[str, Any] = vars(self) | {"chosen": self.chosen[:n], "columns": columns}
        return PeerSamples(**some)
