"""Time of a ranking over HTTP: 100 candidates, users with 100 behaviors and memory, one at a time.

Everything is real but the log: the ranking worker is a process of its own, and so is an interest
worker (its HTTP and its engine, filled without Kafka). Users differ from request to request. The
two workers and this client share the machine's cores: what else runs on it counts as well.
"""

import argparse
import asyncio
import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from interest_nodes import Cluster, worker_node

from models.bundle import load_updater, untrained_bundle
from streams.ports import choose_ports

TIME_MS = 1_764_000_000_000
STAGES = ("parse", "state", "queue", "score", "order", "total")


def fill(cluster: Cluster, n_users: int, n_behaviors: int) -> None:
    """Give every user a history."""
    rng = np.random.default_rng(0)
    for user in range(n_users):
        items = rng.integers(1, 1000, n_behaviors)
        cluster.push(
            [
                {
                    "user_id": f"u{user}",
                    "item_id": str(item),
                    "category_id": str(item % 50 + 1),
                    "event_type": "click",
                    "event_time_ms": TIME_MS + at,
                }
                for at, item in enumerate(items.tolist())
            ]
        )


def bodies(n_requests: int, n_users: int, n_candidates: int) -> list[bytes]:
    """Return requests for one user after the other."""
    rng = np.random.default_rng(1)
    return [
        json.dumps(
            {
                "user_id": f"u{number % n_users}",
                "candidates": [
                    {"item_id": str(item)}
                    for item in rng.choice(1000, n_candidates, replace=False) + 1
                ],
            }
        ).encode()
        for number in range(n_requests)
    ]


def wait_ready(port: int, process: subprocess.Popen) -> None:
    """Wait until the ranker is ready."""
    while process.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)
    sys.exit("the ranker ended")


def measure(port: int, requests: list[bytes]) -> tuple[np.ndarray, dict[str, int], str]:
    """Send the requests one after the other; return milliseconds, degradations, metrics."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    degraded: dict[str, int] = {}
    took = np.zeros(len(requests))
    for number, body in enumerate(requests):
        began = time.perf_counter()
        connection.request("POST", "/v1/rank", body, {"content-type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        took[number] = (time.perf_counter() - began) * 1000
        reason = str(answer["degraded"])
        degraded[reason] = degraded.get(reason, 0) + 1
    connection.request("GET", "/metrics")
    return took, degraded, connection.getresponse().read().decode()


def report(took: np.ndarray, degraded: dict[str, int], metrics: str) -> None:
    """Print the figures."""
    figures = [took.min(), *np.percentile(took, (50, 90, 99)), took.max()]
    shown = "  ".join(
        f"{name} {figure:.2f}"
        for name, figure in zip(("min", "p50", "p90", "p99", "max"), figures, strict=True)
    )
    click.echo(f"rank over HTTP, ms: {shown}  ({len(took)} requests, degraded: {degraded})")
    for stage in STAGES:
        total, count = (
            float(re.search(rf'uic_rank_seconds_{part}{{stage="{stage}"}} (\S+)', metrics)[1])
            for part in ("sum", "count")
        )
        click.echo(f"  {stage:6s} mean {1000 * total / count:.3f} ms")


async def serve_states(directory: Path, n_users: int, n_behaviors: int) -> None:
    """Be an interest worker until the process is ended; prints its URL when it is filled."""
    cluster = Cluster(load_updater(directory))
    fill(cluster, n_users, n_behaviors)
    async with worker_node(cluster, {0, 1, 2, 3}) as node:
        click.echo(node.url)
        await asyncio.Event().wait()


def run(directory: Path, options: argparse.Namespace) -> None:
    """Start both workers, measure, end them."""
    this = [sys.executable, __file__, "--users", str(options.users), "--serve", str(directory)]
    states = subprocess.Popen(
        [*this, "--behaviors", str(options.behaviors)], stdout=subprocess.PIPE, text=True
    )
    assert states.stdout is not None
    (port,) = choose_ports(0)
    ranker = subprocess.Popen(
        [
            sys.executable, "-m", "interest_center.cli", "ranker", "--bundle", str(directory),
            "--port", str(port), "--worker-urls", states.stdout.readline().strip(),
            "--deadline-ms", str(options.deadline_ms),
        ],
    )  # fmt: skip
    try:
        wait_ready(port, ranker)
        report(*measure(port, bodies(options.requests, options.users, options.candidates)))
    finally:
        for process in (ranker, states):
            process.terminate()
            process.wait()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--behaviors", type=int, default=100)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--bundle", type=Path, help="default: random weights")
    parser.add_argument("--deadline-ms", type=int, default=50)
    parser.add_argument("--port", type=int, help="of a ranker that runs already; users u0, u1, ...")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve_states(options.serve, options.users, options.behaviors))
        return
    if options.port:
        report(*measure(options.port, bodies(options.requests, options.users, options.candidates)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        if options.bundle is None:
            untrained_bundle(Path(temporary))
        run(options.bundle or Path(temporary), options)


if __name__ == "__main__":
    main()
