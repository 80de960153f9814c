"""Reads and checkpoints from other threads while batches are applied: every answer is a prefix."""

import threading
import time
from pathlib import Path
from typing import Any

from factories import (
    DecayUpdater,
    make_batch,
    make_center,
    make_history,
    plain_state,
    plain_user,
    small_config,
)
from reference.interest_state import Event, ReferenceCenter, User

from interest_center.answers import PartitionRead
from interest_center.stores.rocksdb import RocksStore


class SlowUpdater(DecayUpdater):
    """Takes its time, so that reads come in between slices."""

    def update_many(self, *columns: Any) -> None:
        time.sleep(0.003)
        super().update_many(*columns)


USERS = range(1, 81)
CATEGORIES = range(1, 9)


def test_every_answer_is_a_recomputation_at_the_offset_that_it_states(tmp_path: Path) -> None:
    config, limits = small_config()
    events = make_history(41, 2000, n_users=80)
    center = make_center(RocksStore(tmp_path / "s"), config, SlowUpdater(), hot_users=60)
    center._scanner._n_slice = 16
    answers: list[PartitionRead] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            answers.append(center.read(list(USERS), list(CATEGORIES)))

    def checkpoint() -> None:
        while not done.is_set():
            center.checkpoint()
            done.wait(0.01)

    threads = [threading.Thread(target=target) for target in (read, checkpoint)]
    for thread in threads:
        thread.start()
    for start in range(0, len(events), 250):
        center.apply(make_batch(events[start : start + 250], start))
    done.set()
    for thread in threads:
        thread.join()
    center.close()
    watermarks = [answer.watermark for answer in answers]
    assert watermarks == sorted(watermarks)
    assert len({watermark for watermark in watermarks if watermark % 250}) > 10
    assert_prefixes(answers, events, ReferenceCenter(limits))


def assert_prefixes(
    answers: list[PartitionRead], events: list[Event], twin: ReferenceCenter
) -> None:
    by_offset: dict[int, PartitionRead] = {}
    for answer in answers:
        assert by_offset.setdefault(answer.watermark, answer).states == answer.states
    at = 0
    for watermark, answer in by_offset.items():
        twin.apply(events[at:watermark])
        at = watermark
        for user, stored in zip(USERS, answer.states, strict=True):
            expected = plain_user(twin.users.get(user, User()), DecayUpdater())
            assert plain_state(stored) == expected
