"""Line 8: what a ranking process with a catalog of a million items takes, and how soon it ranks."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from models.bundle import load_bundle, untrained_bundle
from models.vocabulary import Vocabulary
from prove.benches import spread
from prove.reading import Connection
from prove.rows import Bench, Check, equal, figure
from prove.system import Service, System
from streams.bench.measuring import peak_memory

N_ITEMS, N_TRAINED, N_CATEGORIES = 1_000_000, 500_000, 10_000
MODEL = "din+mimn"
RUNS = 3
N_REQUESTS, N_CANDIDATES = 1_000, 100
#: How many times as long as the later ones the first request may take.
MOST_OF_FIRST = 3.0


def prove(bench: Bench) -> Iterator[Check]:
    """Start a ranking worker without and with the catalog, and ask."""
    bundle, catalog = bench.workspace / "bundle", bench.workspace / "catalog.parquet"
    write_bundle(bundle, bench.seed)
    width = load_bundle(bundle).ranker.model.config.item_dim
    write_catalog(catalog, width, bench.rng(8))
    yield figure(
        "catalog",
        f"{N_ITEMS:,} items with category and price, {N_ITEMS - N_TRAINED:,} of them unknown to "
        f"the bundle and with an embedding of {width}; file {catalog.stat().st_size / 1e6:,.0f} MB",
    )
    with System(bench.workspace / "system", bundle=bundle) as system:
        system.start_broker()
        worker = system.start_worker()
        worker.wait_ready()
        for name, settings in (("no catalog", {}), ("a catalog", {"catalog": str(catalog)})):
            yield from started(bench, system, worker.url, name, settings)
        yield from replaced(bench, system, worker.url, catalog)


def write_bundle(directory: Path, seed: int) -> None:
    """Write a bundle of random weights that knows the first items."""
    items = np.arange(1, N_TRAINED + 1, dtype=np.uint64)
    untrained_bundle(directory, MODEL, seed, Vocabulary.from_pairs(items, items % N_CATEGORIES + 1))


def write_catalog(path: Path, width: int, rng: np.random.Generator) -> None:
    """Write a catalog of all items, the new ones with embeddings."""
    items = np.arange(1, N_ITEMS + 1)
    vectors = pl.Series(rng.normal(0, 0.05, (N_ITEMS, width)).astype(np.float32))
    frame = pl.DataFrame(
        {
            "item_id": items,
            "category_id": items % N_CATEGORIES + 1,
            "price": np.round(np.exp(rng.normal(3.5, 0.8, N_ITEMS)), 2),
            "embedding": vectors.cast(pl.List(pl.Float32)),
        }
    )
    new = pl.col("item_id") > N_TRAINED
    frame.with_columns(pl.when(new).then(pl.col("embedding"))).write_parquet(path)


def started(
    bench: Bench, system: System, worker_url: str, name: str, settings: dict[str, str]
) -> Iterator[Check]:
    """Start a few times; show seconds, memory, and the first request beside later ones."""
    seconds, memory, first, later = [], [], [], []
    for number in range(RUNS):
        bench.say(f"{name}, start {number + 1} of {RUNS}")
        ranker = system.start_ranker(worker_urls=worker_url, **settings)
        seconds.append(ranker.wait_ready())
        times = request_times(ranker.url, bench.rng(8, number))
        first.append(times[0])
        later.append(float(np.median(times[1:])))
        memory.append(resident_mib(ranker))
        peak = peak_memory(ranker.child.pid) / 2**20
        ranker.stop()
    yield figure(f"{name}: start to ready, s", spread(seconds, ".1f"))
    yield figure(f"{name}: resident memory, MiB", f"{spread(memory)}; at most {peak:,.0f}")
    yield Check(
        f"{name}: the first request, ms (median of the next {N_REQUESTS - 1})",
        f"{spread(first, '.2f')} ({spread(later, '.2f')})",
        f"at most {MOST_OF_FIRST:g} times as long",
        float(np.median(first)) <= MOST_OF_FIRST * float(np.median(later)),
    )


def request_times(url: str, rng: np.random.Generator) -> list[float]:
    """Ask for different users, one after the other; return milliseconds."""
    connection, times = Connection(url), []
    connection.get("/health/ready")
    for user in range(N_REQUESTS):
        items = rng.choice(N_ITEMS, N_CANDIDATES, replace=False) + 1
        body = {
            "user_id": str(user + 1),
            "candidates": [{"item_id": str(item)} for item in items.tolist()],
        }
        text = json.dumps(body).encode()
        begun = time.perf_counter()
        connection.call("POST", "/v1/rank", text)
        times.append(1e3 * (time.perf_counter() - begun))
    connection.close()
    return times


def replaced(bench: Bench, system: System, worker_url: str, catalog: Path) -> Iterator[Check]:
    """Replace the file while requests go on."""
    bench.say("the catalog is replaced")
    own = catalog.with_name("replaced.parquet")
    shutil.copyfile(catalog, own)
    ranker = system.start_ranker(worker_urls=worker_url, catalog=str(own))
    ranker.wait_ready()
    half = pl.read_parquet(own).head(N_ITEMS // 2)
    draft = own.with_suffix(".new.parquet")
    half.write_parquet(draft)
    draft.rename(own)
    longest, begun, connection = 0.0, time.monotonic(), Connection(ranker.url)
    body = {"user_id": "1", "candidates": [{"item_id": "1"}, {"item_id": "900000"}]}
    while ranker.said().count("catalog_used") < 2 and time.monotonic() - begun < 60:
        asked = time.perf_counter()
        connection.post("/v1/rank", body)
        longest = max(longest, time.perf_counter() - asked)
        time.sleep(0.005)
    connection.close()
    yield equal("a replaced file is in use within a minute", ranker.said().count("catalog_used"), 2)
    yield figure("longest request meanwhile, ms", f"{1e3 * longest:.1f}")
    ranker.stop()


def resident_mib(service: Service) -> float:
    """Return the memory of a process now."""
    pages = int(Path(f"/proc/{service.child.pid}/statm").read_text().split()[1])
    return pages * 4_096 / 2**20
