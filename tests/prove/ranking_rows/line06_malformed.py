"""Line 6: wrong requests over HTTP: each a 4xx that names the field, none ties up a worker."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ranking_requests import MALFORMED, request_with

from prove.bundles import bundle_for
from prove.content_hashes import ROOT
from prove.logs import read_taobao
from prove.reading import Connection
from prove.rows import Bench, Check, equal
from prove.system import System

N_SLOW = 300
#: Longer than the ranking worker waits for a body.
SLOW_SECONDS = 15.0
#: Of each operation, by schemathesis.
N_EXAMPLES = 300


def prove(bench: Bench) -> Iterator[Check]:
    """Send every wrong request there is to a ranking worker, then one that never ends."""
    events = read_taobao(bench)
    bundle = bundle_for(events, bench.workspace / "bundle", bench.seed)
    with System(bench.workspace / "system", bundle=bundle) as system:
        system.start_broker()
        worker = system.start_worker()
        worker.wait_ready()
        ranker = system.start_ranker(worker_urls=worker.url)
        ranker.wait_ready()
        yield from refused(ranker.url)
        yield from slow_clients(ranker.url)
        yield from generated(ranker.url, bench)
        status, _ = Connection(ranker.url).call("POST", "/v1/rank", request_with())
        yield equal("a good request afterwards", status, 200)
        yield equal("tracebacks in the log", ranker.said().count("Traceback"), 0)


def refused(url: str) -> Iterator[Check]:
    """Send every wrong request; each is answered by a 4xx with the field."""
    statuses: Counter[int] = Counter()
    wrong = []
    for name, (body, field) in MALFORMED.items():
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        connection.request("POST", "/v1/rank", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        told = json.loads(answer.read())
        connection.close()
        statuses[answer.status] += 1
        too_large = answer.status == 413
        if answer.status // 100 != 4 or not (too_large or told.get("field") == field):
            wrong.append(f"{name}: {answer.status} {told}")
    yield Check(
        f"{len(MALFORMED)} wrong requests",
        "; ".join(wrong[:4]) or ", ".join(f"{k}: {n}" for k, n in sorted(statuses.items())),
        "at least 60, each a 4xx that names the field",
        not wrong and len(MALFORMED) >= 60,
    )


def slow_clients(url: str) -> Iterator[Check]:
    """Begin many requests and never end them; others are answered meanwhile."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    head = f"POST /v1/rank HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    slow = [socket.create_connection((host, port), 5) for _ in range(N_SLOW)]
    for one in slow:
        one.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
    connection = Connection(url)
    began, asked, answered, longest = time.monotonic(), 0, 0, 0.0
    while time.monotonic() - began < SLOW_SECONDS:
        sent = time.monotonic()
        status, _ = connection.call("POST", "/v1/rank", request_with())
        longest = max(longest, time.monotonic() - sent)
        asked += 1
        answered += status == 200
        time.sleep(0.05)
    yield Check(
        f"good requests beside {N_SLOW} clients that never end theirs",
        f"{answered} of {asked} answered with 200, the longest took {1e3 * longest:.0f} ms",
        "all, within a second",
        answered == asked > 0 and longest < 1.0,
    )
    cut = 0
    for one in slow:
        one.settimeout(5)
        cut += one.recv(4_096).startswith(b"HTTP/1.1 408")
        one.close()
    yield equal("slow clients cut off with 408", cut, N_SLOW)


def generated(url: str, bench: Bench) -> Iterator[Check]:
    """Let schemathesis make requests out of the OpenAPI document, right and wrong ones."""
    program = Path(sys.executable).with_name("schemathesis")
    argv = [
        str(program), "run", f"{url}/schema/openapi.json",
        "--seed", str(bench.seed), "--checks", "all",
        # What no schema says (each item once, bids for all or none) is refused with 400 as well.
        "--exclude-checks", "positive_data_acceptance",
        "--max-examples", str(N_EXAMPLES), "--continue-on-failure", "--no-color",
    ]  # fmt: skip
    hooks = {"SCHEMATHESIS_HOOKS": "prove.schemathesis_hooks", "PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(
        argv,
        env=os.environ | hooks,
        cwd=bench.workspace,
        capture_output=True,
        text=True,
        check=False,
    )
    summary = " ".join(done.stdout.rpartition("SUMMARY")[2].split()) or done.stderr
    found = re.search(r"(\d+) generated", summary)
    n_made = int(found.group(1)) if found else 0
    yield Check(
        "schemathesis on the OpenAPI document",
        f"status {done.returncode}, {n_made:,} requests made: {summary[-400:].strip(' =')}",
        "status 0, at least 1,000 requests",
        done.returncode == 0 and n_made >= 1_000,
    )
