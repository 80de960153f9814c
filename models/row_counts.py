"""How often each id occurs in the training samples: n_j of the DIN paper's regulariser."""

import numpy as np

from models.ctr_config import CtrConfig
from models.request_batches import RequestTensors, ranges
from models.samples import Ints


def row_counts(tensors: RequestTensors, requests: Ints, config: CtrConfig) -> dict[str, Ints]:
    """Return occurrences of each row of the tables, ``[n_rows]`` each, by what they are rows of.

    A sample's occurrences are its candidate and the behaviors that its reader sees; a request of
    several candidates counts its behaviors once, because a step reads them once.

    Args:
        tensors: The requests.
        requests: Indices of those that are trained.
        config: How many behaviors a reader sees.
    """
    data, n_rows = tensors.data, tensors.vocabulary.table_rows
    asked = data.requests
    starts = asked.starts
    candidates, _ = ranges(starts[requests], starts[requests + 1] - starts[requests])
    # How many requests see each event: one more from where a window begins, one less behind it.
    positions = asked.ring_positions[requests]
    first = data.ring.starts[asked.users[requests]]
    edges = np.zeros(len(data.ring.items) + 1, np.int64)
    np.add.at(edges, first + config.window_starts(positions), 1)
    np.add.at(edges, first + positions, -1)
    seen = np.cumsum(edges)[:-1]
    shown, done = tensors.candidate_rows, tensors.ring_rows
    return {
        "items": np.bincount(shown.items[candidates], minlength=n_rows.items)
        + np.bincount(done.items, seen, n_rows.items).astype(np.int64),
        "categories": np.bincount(shown.categories[candidates], minlength=n_rows.categories)
        + np.bincount(done.categories, seen, n_rows.categories).astype(np.int64),
        "users": np.bincount(
            tensors.vocabulary.user_rows(data.user_ids)[asked.users[requests]],
            minlength=n_rows.users,
        ),
    }
