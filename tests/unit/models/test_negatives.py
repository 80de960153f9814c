"""Drawing of negatives: what each policy draws, what none may draw, and that a seed decides."""

import numpy as np
import pytest

from models.negatives import (
    CATEGORY,
    NO_ITEM,
    POLICIES,
    POPULARITY,
    UNIFORM,
    Done,
    Ints,
    Policy,
    Pool,
    Positives,
    draw_negatives,
)

N_USERS, N_ITEMS = 7, 12


class Log:
    """Random events, all of them positives; items of even codes are of category 0."""

    def __init__(self, seed: int, n: int = 60) -> None:
        rng = np.random.default_rng(seed)
        self.users = rng.integers(0, N_USERS, n)
        self.items = rng.integers(0, N_ITEMS, n)
        # Few moments, so that many events share theirs.
        self.times_ms = np.sort(rng.integers(0, 15, n))
        self.categories = np.arange(N_ITEMS) % 2

    def draw(self, policy: str, per_positive: int, seed: int = 0) -> Ints:
        return draw_negatives(
            Policy(policy, per_positive),
            Pool(self.items, self.items, self.categories),
            Positives(self.users, self.items, self.times_ms),
            Done(self.users, self.items, self.times_ms, N_ITEMS),
            np.random.default_rng(seed),
        )

    def done_until(self, row: int) -> set[int]:
        """Return what the user of an event did before or at its moment, by plain loops."""
        return {
            int(item)
            for user, item, time_ms in zip(self.users, self.items, self.times_ms, strict=True)
            if user == self.users[row] and time_ms <= self.times_ms[row]
        }


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("per_positive", [1, 3, 11])
def test_nothing_done_is_drawn_and_nothing_twice(policy: str, per_positive: int) -> None:
    for seed in range(5):
        log = Log(seed)
        in_pool = set(log.items.tolist())
        for row, drawn in enumerate(log.draw(policy, per_positive, seed).tolist()):
            found = [item for item in drawn if item != NO_ITEM]
            free = in_pool - log.done_until(row)
            assert set(found) <= free, f"seed {seed}, row {row}"
            assert len(found) == len(set(found)) == min(per_positive, len(free))


def test_what_is_done_later_may_be_drawn() -> None:
    users, items, times_ms = np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([1, 2, 1])
    drawn = draw_negatives(
        Policy(UNIFORM, 1),
        Pool(items, items, np.zeros(2, np.int64)),
        Positives(users, items, times_ms),
        Done(users, items, times_ms, 2),
        np.random.default_rng(0),
    )
    assert drawn.tolist() == [[1], [NO_ITEM], [1]]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_seed_decides(policy: str) -> None:
    log = Log(1)
    assert (log.draw(policy, 4, 5) == log.draw(policy, 4, 5)).all()
    assert (log.draw(policy, 4, 5) != log.draw(policy, 4, 6)).any()


def many(policy: str) -> Ints:
    """Draw one item for each of many users without a past; item k is chosen k times as often."""
    n = 30_000
    chosen = np.repeat(np.arange(5), np.arange(5))
    everything = np.concatenate((np.arange(5), chosen))
    nobody = np.array([n])
    counted: list[int] = []
    drawn = draw_negatives(
        Policy(policy, 1),
        Pool(everything, chosen, np.array([0, 0, 0, 1, 1])),
        Positives(np.arange(n), np.full(n, 3), np.ones(n, np.int64)),
        Done(nobody, np.array([0]), np.array([9]), 5),
        np.random.default_rng(0),
        counted.append,
    )
    assert len(counted) > 1
    assert sum(counted) == n
    return np.bincount(drawn[:, 0], minlength=5)


def test_uniform_draws_all_alike() -> None:
    assert many(UNIFORM) == pytest.approx(np.full(5, 6000), rel=0.05)


def test_popularity_draws_as_often_as_chosen() -> None:
    assert many(POPULARITY) == pytest.approx(np.arange(5) * 3000, rel=0.05)


def test_category_draws_from_the_category_of_the_positive() -> None:
    assert many(CATEGORY) == pytest.approx([0, 0, 0, 15_000, 15_000], rel=0.05)


def test_an_empty_category_gives_way_to_the_rest_of_the_pool() -> None:
    items = np.array([0, 1, 2])
    drawn = draw_negatives(
        Policy(CATEGORY, 2),
        Pool(items, items, np.array([0, 0, 1])),
        Positives(np.array([0]), np.array([0]), np.array([1])),
        Done(np.array([0]), np.array([0]), np.array([1]), 3),
        np.random.default_rng(0),
    )
    assert sorted(drawn[0].tolist()) == [1, 2]
