"""Share, rate and rest of a replay, and how often it is told."""

import pytest
from structlog.testing import capture_logs

from streams import replay as replay_module
from streams.replay import Replay


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(replay_module, "time", clock)
    return clock


def test_what_is_left_follows_from_the_rate_so_far(clock: Clock) -> None:
    replay = Replay(0)
    replay.begin(1_000, 5_000)
    assert replay.share(1_000) == 0.0
    assert replay.seconds_left(1_000) is None
    clock.now += 2
    assert replay.share(2_000) == 0.25
    assert replay.rate(2_000) == 500.0
    assert replay.seconds_left(2_000) == 6.0


def test_past_the_end_nothing_is_left(clock: Clock) -> None:
    replay = Replay(0)
    replay.begin(10, 10)
    assert (replay.share(10), replay.seconds_left(10)) == (1.0, 0.0)
    replay.begin(10, 20)
    clock.now += 1
    assert (replay.share(25), replay.seconds_left(25)) == (1.0, 0.0)


def test_it_is_told_once_in_ten_seconds_and_at_the_end(clock: Clock) -> None:
    replay = Replay(3)
    replay.begin(0, 1_000)
    with capture_logs() as lines:
        for position in range(0, 1_001, 50):
            replay.tell(position)
            clock.now += 2
        replay.tell_done(1_000)
    told = [line for line in lines if line["event"] == "partition_replays"]
    assert [line["position"] for line in told] == [250, 500, 750]
    assert told[1] | {"partition": 3, "per_second": 25, "seconds_left": 20} == told[1]
    assert lines[-1]["event"] == "partition_ready"
    assert lines[-1]["replayed"] == 1_000
    assert lines[-1]["seconds"] == 42.0
