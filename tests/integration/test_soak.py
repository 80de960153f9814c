"""The soak of `make prove SUITE=engine`, short: a steady stream, a worker that comes and goes."""

import json
from pathlib import Path

import pytest
from prove.soak import Soak
from prove.system import System

from streams.bench.workload import Workload

pytestmark = pytest.mark.kafka

SECONDS, RATE, REBALANCE_SECONDS = 40.0, 1_000.0, 9.0
N_USERS = 2_000


def test_nothing_is_left_and_nothing_differs_after_a_soak(tmp_path: Path) -> None:
    load = Workload("mimn", "uniform", N_USERS, int(SECONDS * RATE), 4, seed=1)
    settings = {**load.prepare(tmp_path / "model"), "partitions": 4}
    with System(tmp_path / "system", session_timeout_seconds=6, **settings) as system:
        system.start_broker()
        soak = Soak(system, load, RATE, REBALANCE_SECONDS, print)
        workers = soak.run()
        failed = [check for check in soak.told() if not check.ok]
        assert not failed, failed
        urls = ",".join(worker.url for worker in workers)
        done = system.run("verify", "--json", check=False, worker_urls=urls)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["clean"], told["users"], told["events"]) == (True, N_USERS, load.n_events)
