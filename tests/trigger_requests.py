"""Random requests with and without a trigger, as readers see them and as twins take them."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from seen import make_seen

from models.reading import Behaviors, Seen

DIM, REQUEST_DIM, N_CANDIDATES = 8, 3, 3
_LENGTHS = [5, 0, 1, 5, 2]
_HARD = [3, 2, 0, 1, 3]
_TRIGGER = [True, True, True, False, False]


class Requests(NamedTuple):
    """The same requests twice."""

    seen: Seen
    plain: list[dict[str, Any]]
    candidates: NDArray[np.float64]


def make_requests(seed: int) -> Requests:
    """Return five requests: long, short and no history, sub-sequence or trigger."""
    rng = np.random.default_rng(seed)
    n = len(_LENGTHS)
    candidates, triggers = rng.normal(size=(n, N_CANDIDATES, DIM)), rng.normal(size=(n, DIM))
    triggers[~np.array(_TRIGGER)] = 0
    about = rng.normal(size=(n, REQUEST_DIM))
    soft, soft_rows = _behaviors(rng, _LENGTHS)
    hard, hard_rows = _behaviors(rng, _HARD)
    seen = make_seen(
        torch.tensor(candidates, dtype=torch.float32),
        soft,
        request=torch.tensor(about, dtype=torch.float32),
        trigger=torch.tensor(triggers, dtype=torch.float32),
        has_trigger=torch.tensor(_TRIGGER),
        trigger_behaviors=hard,
        same_category_as_trigger=torch.from_numpy(rng.random((n, N_CANDIDATES)) < 0.5),
        candidate_mask=torch.from_numpy(np.arange(N_CANDIDATES) < rng.integers(1, 4, (n, 1))),
    )
    plain = [
        {
            "about": about[i].tolist(),
            "trigger": triggers[i].tolist() if _TRIGGER[i] else None,
            "soft": soft_rows[i][0], "soft_ages_ms": soft_rows[i][1],
            "hard": hard_rows[i][0], "hard_ages_ms": hard_rows[i][1],
        }
        for i in range(n)
    ]  # fmt: skip
    return Requests(seen, plain, candidates)


def _behaviors(
    rng: np.random.Generator, lengths: list[int]
) -> tuple[Behaviors, list[tuple[list[list[float]], list[int]]]]:
    shape = (len(lengths), max(lengths))
    # What stands behind the mask is as large as anything, so that reading it shows.
    keys = rng.normal(size=(*shape, DIM))
    ages = (10 ** rng.uniform(2, 9, shape)).astype(np.int64)
    mask = np.arange(shape[1]) < np.array(lengths)[:, None]
    behaviors = Behaviors(
        torch.tensor(keys, dtype=torch.float32),
        torch.from_numpy(mask),
        torch.zeros(shape, dtype=torch.int64),
        torch.from_numpy(ages),
    )
    rows = [(keys[i, :m].tolist(), ages[i, :m].tolist()) for i, m in enumerate(lengths)]
    return behaviors, rows
