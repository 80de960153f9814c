"""A very hot user, and a burst: the other users are served meanwhile, and nothing is lost."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from worker_process import Sender, WorkerProcess, wait_until

from interest_center.core.ids import partition_of
from interest_center.settings import Settings
from streams.bench.loading import load_topic
from streams.bench.workload import Workload

pytestmark = pytest.mark.kafka

N_PARTITIONS = 4
HOT, N_USERS = 1, 200
N_OF_HOT, N_OF_OTHERS = 400_000, 4_000


class OneHotUser(Workload):
    """Nearly all events are one user's."""

    def users(self) -> NDArray[np.int64]:
        """Return the user of each event, ``[n_events]``."""
        rng = np.random.default_rng(self.seed)
        others = rng.integers(HOT + 1, self.n_users + 1, N_OF_OTHERS)
        return rng.permutation(np.concatenate([np.full(N_OF_HOT, HOT), others]))


def place(user: int) -> int:
    """Return the partition of a user."""
    return partition_of(b"%d" % user, N_PARTITIONS)


def events_of(worker: WorkerProcess, user: int) -> tuple[int, int]:
    """Return the status of an answer, and the events that it tells of."""
    status, answer = worker.get(f"/v1/users/{user}/interest")
    return status, answer["event_count"] if status == 200 else 0


def test_a_hot_user_holds_up_its_own_partition_only(
    worker_settings: Settings, start: Callable[..., WorkerProcess]
) -> None:
    load = OneHotUser("none", "uniform", N_USERS, N_OF_HOT + N_OF_OTHERS, N_PARTITIONS, seed=1)
    load_topic(worker_settings, load, lambda _: None)
    counts = np.bincount(load.users())
    others = [user for user in range(HOT + 1, N_USERS + 1) if place(user) != place(HOT)]
    worker = start()

    def parts() -> dict[int, bool]:
        return {one["partition"]: one["ready"] for one in worker.partitions()}

    def others_are_ready() -> bool:
        return sum(ready for number, ready in parts().items() if number != place(HOT)) == 3

    wait_until(others_are_ready, "the other partitions are ready")
    assert not parts()[place(HOT)], "its backlog is a hundred times longer"
    asked = 0
    while not parts()[place(HOT)]:
        for user in others[asked % 50 :: 50]:
            assert events_of(worker, user) == (200, counts[user])
        asked += 1
    assert asked > 0
    assert events_of(worker, HOT) == (200, N_OF_HOT)


def test_a_burst_is_applied_while_states_are_read(
    sender: Sender, start: Callable[..., WorkerProcess]
) -> None:
    worker = start().wait_ready()
    sender.send(400)
    worker.wait_level()
    seen: list[tuple[int, int]] = []

    def read() -> None:
        status, answer = worker.get("/v1/users/user-0/interest")
        seen.append((status, answer["event_count"] if status == 200 else 0))

    with sender.producer() as producer:
        for number in range(20_000):
            user = f"user-{number % 50}"
            producer.send(sender.settings.events_topic, key=user.encode(), value=sender.event(user))
            if number % 500 == 0:
                read()
    while worker.counters()["applied"] < sender.n_sent:
        read()
    assert {status for status, _ in seen} == {200}
    counts = [count for _, count in seen]
    assert counts == sorted(counts)
    assert counts[0] >= 8, "of the first 400 events"
    sender.check(worker.url)
    assert worker.counters()["applied"] == sender.n_sent
