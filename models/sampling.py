"""Samples out of events: each positive with negatives beside it, split by time.

A positive is an event of a chosen type; it becomes a sample of the event's own moment, at which
only earlier events are seen. A user's first event is none: nothing is known of the user before (the
DIN paper predicts the k + 1st behavior from k >= 1). Negatives share user, moment and trigger of
their positive; they come from the events of the positive's own split. So nothing of validation and
test enters the training, not even which items there will be, and an item that is new in the test
split is a negative there as readily as a positive. That differs from the papers' code, which draws
from the whole log.

A trigger can be made up as the DEI2N paper does for public data: the user's latest event of a
positive type, if it is recent enough. Category and price of an item are those of its latest event
at that moment, of a later one where there is none.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interest_center.core.errors import ConfigurationError
from models.coded_log import CodedLog, gathered
from models.durations import DAY_MS
from models.negatives import NO_ITEM, Done, Policy, Pool, Positives, draw_negatives
from models.tables import SPLITS

Ints = NDArray[np.int64]

#: Told how many positives have their negatives, and of how many.
OnDrawn = Callable[[int, int], None]

_TIME = "event_time_ms"


@dataclass(frozen=True)
class SamplingPlan:
    """What becomes a sample.

    Attributes:
        positives: Event types.
        policy: How negatives are drawn.
        trigger_within_ms: Greatest age of the event that is taken for the trigger; 0: no triggers.
        seed: Of the negatives.
    """

    positives: tuple[str, ...]
    policy: Policy
    trigger_within_ms: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Sampled:
    """Samples in time order, and what one should know of them, a sentence each."""

    samples: pl.DataFrame
    notes: tuple[str, ...]


def silent(_n_drawn: int, _n_positives: int) -> None:
    """Tell nobody how far the drawing is."""


def split_by_time(times_ms: Ints, validation_days: float, test_days: float) -> Ints:
    """Return the split of each moment, ``[n]``: the last days of the log validate and test.

    Args:
        times_ms: Times of all events.
        validation_days: Length of the validation split in days of 24 hours, before the test split.
        test_days: Length of the test split, which ends with the log.
    """
    last = int(times_ms.max())
    edges = [last - int((validation_days + test_days) * DAY_MS), last - int(test_days * DAY_MS)]
    return np.searchsorted(edges, times_ms, side="left").astype(np.int64)


def make_samples(
    events: pl.DataFrame,
    splits: Ints,
    plan: SamplingPlan,
    on_drawn: OnDrawn = silent,
) -> Sampled:
    """Make samples out of events.

    Args:
        events: Columns ``user_id, item_id, event_type, event_time_ms``, optional ``category_id``
            and ``price``; none of the first four has gaps.
        splits: Split of each event: index of ``SPLITS``.
        plan: What becomes a sample.
        on_drawn: Told how many positives have their negatives, and of how many.

    Raises:
        ConfigurationError: A type of the plan is in no event, or a split has no positive.
    """
    _check_types(events, plan.positives)
    order = np.argsort(events[_TIME].to_numpy(), kind="stable")
    log = CodedLog.of(events[order], splits[order])
    chosen = log.events["event_type"].is_in(plan.positives).to_numpy()
    positives = np.flatnonzero(chosen & log.has_past)
    _check_splits(log.splits[positives])
    negatives = _negatives(log, chosen, positives, plan, on_drawn)
    samples = log.samples(positives, negatives)
    if plan.trigger_within_ms:
        triggers = log.triggers(np.flatnonzero(chosen), positives, plan.trigger_within_ms)
        samples = _with_triggers(samples, log, np.repeat(triggers, 1 + plan.policy.per_positive))
    samples = samples.filter(pl.col("item_id").is_not_null())
    return Sampled(samples, _notes(log, int(chosen.sum()), positives, negatives))


def _check_types(events: pl.DataFrame, positives: tuple[str, ...]) -> None:
    """Refuse types of positives that no event has."""
    counts = dict(events["event_type"].value_counts(sort=True).iter_rows())
    unknown = [name for name in positives if name not in counts]
    if unknown or not positives:
        have = ", ".join(f"{name} ({n:,})" for name, n in counts.items())
        raise ConfigurationError(
            f"no event has the type {', '.join(unknown) or 'of a positive'}",
            hint=f"types of these events: {have}; choose by --positives",
        )


def _check_splits(splits: Ints) -> None:
    """Refuse samples of which a split has none."""
    counts = np.bincount(splits, minlength=len(SPLITS))
    if not counts.all():
        told = ", ".join(f"{name} {n:,}" for name, n in zip(SPLITS, counts, strict=True))
        raise ConfigurationError(
            f"a split has no positive of a user with an earlier event: {told}",
            hint="choose other days for validation and test, or more types of positives",
        )


def _negatives(
    log: CodedLog,
    chosen: NDArray[np.bool_],
    positives: Ints,
    plan: SamplingPlan,
    on_drawn: OnDrawn,
) -> Ints:
    """Draw the negatives of each positive from the events of its split, split by split."""
    done = Done(log.users, log.items, log.times_ms, log.n_items)
    drawn = np.full((len(positives), plan.policy.per_positive), NO_ITEM, np.int64)
    n_drawn = 0

    def tell(n: int) -> None:
        nonlocal n_drawn
        n_drawn += n
        on_drawn(n_drawn, len(positives))

    for code in range(len(SPLITS)):
        inside, rows = log.splits == code, log.splits[positives] == code
        pool = Pool(log.items[inside], log.items[inside & chosen], log.categories)
        own = positives[rows]
        wanted = Positives(log.users[own], log.items[own], log.times_ms[own])
        rng = np.random.default_rng((plan.seed, code))
        drawn[rows] = draw_negatives(plan.policy, pool, wanted, done, rng, tell)
    return drawn


def _notes(log: CodedLog, n_chosen: int, positives: Ints, negatives: Ints) -> tuple[str, ...]:
    """Say what was left out, and what makes the samples easier than they look."""
    notes = []
    n_first = n_chosen - len(positives)
    if n_first:
        notes.append(f"{n_first:,} events of users without an earlier event are no samples")
    again = log.is_repeated[positives].mean()
    if again:
        notes.append(
            f"{again:.1%} of the positives are items that the user had done something with before; "
            "no negative is"
        )
    n_short = int((negatives == NO_ITEM).any(axis=1).sum())
    if n_short:
        notes.append(
            f"{n_short:,} positives have fewer negatives: their users know the other items"
        )
    return tuple(notes)


def _with_triggers(samples: pl.DataFrame, log: CodedLog, triggers: Ints) -> pl.DataFrame:
    """Add the item of the event that triggers each sample, and its category."""
    names = {"trigger_item_id": "item_id"}
    if "category_id" in samples.columns:
        names["trigger_category_id"] = "category_id"
    return samples.with_columns(
        **{name: gathered(log.events[column], triggers) for name, column in names.items()}
    )
