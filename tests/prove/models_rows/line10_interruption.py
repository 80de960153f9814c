"""Line 10: `uic train`, killed at random points and started again, ends with the same weights."""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle_files import read_files
from models.training_state import state_path
from prove.rows import Bench, Check, figure
from prove.system import UIC, Process, SystemFailedError
from prove.trainings import JOBS, Result, Training, Trainings

WORLD_SEED, WORLD = 10, ("--users", "800")
#: Long enough that several states are written, one each half a minute; in parts of few seconds.
RECIPES: dict[str, dict[str, Any]] = {
    "din": {"model": "din", "epochs": 12, "patience": 12, "part_size": 2_048},
    "dien+mimn": {"model": "dien+mimn", "epochs": 6, "patience": 6, "part_size": 2_048},
}
#: The first kill comes early; the others as long after a state was written, at most.
N_KILLS, FIRST_SECONDS, LATER_SECONDS = 4, 25.0, 28.0
MIN_TAKEN_UP = 2
LOOK_SECONDS = 0.05
LIFE_SECONDS = 1_800.0
_TAKEN_UP = re.compile(r"taken up where it was left: (epoch \d+, step [\d,]+)")

Tensors = Mapping[str, NDArray[Any]]


@dataclass
class Interrupted:
    """A training that was killed again and again.

    Attributes:
        label: Its model.
        bundle: Directory of its bundle.
        kills: Seconds after the start of a life, and whether a state of that life lay there.
        taken_up: Where the lives after a kill began.
    """

    label: str
    bundle: Path
    kills: list[tuple[float, bool]] = field(default_factory=list)
    taken_up: list[str] = field(default_factory=list)

    def told(self) -> str:
        """Return the kills and what was taken up in one sentence."""
        points = ", ".join(
            f"{seconds:.1f} s{'' if written else ' (no state written)'}"
            for seconds, written in self.kills
        )
        return f"killed after {points}; taken up at {'; '.join(self.taken_up) or 'no point'}"


def interrupt(bench: Bench, training: Training, rng: np.random.Generator) -> Interrupted:
    """Train with kills in between, to the end."""
    place = bench.workspace / training.label
    place.mkdir()
    recipe = place / "recipe.json"
    recipe.write_text(json.dumps(dict(training.recipe) | {"seed": training.seed}))
    found = Interrupted(training.label, place / "bundle")
    argv = [UIC, "train", *training.tables.arguments, *training.tables.rules]
    argv += ["--recipe", str(recipe), "--out", str(found.bundle), "--threads", "1"]
    for life in range(N_KILLS + 1):
        process = Process(
            f"{training.label}, life {life + 1}",
            argv,
            {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
            place / f"life-{life + 1}.log",
        )
        try:
            ended = not _killed(process, found, rng if life < N_KILLS else None)
        finally:
            process.kill_9()
        if life and (point := _TAKEN_UP.search(process.said())):
            found.taken_up.append(point.group(1))
        bench.say(f"{process.name}: {found.told()}")
        if ended:
            break
    if process.child.returncode:
        raise SystemFailedError(f"{process.name}: {process.tail()}")
    return found


def _killed(process: Process, found: Interrupted, rng: np.random.Generator | None) -> bool:
    """Kill a life at a random point, or let it live without ``rng``; tell whether it was killed."""
    if rng is None:
        process.wait(LIFE_SECONDS)
        return False
    state, early = state_path(found.bundle), not found.kills
    before = _written_at(state)
    while not early and process.alive and _written_at(state) == before:
        time.sleep(LOOK_SECONDS)
    deadline = time.monotonic() + rng.uniform(0, FIRST_SECONDS if early else LATER_SECONDS)
    while process.alive and time.monotonic() < deadline:
        time.sleep(min(LOOK_SECONDS, max(deadline - time.monotonic(), 0)))
    if not process.alive:
        return False
    seconds = time.monotonic() - process.started_at
    process.kill_9()
    found.kills.append((seconds, _written_at(state) != before))
    return True


def _written_at(state: Path) -> int:
    try:
        return state.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def differing(one: Tensors, other: Tensors) -> list[str]:
    """Return the names of the tensors that are not the same to the last bit."""
    return [
        name
        for name in sorted({*one, *other})
        if name not in one
        or name not in other
        or one[name].dtype != other[name].dtype
        or one[name].shape != other[name].shape
        or one[name].tobytes() != other[name].tobytes()
    ]


def prove(bench: Bench) -> Iterator[Check]:
    """Train without an interruption, then with kills; compare weights and figures."""
    trainings = Trainings(bench.workspace / "logs", bench.say)
    tables = trainings.world(WORLD_SEED, *WORLD).tables
    wanted = [Training(label, tables, recipe) for label, recipe in RECIPES.items()]
    whole = trainings.results(wanted)
    with ThreadPoolExecutor(JOBS) as threads:
        running = [
            threads.submit(interrupt, bench, training, bench.rng(10, number))
            for number, training in enumerate(wanted)
        ]
        interrupted = [one.result() for one in running]
    for result, found in zip(whole, interrupted, strict=True):
        yield from compared(result, found)


def compared(whole: Result, found: Interrupted) -> Iterator[Check]:
    """Compare an interrupted training with the uninterrupted one."""
    label = whole.training.label
    yield figure(f"{label}: uninterrupted", f"{whole.seconds:.0f} s")
    yield Check(
        f"{label}: SIGKILL",
        found.told(),
        f"at least {MIN_TAKEN_UP} times taken up",
        len(found.taken_up) >= MIN_TAKEN_UP,
    )
    (manifest, one), (again, other) = read_files(whole.bundle), read_files(found.bundle)
    names = differing(one, other)
    text = f"{len(one)} tensors, {sum(t.size for t in one.values()):,} numbers the same"
    yield Check(
        f"{label}: weights",
        f"{len(names)} tensors differ: {', '.join(names[:4])}" if names else text,
        "the same to the last bit",
        bool(one) and not names,
    )
    epochs = [told.metrics["epochs"] for told in (manifest, again)]
    yield Check(
        f"{label}: figures of each epoch",
        f"{len(epochs[0])} epochs {'the same' if epochs[0] == epochs[1] else 'DIFFER'}",
        "the same",
        bool(epochs[0]) and epochs[0] == epochs[1],
    )
    left = state_path(found.bundle).exists()
    yield Check(f"{label}: state left", "yes" if left else "none", "none at the end", not left)
    seen = bool(differing(one, _one_bit_changed(one)))
    text = "seen" if seen else "NOT SEEN"
    yield Check(f"{label}: one bit changed", text, "seen by the comparison", seen)


def _one_bit_changed(tensors: Tensors) -> Tensors:
    name = max(tensors, key=lambda name: tensors[name].size)
    raw = bytearray(tensors[name].tobytes())
    raw[len(raw) // 2] ^= 1
    changed = np.frombuffer(bytes(raw), tensors[name].dtype).reshape(tensors[name].shape)
    return {**tensors, name: changed}
