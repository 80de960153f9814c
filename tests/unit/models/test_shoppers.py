"""The simulated world: what it says of itself is true, and nothing but the log decides a click."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from interest_center.core.errors import ConfigurationError
from models.shopper_interests import draw_items
from models.shopper_world import CATEGORY_NAMES, CLICK, DEPARTMENTS, NO_ITEM, Impressions, World
from models.shoppers import Shoppers
from models.simulate import Simulation, probability_with_last, simulate, simulate_walk

SEED = 5
N_SHOPPERS = 250
ALL_BEHAVIORS = 1_000_000


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return simulate_walk(SEED, N_SHOPPERS, days=30.0)


def test_equal_seeds_walk_alike_and_other_seeds_do_not(simulation: Simulation) -> None:
    again = simulate_walk(SEED, N_SHOPPERS, days=30.0)
    assert again.events_table().equals(simulation.events_table())
    assert again.samples_table().equals(simulation.samples_table())
    other = World(SEED + 1)
    here = simulation.walk.world
    for name in ("item_category", "item_quality", "category_quality", "partner"):
        assert not np.array_equal(getattr(other, name), getattr(here, name)), name
    elsewhere = Shoppers(here, SEED + 1, 20).walk()
    assert not np.array_equal(elsewhere.events["item"][:100], again.walk.events["item"][:100])


def department_of(category: str) -> str:
    return next(name for name, words in DEPARTMENTS.items() if category in words.split())


def plain_probability(world: World, history: list[dict[str, Any]], sample: dict[str, Any]) -> float:
    """The docstring of the world once more, in plain loops over the rows of the tables."""
    strength = {"view": 0.4, "click": 1.0, "cart": 1.3, "favorite": 1.3, "purchase": 0.3}
    newest_first = history[::-1]

    def decayed(category: str, half_life: float, kind: str | None = None) -> float:
        total = 0.0
        for lag, event in enumerate(newest_first, start=1):
            if event["category_id"] == category and kind in (None, event["event_type"]):
                weight = 1.0 if kind else strength[event["event_type"]]
                total += weight * 0.5 ** ((lag - 1) / half_life)
        return total

    def sat(x: float) -> float:
        return 1.0 - math.exp(-x)

    category, trigger = sample["category_id"], sample["trigger_category_id"]
    kin = [c for c in DEPARTMENTS[department_of(category)].split() if c != category]
    partner = CATEGORY_NAMES[world.partner[CATEGORY_NAMES.index(category)]]
    powers = [0.5 ** (n / 50.0) for n in range(len(history))]
    clicks = sum(p for p, e in zip(powers, newest_first, strict=True) if e["event_type"] == "click")
    share = (2.0 + clicks) / (5.0 + sum(powers))
    hours = (sample["time_ms"] - history[-1]["event_time_ms"]) / 3_600_000
    fresh = 0.35 + 0.65 * math.exp(-hours / 2.0)
    mid = decayed(category, 60.0)
    personal = (
        1.0 * fresh * sat(decayed(category, 4.0))
        + 0.2 * math.log1p(mid)
        + 0.75 * math.log1p(max(0.0, decayed(category, 300.0) - mid))
        + 0.1 * math.log1p(sum(decayed(c, 60.0) for c in kin))
        + 0.6 * fresh * sat(decayed(partner, 4.0))
        - 1.2 * min(1.0, decayed(category, 15.0, "purchase"))
    )
    pull, match = 0.0, 0.0
    if trigger is not None:
        known = sat(decayed(trigger, 60.0) / 2.0)
        pull = math.exp(-(sample["page"] - 1) / 2.5) * (0.3 + 0.7 * known)
        if trigger == category:
            match = 1.0
        elif department_of(trigger) == department_of(category):
            match = 0.4
    logit = (
        -3.9
        + world.item_quality[world.item_ids.index(sample["item_id"])]
        + world.category_quality[CATEGORY_NAMES.index(category)]
        + 3.0 * (share - 0.4)
        - 0.08 * (sample["page"] - 1)
        + 2.0 * pull * match
        + (1.0 - 0.4 * pull) * personal
    )
    return float(1.0 / (1.0 + math.exp(-logit)))


def test_plain_loop_over_the_written_log_gives_the_same_probability(
    simulation: Simulation,
) -> None:
    events, samples = simulation.events_table(), simulation.samples_table()
    rows = np.random.default_rng(SEED).choice(len(samples), 150, replace=False)
    seen_trigger = 0
    for sample in samples[rows].iter_rows(named=True):
        before = events.filter(
            (pl.col("user_id") == sample["user_id"]) & (pl.col("event_time_ms") < sample["time_ms"])
        )
        expected = plain_probability(
            simulation.walk.world, list(before.iter_rows(named=True)), sample
        )
        assert sample["probability"] == pytest.approx(expected, rel=1e-9)
        seen_trigger += sample["trigger_item_id"] is not None
    assert 30 < seen_trigger < 130


def test_future_events_change_nothing_and_past_ones_do(simulation: Simulation) -> None:
    walk = simulation.walk
    row = len(walk.samples["item"]) // 2
    rows = np.array([row])
    planted = {name: walk.samples[name][row] for name in ("shopper", "item", "category")}

    def with_click_at(time_ms: int) -> float:
        added = {**planted, "type": CLICK, "time_ms": time_ms, "page": 0, "trigger": NO_ITEM}
        added["number"] = 10_000
        columns = {name: np.append(values, added[name]) for name, values in walk.events.items()}
        order = np.argsort(columns["time_ms"], kind="stable")
        changed = replace(walk, events={name: values[order] for name, values in columns.items()})
        return float(probability_with_last(changed, rows, ALL_BEHAVIORS)[0])

    time_ms = int(walk.samples["time_ms"][row])
    known = walk.probability[row]
    assert with_click_at(time_ms) == pytest.approx(known, rel=1e-9)
    assert with_click_at(time_ms + 1) == pytest.approx(known, rel=1e-9)
    assert with_click_at(time_ms - 1) > 1.05 * known


def test_every_user_has_strictly_growing_times_and_clicks_follow_their_samples(
    simulation: Simulation,
) -> None:
    events, samples = simulation.events_table(), simulation.samples_table()
    assert events["event_id"].n_unique() == len(events)
    assert events["event_time_ms"].is_sorted()
    gaps = events.select(pl.col("event_time_ms").diff().over("user_id").min()).item()
    assert gaps > 0
    clicked = samples.filter(pl.col("label") == 1)
    shown_clicks = events.filter(pl.col("page").is_not_null())
    assert len(clicked) == len(shown_clicks)
    assert shown_clicks["event_type"].unique().to_list() == ["click"]
    joined = shown_clicks.join(clicked, on=["user_id", "item_id", "page"], how="inner").filter(
        (pl.col("event_time_ms") - pl.col("time_ms")).is_between(1, 6)
    )
    assert len(joined) == len(clicked)


def test_splits_are_cut_by_time(simulation: Simulation) -> None:
    spans = (
        simulation.samples_table()
        .group_by("split")
        .agg(pl.col("time_ms").min().alias("first"), pl.col("time_ms").max().alias("last"))
    )
    span = {name: (first, last) for name, first, last in spans.iter_rows()}
    assert set(span) == {"train", "validation", "test"}
    assert span["train"][1] < span["validation"][0]
    assert span["validation"][1] < span["test"][0]


def test_oracle_is_well_above_counts_and_needs_more_than_the_ring(simulation: Simulation) -> None:
    figures = simulation.figures()
    test = figures["splits"]["test"]
    assert test["oracle_auc"] >= test["count_baseline_auc"] + 0.08
    assert 0.10 <= test["positive_rate"] <= 0.25
    assert figures["oracle_auc_audited"] - figures["oracle_auc_by_last_behaviors"]["100"] > 0.005


def test_labels_are_drawn_from_the_probability(simulation: Simulation) -> None:
    label, probability = simulation.walk.samples["label"], simulation.walk.probability
    for low, high in ((0.0, 0.05), (0.05, 0.2), (0.2, 0.5), (0.5, 1.0)):
        rows = (probability >= low) & (probability < high)
        spread = math.sqrt((probability[rows] * (1.0 - probability[rows])).sum())
        assert abs(label[rows].sum() - probability[rows].sum()) < 4.0 * spread


def test_three_clicks_in_a_category_raise_it() -> None:
    world = World(SEED)
    shoppers = Shoppers(world, SEED, 100)
    shoppers.walk()
    rng = np.random.default_rng(SEED)
    rows = np.arange(100)
    categories = rng.integers(world.n_categories, size=100)
    time_ms = shoppers.histories.sums(rows).last_time_ms + 3_600_000
    items = np.stack([draw_items(world, rng, categories) for _ in range(5)], axis=1)
    shown = Impressions(items, time_ms + 10_000, np.ones(100, np.int64), np.full(100, NO_ITEM))
    before = world.click_probability(shoppers.histories.sums(rows), shown)
    for k in range(3):
        clicked = draw_items(world, rng, categories)
        types = np.full(100, CLICK)
        shoppers.histories.append(rows, clicked, categories, types, time_ms + 1_000 * k)
    after = world.click_probability(shoppers.histories.sums(rows), shown)
    assert (after > 1.3 * before).all(axis=1).sum() >= 80


@pytest.mark.parametrize("file_format", ["parquet", "csv"])
def test_command_writes_both_tables_and_the_world(tmp_path: Path, file_format: str) -> None:
    out = tmp_path / "sim"
    options = ["--seed", "3", "--users", "40", "--days", "12", "--format", file_format]
    result = CliRunner().invoke(simulate, [*options, "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    assert "oracle AUC" in result.output
    read = pl.read_csv if file_format == "csv" else pl.read_parquet
    events, samples = read(out / f"events.{file_format}"), read(out / f"samples.{file_format}")
    world = json.loads((out / "world.json").read_text())
    assert world["n_events"] == len(events)
    assert sum(split["n"] for split in world["splits"].values()) == len(samples)
    assert events["user_id"].n_unique() == world["n_users"] == 40
    expected = simulate_walk(3, 40, 12.0)
    assert samples["time_ms"].to_list() == expected.samples_table()["time_ms"].to_list()


@pytest.mark.parametrize("users", ["0", "1"])
def test_command_refuses_what_leaves_a_split_empty(tmp_path: Path, users: str) -> None:
    options = ["--seed", "3", "--users", users, "--days", "0.1", "--out", str(tmp_path / "sim")]
    result = CliRunner().invoke(simulate, options)
    assert isinstance(result.exception, ConfigurationError)
    assert not (tmp_path / "sim").exists()
