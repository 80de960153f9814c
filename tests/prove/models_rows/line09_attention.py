"""Line 9: the behavior that a reader says it attends to most moves the score more than the least.

"Most attended" is by the absolute weight: the weights of a DIN in the paper's form are not
normalised and may be negative, and a behavior of weight -2 is attended to more than one of 0.1.
The weights are those that ``uic evaluate --request`` shows. A behavior is removed from everything
that the request holds of it, the sub-sequences of its category included, and nothing older moves
up in its place; the score is the probability that is answered.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch

from interest_center.core.layout import StateConfig
from models.bundle import Bundle, load_bundle
from models.reading import Reader
from models.registry import READERS, load_class
from models.report_views import attention_of
from models.request_batches import RequestTensors
from models.request_rows import BehaviorRows, RequestBatch
from models.samples import PointInTime, point_in_time
from models.split_scores import SplitSamples, split_samples
from models.tables import TEST, Events, Samples, read_events, read_samples
from prove.rows import Bench, Check, NotShownError, figure
from prove.trainings import Tables, Training, Trainings

WORLD_SEED, WORLD = 10, ("--users", "800")
N_REQUESTS = 500
MIN_BEHAVIORS = 5
SPLIT = "test"
#: Of a 95 % interval.
Z = 1.959964

T = TypeVar("T", Events, Samples)


def attending() -> list[str]:
    """Return the readers of the registry that tell what they attend to."""
    return [
        name
        for name, reader in READERS.items()
        if load_class(reader.module).attention is not Reader.attention
    ]


@dataclass(frozen=True)
class Asked:
    """One request for one candidate, alone.

    Attributes:
        data: Its user's history and the request.
        shown: The sample.
    """

    data: PointInTime
    shown: SplitSamples


def requests_of(tables: Tables, rng: np.random.Generator) -> list[Asked]:
    """Return one request each of some users, drawn from the test split.

    Raises:
        NotShownError: There are too few users with a history.
    """
    state = StateConfig()
    events = read_events(tables.directory / "events.parquet", state)
    samples = read_samples(tables.directory / "samples.parquet")
    drawn = rng.permutation(np.flatnonzero(samples.splits == TEST))
    _, first = np.unique(samples.users[drawn], return_index=True)
    found: list[Asked] = []
    for row in drawn[np.sort(first)]:
        alone = _only(samples, np.array([row]))
        data = point_in_time(_only(events, events.users == samples.users[row]), alone, state)
        if data.requests.ring_positions[0] >= MIN_BEHAVIORS:
            found.append(Asked(data, split_samples(data, alone, SPLIT)))
        if len(found) == N_REQUESTS:
            return found
    raise NotShownError(f"only {len(found)} users with a history in the test split")


def _only(table: T, rows: Any) -> T:
    """Return some rows of a table."""
    columns = {field.name: getattr(table, field.name) for field in fields(table)}
    return replace(table, **{n: c[rows] for n, c in columns.items() if c is not None})


def without(batch: RequestBatch, place: int) -> RequestBatch:
    """Return a batch of one request and one candidate without the behavior at a place."""
    gone = [column[0, place] for column in batch.behaviors]
    at = torch.arange(batch.behaviors.mask.shape[1])
    return batch._replace(
        behaviors=_removed(batch.behaviors, at == place),
        trigger_behaviors=_removed_alike(batch.trigger_behaviors, gone),
        found=_removed_alike(batch.found, gone),
    )


def _removed_alike(rows: BehaviorRows | None, gone: list[Any]) -> BehaviorRows | None:
    """Remove a behavior where it stands in a sub-sequence too."""
    if rows is None:
        return None
    alike = [column == value for column, value in zip(rows, gone, strict=True)]
    return _removed(rows, torch.stack(alike).all(0).flatten())


def _removed(rows: BehaviorRows, gone: torch.Tensor) -> BehaviorRows:
    """Move what is gone to the end and mask it; ``gone`` is ``[t]``."""
    order = gone.to(torch.int8).argsort(stable=True)
    kept = ~gone[order]
    return BehaviorRows(*(column[..., order] * kept for column in rows))


def moves(bundle: Bundle, one: Asked, rng: np.random.Generator) -> list[float]:
    """Return how much the score moves without the most and the least attended behavior.

    After them come the moves of two others drawn at random.
    """
    attended = attention_of(bundle, one.data, one.shown, int(one.shown.rows[0]))
    if attended is None:
        raise NotShownError(f"{bundle.name} does not tell what it attends to")
    model = bundle.ranker.model
    tensors = RequestTensors(one.data, bundle.vocabulary, model.config)
    batch, _ = tensors.batch(np.zeros(1, np.int64))
    sizes = np.abs(attended.weights)
    places = [int(sizes.argmax()), int(sizes.argmin()), *rng.choice(len(sizes), 2, replace=False)]
    with torch.inference_mode():
        before = _probability(model, batch)
        return [abs(_probability(model, without(batch, int(p))) - before) for p in places]


def _probability(model: Callable[[RequestBatch], Any], batch: RequestBatch) -> float:
    return float(torch.sigmoid(model(batch).logits.double()))


def interval(hits: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share."""
    share, spread = hits / n, Z * Z / n
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    return centre - half, centre + half


def shown(label: str, found: list[list[float]]) -> Iterator[Check]:
    """Say for which share of requests the most attended behavior moves the score more."""
    most, least, one, other = np.array(found).T
    hits, n = int((most > least).sum()), len(most)
    low, high = interval(hits, n)
    yield Check(
        f"{label}: most attended moves the score more than least attended",
        f"{hits} of {n} requests = {hits / n:.1%}, interval {low:.1%} to {high:.1%}; "
        f"median move {np.median(most):.1e} and {np.median(least):.1e}",
        f"interval above 50 %, {N_REQUESTS} requests",
        low > 0.5 and n == N_REQUESTS,
    )
    yield figure(f"{label}: of two at random", f"the first in {(one > other).mean():.1%}")


def prove(bench: Bench) -> Iterator[Check]:
    """Train each attending reader with the defaults; remove behaviors from requests of test."""
    trainings = Trainings(bench.workspace / "logs", bench.say)
    tables = trainings.world(WORLD_SEED, *WORLD).tables
    wanted = [Training(name, tables, {"model": name}) for name in attending()]
    results = trainings.results(wanted)
    torch.set_num_threads(1)
    requests = requests_of(tables, bench.rng(9))
    for number, result in enumerate(results):
        bench.say(f"{result.training.label}: removing behaviors")
        bundle = load_bundle(result.bundle)
        rng = bench.rng(9, number)
        yield from shown(result.training.label, [moves(bundle, one, rng) for one in requests])
