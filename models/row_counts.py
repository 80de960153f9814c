"""How often each id occurs in the training samples: n_j of the DIN paper's regulariser."""

from collections.abc import Callable

import numpy as np

from models.ctr_config import CtrConfig
from models.embedding_rows import WITH_CATEGORY, Rows
from models.request_batches import RequestTensors, ranges
from models.samples import Ints


def row_counts(
    tensors: RequestTensors, requests: Ints, config: CtrConfig, unknown_share: float
) -> dict[str, Ints]:
    """Return occurrences of each row of the tables, ``[n_rows]`` each, by what they are rows of.

    A sample's occurrences are its candidate, its trigger and the behaviors that its reader sees; a
    request of several candidates counts trigger and behaviors once, because a step reads them once.
    What a search, a memory or a draw of negatives shows beside them is not counted: in the samples
    of the DIN paper there is nothing of the kind.
    Rows of unknown ids count as often as training presents an id as unknown: they stand for many.

    Args:
        tensors: The requests.
        requests: Indices of those that are trained.
        config: How many behaviors a reader sees.
        unknown_share: Share of items and users trained as unknown.
    """
    asked, known = tensors.data.requests, tensors.vocabulary
    n_rows, starts = known.table_rows, asked.starts
    candidates, _ = ranges(starts[requests], starts[requests + 1] - starts[requests])
    came_from = requests[asked.triggers[requests] != 0]
    seen = _times_seen(tensors, requests, config)

    def occurrences(rows_of: Callable[[Rows], Ints], n: int) -> Ints:
        shown = rows_of(tensors.candidate_rows)[candidates]
        triggers = rows_of(tensors.trigger_rows)[came_from]
        done = np.bincount(rows_of(tensors.ring_rows), seen, n).astype(np.int64)
        return np.bincount(np.concatenate((shown, triggers)), minlength=n) + done

    users = known.user_rows(tensors.data.user_ids)[asked.users[requests]]
    counts = {
        "items": occurrences(lambda rows: rows.items, n_rows.items),
        "categories": occurrences(lambda rows: rows.categories, n_rows.categories),
        "users": np.bincount(users, minlength=n_rows.users),
    }
    as_unknown = known.rows_as_unknown(np.arange(n_rows.items))
    return {
        "items": _as_trained(counts["items"], as_unknown, unknown_share),
        "categories": _as_trained(counts["categories"], 0, unknown_share * WITH_CATEGORY),
        "users": _as_trained(counts["users"], 0, unknown_share),
    }


def _times_seen(tensors: RequestTensors, requests: Ints, config: CtrConfig) -> Ints:
    """Return how many of the requests see each event of the ring histories, ``[n_events]``."""
    asked, ring = tensors.data.requests, tensors.data.ring
    positions = asked.ring_positions[requests]
    first = ring.starts[asked.users[requests]]
    # One more from where a window begins, one less behind it.
    edges = np.zeros(len(ring.items) + 1, np.int64)
    np.add.at(edges, first + config.window_starts(positions), 1)
    np.add.at(edges, first + positions, -1)
    seen: Ints = np.cumsum(edges)[:-1]
    return seen


def _as_trained(counts: Ints, as_unknown: Ints | int, share: float) -> Ints:
    """Return the counts when a share of each row's occurrences is presented as another row."""
    trained, hidden = (1 - share) * counts, share * counts
    np.add.at(trained, np.broadcast_to(as_unknown, counts.shape), hidden)
    return np.asarray(np.rint(trained), np.int64)
