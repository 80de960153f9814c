"""The capacity formula, and ``uic plan``."""

import itertools
import json
import math
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from factories import DecayUpdater

from interest_center.cli import cli
from interest_center.core.layout import StateConfig
from streams.planning.capacity import (
    Assumptions,
    Demand,
    event_cost,
    events_of_round,
    plan,
    users_touched,
)
from streams.planning.user_weight import UserWeight, simulated_shop, weigh_users

WEIGHT = UserWeight(1_900.0, 1_400.0, 10.0, 600.0, 3_600.0, 9_000.0)
DEMAND = Demand(
    users=1e6,
    events_per_second=1e4,
    event_bytes=200,
    replication=3,
    retention_days=7,
    standbys=0,
    snapshot_interval_seconds=300,
    hot_memory_bytes=512 << 20,
)
ASSUMED = Assumptions()
ITEMS = simulated_shop().items


def test_the_same_users_again_cost_less_than_new_ones() -> None:
    assert users_touched(10, 1_000) == pytest.approx(10)
    assert users_touched(1e9, 1_000) == pytest.approx(1_000, rel=1e-5)
    few, many = events_of_round(1_000, 1e4), events_of_round(1e7, 1e4)
    assert few > 4 * many


def test_an_event_of_many_users_writes_its_row_and_one_of_few_users_the_journal() -> None:
    many = event_cost(WEIGHT, 1e8, 1e4, ASSUMED)
    assert many.users_written == pytest.approx(1, rel=0.01)
    # Its profile, its memory, and the one sub-sequence it has changed.
    assert many.record_bytes == pytest.approx(50 + 1_900 + 600 + 140, rel=0.01)
    few = event_cost(WEIGHT, 100, 1e4, ASSUMED)
    assert few.record_bytes == pytest.approx(50, rel=0.1)
    assert few.disk_bytes < many.disk_bytes / 20
    assert few.cpu_us < many.cpu_us


@pytest.mark.parametrize("name", ["users", "events_per_second"])
def test_more_of_anything_needs_no_less_of_anything(name: str) -> None:
    plans = [plan(replace(DEMAND, **{name: 1e4 * 10**i}), WEIGHT, ASSUMED) for i in range(6)]
    for less, more in itertools.pairwise(plans):
        assert less.workers <= more.workers
        assert less.partitions <= more.partitions
        assert less.state_bytes <= more.state_bytes
        assert less.kafka.in_bytes_per_second <= more.kafka.in_bytes_per_second
    assert plans[0].workers < plans[-1].workers
    assert all(one.partitions % one.workers == 0 for one in plans)


def test_the_number_of_workers_says_what_it_follows_from() -> None:
    assert plan(DEMAND, WEIGHT, ASSUMED).bound_by == "CPU"
    small_disks = replace(ASSUMED, worker_disk_bytes=1e8)
    assert plan(DEMAND, WEIGHT, small_disks).bound_by == "disk space"
    slow_disks = replace(ASSUMED, disk_bytes_per_second=1e6)
    assert plan(DEMAND, WEIGHT, slow_disks).bound_by == "disk writes"


def test_a_standby_doubles_what_is_read_and_kept_but_not_what_is_sent_in() -> None:
    without = plan(DEMAND, WEIGHT, ASSUMED)
    with_one = plan(replace(DEMAND, standbys=1), WEIGHT, ASSUMED)
    assert with_one.workers >= 2
    assert with_one.kafka.out_bytes_per_second == 2 * without.kafka.out_bytes_per_second
    assert with_one.kafka.in_bytes_per_second == without.kafka.in_bytes_per_second
    disk = with_one.worker.disk_bytes * with_one.workers
    assert disk == pytest.approx(2 * without.worker.disk_bytes * without.workers)


def test_a_user_weighs_what_its_rings_hold() -> None:
    config = StateConfig(n_behaviors=10, n_event_ids=10, n_subsequences=4)
    weights = [weigh_users(config, None, ITEMS, n, 8) for n in (1, 10, 100, 1_000)]
    assert weights[0].n_subsequences == 1
    assert weights[0].total < weights[1].total < weights[2].total
    # Profile and directory are full; only their widths may still change.
    assert weights[3].profile == pytest.approx(weights[2].profile, rel=0.1)
    assert weights[3].n_subsequences == 4
    with_memory = weigh_users(config, DecayUpdater(), ITEMS, 10, 8)
    # The numbers fill whole words of 64 bits.
    assert with_memory.memory == 18 + 16 + 24 + 8 * math.ceil(DecayUpdater.row_floats / 2)
    assert with_memory.profile == weights[1].profile
    # Compressed, with some index.
    assert all(0.3 < one.on_disk / one.total < 1.1 for one in (*weights, with_memory))


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["plan", *arguments])


def test_the_command_tells_demand_plan_and_assumptions() -> None:
    asked = ("--users", "600M", "--events-per-second", "1M", "--events-per-user", "20")
    done = run(*asked, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["demand"]["users"] == 600e6
    assert told["plan"]["state_bytes"] == pytest.approx(
        600e6 * told["user"]["on_disk"] * told["assumptions"]["space_ratio"]
    )
    shown = run(*asked)
    assert shown.exit_code == 0
    for text in ("600,000,000 users", "workers", "Kafka: in", "Assumed", "utilisation"):
        assert text in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--users", "many", "--events-per-second", "1"), "'many' is no amount"),
        (("--users", "0", "--events-per-second", "1"), "not between 1 and"),
        (("--users", "1M"), "--events-per-second"),
        (("--users", "1", "--events-per-second", "1", "--model", "din+none"), "none"),
    ],
)
def test_a_demand_that_cannot_be_read_is_told(arguments: tuple[str, ...], says: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert says in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(("text", "number"), [("600M", 6e8), ("1.5k", 1_500), ("2K", 2_000),
                                              ("1_000", 1_000), ("3B", 3e9)])  # fmt: skip
def test_amounts_are_read_as_people_write_them(text: str, number: float) -> None:
    done = run("--users", text, "--events-per-second", "1", "--events-per-user", "1", "--json")
    assert json.loads(done.stdout)["demand"]["users"] == number
