"""Line 8: trained bundles in the running system; its answers equal offline evaluation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.bundle import Bundle, load_bundle
from models.ctr_metrics import auc
from models.evaluate import Log
from models.split_scores import score, split_samples
from prove.reading import owned_partitions
from prove.replays import Asked, Request, ask, requests_of, rounds_of
from prove.rows import Bench, Check, equal
from prove.sending import send_plain
from prove.system import System
from prove.trainings import Result, Tables, Training, Trainings
from prove.verification import EVENTS_TOPIC, wait_caught_up

WORLD_SEED, WORLD = 10, ("--users", "800")
MODELS = ("din+mimn", "dei2n+hpmn", "dien")
EPOCHS = 2
SPLIT = "test"
N_REQUESTS = 2_000
TOLERANCE = 1e-5
N_PARTITIONS = 4
#: This line is not about time: a state that comes late would hide what it is about.
PATIENT_MS = 5_000
STALE_MS = 3_600_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Offline:
    """Scores of the whole split by row of the sample table.

    Attributes:
        auc: Of the live scores.
        live: As ``uic evaluate`` scores.
        stale: With states one hour old.
        bare: Without the memory, None for a model that has none.
    """

    auc: float
    live: dict[int, float]
    stale: dict[int, float]
    bare: dict[int, float] | None


def offline_scores(bundle: Bundle, tables: Tables) -> Offline:
    """Score the split offline."""
    log = Log(tables.directory / "events.parquet", tables.directory / "samples.parquet")
    data = log.join(bundle.state)
    shown = split_samples(data, log.samples, SPLIT)

    def by_row(scores: Floats) -> dict[int, float]:
        return dict(zip(shown.rows.tolist(), scores.tolist(), strict=True))

    live = score(bundle, data, SPLIT, bundle.updater)
    stale = score(bundle, log.join(bundle.state, STALE_MS), SPLIT, bundle.updater)
    bare = None if bundle.updater is None else by_row(score(bundle, data, SPLIT, None))
    return Offline(auc(shown.labels, live), by_row(live), by_row(stale), bare)


def replay(
    bench: Bench, result: Result, requests: list[Request]
) -> tuple[list[Asked], tuple[int, int]]:
    """Start the system with a bundle; push the users' events and ask at every moment.

    Returns:
        The requests with their answers, and how many events were sent and applied.
    """
    label = result.training.label
    events = result.training.tables.directory / "events.parquet"
    asked: list[Asked] = []
    n_sent = 0
    home = bench.workspace / label.replace("+", "-")
    with System(home, partitions=N_PARTITIONS, bundle=result.bundle) as system:
        system.start_broker()
        worker = system.start_worker()
        worker.wait_ready()
        ranker = system.start_ranker(worker_urls=worker.url, rank_deadline_ms=PATIENT_MS)
        ranker.wait_ready()
        for one in rounds_of(requests, events):
            n_sent += len(send_plain(system.bootstrap, EVENTS_TOPIC, one.messages))
            wait_caught_up(system, [worker])
            asked += ask(ranker.url, one)
            bench.say(f"{label}: {n_sent:,} events, {len(asked):,} of {len(requests):,} requests")
        parts = owned_partitions(worker.url).values()
        n_applied = sum(int(part["counters"]["applied"]) for part in parts)
    return asked, (n_sent, n_applied)


def compared(label: str, asked: list[Asked], bundle: Bundle, offline: Offline) -> Iterator[Check]:
    """Compare the answers with the offline scores."""
    odd = [f"{one.request.user}: {one.trouble}" for one in asked if one.trouble]
    yield Check(
        f"{label}: requests replayed",
        "; ".join([f"{len(asked):,}, {told_kinds(asked, bundle)}", *odd[:4]]),
        f"at least {N_REQUESTS:,}, each as of its user's last event before it, none degraded",
        len(asked) >= N_REQUESTS and not odd,
    )
    models = {one.answer["model"] for one in asked}
    yield equal(f"{label}: bundle that answered", models, {bundle.fingerprint})
    found = {row: p for one in asked for row, p in one.probabilities.items()}
    worst = float(np.max(differences(found, offline.live)))
    yield Check(
        f"{label}: largest difference to offline evaluation",
        f"{worst:.1e} over {len(found):,} candidates",
        f"at most {TOLERANCE:.0e}",
        worst <= TOLERANCE,
    )
    yield from would_be_seen(label, found, offline)


def would_be_seen(label: str, found: dict[int, float], offline: Offline) -> Iterator[Check]:
    """Show that the comparison fails where the state is not the one of the moment."""
    others = {"states one hour old": offline.stale}
    if offline.bare is not None:
        others["no memory"] = offline.bare
    for what, scores in others.items():
        share = float(np.mean(differences(found, scores) > TOLERANCE))
        yield Check(
            f"{label}: candidates that differ from scores with {what}",
            f"{share:.1%}",
            "most: the comparison would see it",
            share > 0.5,
        )


def differences(found: dict[int, float], scores: dict[int, float]) -> Floats:
    """Return the absolute differences, ``[n]``."""
    return np.abs([p - scores[row] for row, p in found.items()])


def told_kinds(asked: list[Asked], bundle: Bundle) -> str:
    """Say how many requests had what a model may read."""
    remembered = set(bundle.state.memory_types) if bundle.updater is not None else set()
    counts = {
        "with a memory": sum(_did(one, "event_type", remembered) for one in asked),
        "with a trigger": sum(one.request.trigger is not None for one in asked),
        "whose category the user had met": sum(
            one.request.trigger is not None
            and _did(one, "category_id", {one.request.trigger[1]} - {None})
            for one in asked
        ),
    }
    return ", ".join(f"{n:,} {what}" for what, n in counts.items())


def _did(one: Asked, column: str, values: set[Any]) -> bool:
    return any(event[column] in values for event in one.done)


def prove(bench: Bench) -> Iterator[Check]:
    """Train, then replay the same requests with each model."""
    trainings = Trainings(bench.workspace / "logs", bench.say)
    tables = trainings.world(WORLD_SEED, *WORLD).tables
    results = trainings.results(
        [Training(label, tables, {"model": label, "epochs": EPOCHS}) for label in MODELS]
    )
    torch.set_num_threads(1)
    samples = tables.directory / "samples.parquet"
    requests = requests_of(samples, SPLIT, N_REQUESTS, bench.rng(8))
    for result in results:
        label, bundle = result.training.label, load_bundle(result.bundle)
        bench.say(f"{label}: scoring offline")
        offline = offline_scores(bundle, tables)
        evaluated = float(result.figures["auc"])
        yield Check(
            f"{label}: AUC of the offline scores",
            f"{offline.auc:.6f}, uic evaluate {evaluated:.6f}",
            "the same",
            abs(offline.auc - evaluated) < 1e-9,
        )
        asked, (n_sent, n_applied) = replay(bench, result, requests)
        yield equal(f"{label}: events applied", n_applied, n_sent)
        yield from compared(label, asked, bundle, offline)
