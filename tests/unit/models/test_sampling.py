"""Events to samples: what is a positive, what a sample says, and no future in it."""

import numpy as np
import polars as pl
import pytest

from interest_center.core.errors import ConfigurationError
from models.negatives import POLICIES, POPULARITY, UNIFORM, Policy
from models.sampling import DAY_MS, SamplingPlan, make_samples, split_by_time
from models.tables import TEST, TRAIN, VALIDATION

PLAN = SamplingPlan(("click",), Policy(UNIFORM, 2))


def log_of(*rows: tuple[object, ...]) -> pl.DataFrame:
    """Return events of user, item, type, time and price; the category is its first letter."""
    columns = ["user_id", "item_id", "event_type", "event_time_ms", "price"]
    table = pl.DataFrame(rows, columns, orient="row")
    return table.with_columns(category_id=pl.col("item_id").str.head(1))


def random_log(seed: int, n: int = 400) -> pl.DataFrame:
    """Return ten days of clicks and carts of some users; many share their moment."""
    rng = np.random.default_rng(seed)
    item = rng.integers(0, 40, n)
    return pl.DataFrame(
        {
            "user_id": rng.integers(1, 9, n),
            "item_id": [f"{'abc'[k % 3]}{k}" for k in item],
            "category_id": ["abc"[k % 3] for k in item],
            "event_type": rng.choice(["click", "cart"], n, p=[0.8, 0.2]),
            "event_time_ms": rng.integers(0, 240, n) * (DAY_MS // 24),
        }
    )


def splits_of(log: pl.DataFrame, days: int = 1) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return split_by_time(log["event_time_ms"].to_numpy(), days, days)


def test_the_last_days_validate_and_test() -> None:
    times_ms = np.array([0, 1, 2, 3, 4]) * DAY_MS
    assert split_by_time(times_ms, 1, 1).tolist() == [TRAIN, TRAIN, TRAIN, VALIDATION, TEST]
    assert split_by_time(times_ms, 0.5, 2).tolist() == [TRAIN, TRAIN, VALIDATION, TEST, TEST]
    assert split_by_time(times_ms - 1, 1, 1).tolist() == split_by_time(times_ms, 1, 1).tolist()


@pytest.mark.parametrize("policy", POLICIES)
def test_every_positive_with_a_past_and_its_negatives(policy: str) -> None:
    log = random_log(0)
    samples = make_samples(log, splits_of(log), SamplingPlan(("click",), Policy(policy, 3))).samples
    first = log.group_by("user_id").agg(first=pl.col("event_time_ms").min())
    clicks = log.filter(event_type="click").join(first, on="user_id")
    wanted = clicks.filter(pl.col("event_time_ms") > pl.col("first"))
    found = samples.filter(label=1)
    key = ["user_id", "item_id", "time_ms"]
    assert (
        found.select(key)
        .sort(key)
        .equals(wanted.select("user_id", "item_id", time_ms="event_time_ms").sort(key))
    )
    assert len(samples) == 4 * len(found)
    assert samples["time_ms"].is_sorted()
    done = samples.filter(label=0).join(log, on=["user_id", "item_id"])
    assert (done["event_time_ms"] > done["time_ms"]).all()
    assert samples.columns == ["user_id", "item_id", "category_id", "time_ms", "label", "split"]
    assert (samples["category_id"] == samples["item_id"].str.head(1)).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_the_order_of_the_rows_does_not_matter(policy: str) -> None:
    log = random_log(1).unique(["user_id", "event_time_ms"], maintain_order=True)
    log = log.unique("event_time_ms", maintain_order=True)
    plan = SamplingPlan(("click",), Policy(policy, 2), 4 * DAY_MS, seed=3)
    mixed = log.sample(fraction=1.0, shuffle=True, seed=1)
    made = make_samples(log, splits_of(log, 2), plan).samples
    assert made.equals(make_samples(mixed, splits_of(mixed, 2), plan).samples)


@pytest.mark.parametrize("policy", POLICIES)
def test_later_splits_change_nothing_of_the_training(policy: str) -> None:
    log = random_log(2)
    plan = SamplingPlan(("click",), Policy(policy, 2), DAY_MS)
    splits = splits_of(log)
    other = log.with_columns(
        item_id=pl.when(pl.Series(splits > TRAIN)).then(pl.lit("z99")).otherwise("item_id")
    )
    rest = log.filter(pl.Series(splits > TRAIN))
    planted = pl.concat([other, rest])
    more = np.concatenate((splits, splits[splits > TRAIN]))
    before = make_samples(log, splits, plan).samples.filter(split="train")
    after = make_samples(planted, more, plan).samples.filter(split="train")
    assert len(before) > 100
    assert before.equals(after)


def test_triggers_are_recent_earlier_positives() -> None:
    hour = DAY_MS // 24
    log = log_of(
        (1, "a1", "click", 0, 1.0),
        (1, "b1", "click", 4 * hour, 1.0),
        (1, "b2", "cart", 5 * hour, 1.0),
        (1, "b3", "click", 8 * hour + 1, 1.0),
        (1, "b4", "click", 9 * hour, 1.0),
        (1, "b5", "click", 9 * hour, 1.0),
        (2, "a1", "click", 0, 1.0),
        (2, "b4", "cart", 1, 1.0),
        (2, "a2", "click", 2, 1.0),
        (2, "a3", "click", DAY_MS, 1.0),
        (2, "c1", "click", DAY_MS + 1, 1.0),
    )
    splits = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2])
    plan = SamplingPlan(("click",), Policy(UNIFORM, 1), 4 * hour)
    samples = make_samples(log, splits, plan).samples
    found = samples.filter(label=1).select("item_id", "trigger_item_id", "trigger_category_id")
    assert sorted(found.iter_rows()) == [
        ("a2", "a1", "a"),
        ("a3", None, None),
        ("b1", "a1", "a"),
        ("b3", None, None),
        ("b4", "b3", "b"),
        ("b5", "b3", "b"),
        ("c1", "a3", "a"),
    ]
    triggers = samples.group_by("user_id", "time_ms").agg(pl.col("trigger_item_id").n_unique())
    assert (triggers["trigger_item_id"] == 1).all()


def test_price_is_that_of_the_moment() -> None:
    log = log_of(
        (1, "a1", "click", 1, 9.0),
        (2, "b1", "click", 1, 5.0),
        (2, "b2", "click", 2, 6.0),
        (2, "b1", "click", 3, 7.0),
        (1, "b2", "click", 4, 8.0),
        (2, "b1", "click", 5, 11.0),
        (1, "a1", "click", DAY_MS, 1.0),
        (1, "a1", "click", 2 * DAY_MS, 1.0),
        (2, "a1", "click", 2 * DAY_MS, 2.0),
    )
    splits = np.array([0, 0, 0, 0, 0, 0, 1, 2, 2])
    samples = make_samples(log, splits, SamplingPlan(("click",), Policy(UNIFORM, 2))).samples
    of_user = samples.filter(pl.col("user_id") == 1, pl.col("time_ms") == 4)
    # b1 was seen at 7 before that moment, at 11 after it.
    assert sorted(of_user.select("item_id", "label", "price").iter_rows()) == [
        ("b1", 0, 7.0),
        ("b2", 1, 8.0),
    ]
    early = samples.filter(pl.col("user_id") == 2, pl.col("time_ms") == 2)
    assert dict(early.select("item_id", "price").iter_rows()) == {"b2": 6.0, "a1": 9.0}


def test_what_is_odd_is_said() -> None:
    log = log_of(
        (1, "a1", "click", 1, 1.0),
        (1, "a1", "click", 2, 1.0),
        (1, "a2", "click", 3, 1.0),
        (1, "a3", "click", 4, 1.0),
    )
    made = make_samples(log, np.array([0, 0, 1, 2]), PLAN)
    assert made.notes == (
        "1 events of users without an earlier event are no samples",
        "33.3% of the positives are items that the user had done something with before; "
        "no negative is",
        "3 positives have fewer negatives: their users know the other items",
    )
    assert made.samples["label"].to_list() == [1, 1, 1]


def test_what_cannot_be_sampled_is_refused() -> None:
    log = random_log(3)
    with pytest.raises(ConfigurationError, match=r"no event has the type buy .*click \(.*cart \("):
        make_samples(log, splits_of(log), SamplingPlan(("click", "buy"), Policy(POPULARITY, 1)))
    with pytest.raises(ConfigurationError, match="no event has the type of a positive"):
        make_samples(log, splits_of(log), SamplingPlan((), Policy(POPULARITY, 1)))
    with pytest.raises(ConfigurationError, match=r"a split has no positive .*: train 0, "):
        make_samples(log, splits_of(log, 100), PLAN)
