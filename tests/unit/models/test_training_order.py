"""The order of an epoch: every request once, walks and users whole, decided by the seed alone."""

import numpy as np
import pytest

from models.training_order import Grouping, Ints, Padding, epoch_parts

REQUESTS = np.arange(100, 400)


def make_grouping(seed: int = 0) -> Grouping:
    rng = np.random.default_rng(seed)
    return Grouping(rng.integers(0, 30, len(REQUESTS)), 20 * rng.integers(0, 5, len(REQUESTS)))


def make_padding(longest: int = 2_000) -> Padding:
    return Padding(np.random.default_rng(0).integers(0, longest, len(REQUESTS)), 16)


def parts_of(grouping: Grouping | Padding, part_size: int, seed: int = 1) -> list[Ints]:
    return epoch_parts(REQUESTS, grouping, part_size, np.random.default_rng(seed))


@pytest.mark.parametrize("walks", [False, True])
@pytest.mark.parametrize("part_size", [1, 40, 299, 100_000])
def test_every_request_comes_once(walks: bool, part_size: int) -> None:
    parts = parts_of(make_grouping() if walks else make_padding(), part_size)
    assert sorted(np.concatenate(parts).tolist()) == REQUESTS.tolist()
    assert all(len(part) for part in parts)


def test_requests_of_a_walk_are_neighbours_and_users_are_in_one_part() -> None:
    grouping = make_grouping()
    parts = parts_of(grouping, 20)
    assert len(parts) > 3
    users = [set(grouping.users[part - 100].tolist()) for part in parts]
    assert sum(map(len, users)) == len(set.union(*users))
    order = np.concatenate(parts) - 100
    walk = grouping.users[order] * 1000 + grouping.starts[order]
    assert (np.diff(walk) != 0).sum() + 1 == len(np.unique(walk))


def test_parts_hold_about_as_many_walks_as_wanted() -> None:
    grouping = make_grouping()
    for part in parts_of(grouping, 20):
        walks = np.unique(grouping.users[part - 100] * 1000 + grouping.starts[part - 100])
        assert len(walks) <= 20 + 5, "more only by the walks of one user"


def test_the_generator_alone_decides_the_order() -> None:
    for grouping in (make_padding(), make_padding(100), make_grouping()):
        one, same, other = (np.concatenate(parts_of(grouping, 40, seed)) for seed in (1, 1, 2))
        assert one.tolist() == same.tolist()
        assert one.tolist() != other.tolist()


def test_users_are_not_walked_from_first_to_last() -> None:
    """Walks of a part come at random: else consecutive steps would see the same users."""
    grouping = make_grouping()
    order = parts_of(grouping, 100_000)[0] - 100
    steps = np.abs(np.diff(grouping.users[order]))
    assert steps.mean() > 3


def test_a_batch_holds_histories_of_like_length() -> None:
    padding = make_padding()
    for part in parts_of(padding, 150):
        order = padding.lengths[part - 100]
        batches = [order[first : first + 16] for first in range(0, len(order), 16)]
        padded = sum(len(batch) * batch.max() for batch in batches)
        at_random = sum(len(batch) * order.max() for batch in batches)
        assert order.sum() < padded < 0.8 * at_random
        longest = [batch.max() for batch in batches[:-1]]
        assert longest != sorted(longest), "long histories come at random, not in the end"


def test_short_histories_come_wholly_at_random() -> None:
    order = np.concatenate(parts_of(make_padding(100), 100_000))
    assert order.tolist() == np.random.default_rng(1).permutation(REQUESTS).tolist()
