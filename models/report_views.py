"""What the plots of a report show: items on a plane, the attention of a request, memories."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from models.bundle import Bundle
from models.ctr_metrics import Floats, Labels
from models.memory_states import memories_at
from models.request_batches import RequestTensors
from models.samples import Ints, PointInTime
from models.split_scores import SplitSamples
from models.tables import Samples

Ids = NDArray[np.uint64]

_MAX_ITEMS = 1000
_MIN_ITEMS = 8
_PERPLEXITY = 30.0
#: Weight of the overall click rate in an item's, in samples.
_SMOOTHING = 20.0
_MAX_USERS = 200
_CURVE_POINTS = 200


@dataclass(frozen=True)
class ItemMap:
    """Items placed so that like embeddings are near each other, ``[n]`` each.

    Attributes:
        places: Two coordinates without a meaning of their own, ``[n, 2]``.
        categories: Category ids, 0 for none.
        click_rates: Share of clicks among all samples of the item, smoothed to the overall rate.
    """

    places: Floats
    categories: Ids
    click_rates: Floats


@dataclass(frozen=True)
class RequestAttention:
    """How much the candidate of one sample attends to each behavior, oldest first, ``[t]`` each.

    Attributes:
        row: Row of the sample table.
        item: The candidate.
        category: Its category, 0 for none.
        clicked: Whether it was clicked.
        items: Items of the behaviors.
        categories: Their categories, 0 for none.
        types: Names of their event types.
        ages_ms: From behavior to request.
        weights: Attention, on the reader's own scale.
    """

    row: int
    item: int
    category: int
    clicked: bool
    items: Ids
    categories: Ids
    types: tuple[str, ...]
    ages_ms: Ints
    weights: Floats


@dataclass(frozen=True)
class Memories:
    """Memories of some users at one of their requests; what a model does not tell is None.

    Attributes:
        slot_norms: Length of each slot's vector, ``[n_users, n_slots]``.
        slot_use: Mean write weight of each slot, ``[n_users, n_slots]``.
        slot_spans_ms: Mean time between two writes of each slot, ``[n_users, n_slots]``.
        periods: Events between two writes of each slot, ``[n_slots]``.
    """

    slot_norms: Floats
    slot_use: Floats | None
    slot_spans_ms: Floats | None
    periods: Ints | None


def roc_curve(labels: Labels, scores: Floats) -> tuple[Floats, Floats]:
    """Return false and true positive rates, thinned out; empty with a single class."""
    order = np.argsort(-scores, kind="stable")
    positive = np.asarray(labels, np.bool_)[order]
    # Equal scores are one step of the curve.
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(positive)[ends]
    misses = ends + 1 - hits
    if not positive.any() or positive.all():
        return np.zeros(0), np.zeros(0)
    false_rates = np.append(0.0, misses / misses[-1])
    true_rates = np.append(0.0, hits / hits[-1])
    # Even steps along both axes keep steep and flat parts alike.
    along = false_rates + true_rates
    kept = np.unique(np.searchsorted(along, np.linspace(0, 2, _CURVE_POINTS)))
    kept = np.minimum(kept, len(along) - 1)
    return false_rates[kept], true_rates[kept]


def item_map(bundle: Bundle, samples: Samples, seed: int) -> ItemMap | None:
    """Place items that were shown by t-SNE of their embeddings; None when there are too few.

    The embedding of the item alone is taken: that of its category would part the categories
    whatever was learnt of the items. At most a thousand items are drawn.

    Args:
        bundle: The model.
        samples: The sample table; all of its splits count for the click rates.
        seed: Of the draw and of t-SNE.
    """
    known = bundle.vocabulary
    items, place, shown = np.unique(samples.items, return_inverse=True, return_counts=True)
    overall = samples.labels.mean()
    clicks = np.bincount(place, samples.labels, len(items))
    rates = (clicks + _SMOOTHING * overall) / (shown + _SMOOTHING)
    inside = np.flatnonzero(np.isin(items, known.items))
    if len(inside) < _MIN_ITEMS:
        return None
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.permutation(inside)[:_MAX_ITEMS])
    chosen = items[drawn]
    with torch.inference_mode():
        rows = torch.from_numpy(known.item_rows(chosen))
        embedded = bundle.ranker.model.item_table.weight[rows].cpu().numpy()
    perplexity = min(_PERPLEXITY, (len(chosen) - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(embedded)
    categories = known.categories_of(chosen, np.zeros(len(chosen), np.uint64))
    return ItemMap(np.asarray(places, np.float64), categories, rates[drawn])


def typical_row(shown: SplitSamples) -> int:
    """Return the row of a clicked sample whose user's history is of median length.

    Users without behaviors are left aside if there are others, samples without click too.
    """
    clicked, lived = shown.labels == 1, shown.history_lengths > 0
    preferred = [clicked & lived, lived, clicked, np.ones(len(shown.rows), np.bool_)]
    among = np.flatnonzero(next(mask for mask in preferred if mask.any()))
    by_length = among[np.argsort(shown.history_lengths[among], kind="stable")]
    return int(shown.rows[by_length[len(by_length) // 2]])


def attention_of(
    bundle: Bundle, data: PointInTime, shown: SplitSamples, row: int
) -> RequestAttention | None:
    """Return the attention of a sample; None when the reader has none.

    Args:
        bundle: The model.
        data: Events and samples, joined by its rules.
        shown: The split.
        row: Row of the sample table.

    Raises:
        ConfigurationError: The split does not hold the row.
    """
    at = shown.place_of(row)
    requests, ring = data.requests, data.ring
    request = shown.owners[at]
    first = requests.starts[request]
    candidates = requests.rows[first : requests.starts[request + 1]]
    candidate = first + int(np.flatnonzero(candidates == row)[0])
    model = bundle.ranker.model
    batch, _ = RequestTensors(data, bundle.vocabulary, model.config).batch(np.array([request]))
    with torch.inference_mode():
        weights = model.reader.attention(model.see(batch))
    if weights is None:
        return None
    end = ring.starts[requests.users[request]] + requests.ring_positions[request]
    n = int(batch.behaviors.mask.sum())
    seen = slice(end - n, end)
    offered = requests.items[[candidate]], requests.categories[[candidate]]
    return RequestAttention(
        row=row,
        item=int(offered[0][0]),
        category=int(bundle.vocabulary.categories_of(*offered)[0]),
        clicked=bool(requests.labels[candidate]),
        items=ring.items[seen],
        categories=bundle.vocabulary.categories_of(ring.items[seen], ring.categories[seen]),
        types=tuple(bundle.state.event_types[code - 1] for code in ring.types[seen]),
        ages_ms=requests.times_ms[request] - ring.times_ms[seen],
        weights=weights[0, :n, candidate - first].double().cpu().numpy(),
    )


def memories_of(
    bundle: Bundle, data: PointInTime, shown: SplitSamples, seed: int
) -> Memories | None:
    """Return memories of some requests of the split; None without a memory or without an event."""
    if bundle.updater is None:
        return None
    lived = shown.requests[data.requests.memory_positions[shown.requests] > 0]
    drawn = np.random.default_rng(seed).permutation(lived)[:_MAX_USERS]
    gaps, told = [], []
    users, positions = data.requests.users[drawn], data.requests.memory_positions[drawn]
    for some, rows in memories_at(data.memory, users, positions, bundle.updater):
        gaps += _mean_gaps_ms(data, drawn[some]).tolist()
        told += [bundle.updater.summarise(row) for row in rows]
    if not told:
        return None
    periods = _column(told[:1], "periods")
    spans = None if periods is None else np.asarray(gaps)[:, None] * periods
    norms, use = _column(told, "slot_norms"), _column(told, "slot_use")
    assert norms is not None, "every memory tells the norms of its slots"
    return Memories(norms, use, spans, None if periods is None else periods[0].astype(np.int64))


def _column(told: list[dict[str, Any]], name: str) -> Floats | None:
    return np.array([one[name] for one in told], np.float64) if name in told[0] else None


def _mean_gaps_ms(data: PointInTime, some: Ints) -> Floats:
    """Return the mean time between the events of each request's memory, NaN for a single event."""
    history, requests = data.memory, data.requests
    first = history.starts[requests.users[some]]
    n = requests.memory_positions[some]
    spans = history.times_ms[first + n - 1] - history.times_ms[first]
    return np.where(n > 1, spans / np.maximum(n - 1, 1), np.nan)
