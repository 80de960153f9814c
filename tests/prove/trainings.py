"""Trainings of a proof: what was trained before with the same data, recipe and code is not again.

Results lie outside the clone, each under a hash of everything that it follows from: contents of the
tables, recipe, seed, the code of the models, and the locked packages. Everything is made by the
commands that a user has: ``uic convert``, ``uic train``, ``uic evaluate``.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from prove.content_hashes import code_hash, content_hash, hash_of
from prove.system import UIC, Process, SystemFailedError

JOBS = 2
POLL_SECONDS = 0.2


def cache_dir() -> Path:
    """Return where results are kept: ``UIC_PROVE_CACHE``, or the user's cache directory."""
    named = os.environ.get("UIC_PROVE_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(named) if named else Path(home) / "uic-prove"


@dataclass(frozen=True)
class Tables:
    """Event and sample tables, and the rules of their states.

    Attributes:
        directory: Holds ``events.parquet``, ``samples.parquet`` and, if need be, ``state.json``.
        key: Hash of their contents.
    """

    directory: Path
    key: str

    @classmethod
    def at(cls, directory: Path) -> "Tables":
        """Name the tables of a directory."""
        files = [directory / name for name in ("events.parquet", "samples.parquet", "state.json")]
        return cls(directory, content_hash(file for file in files if file.exists()))

    @property
    def arguments(self) -> list[str]:
        """The two tables, for ``uic train`` and ``uic evaluate``."""
        events, samples = (self.directory / f"{name}.parquet" for name in ("events", "samples"))
        return ["--events", str(events), "--samples", str(samples)]

    @property
    def rules(self) -> list[str]:
        """The rules of the states, for ``uic train``."""
        path = self.directory / "state.json"
        return ["--state-config", str(path)] if path.exists() else []


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        label: Name of its row.
        tables: What it trains on.
        recipe: Model and values, as a recipe file holds them.
        seed: Of weights and order.
    """

    label: str
    tables: Tables
    recipe: Mapping[str, Any]
    seed: int = 0

    @property
    def key(self) -> str:
        """Hash of everything that the result follows from."""
        return hash_of(self.tables.key, dict(self.recipe), self.seed, code_hash())


@dataclass(frozen=True)
class Result:
    """What came of a training.

    Attributes:
        training: The training.
        bundle: Directory of its bundle.
        figures: What ``uic evaluate --split test --json`` says of it.
        validation: Figures of validation that the best epoch was chosen by.
        seconds: How long it trained.
    """

    training: Training
    bundle: Path
    figures: dict[str, Any]
    validation: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class World:
    """A simulated world.

    Attributes:
        tables: Its tables, without the true probability of a click.
        directory: The world as it was simulated, with that probability.
    """

    tables: Tables
    directory: Path


@dataclass
class _Job:
    training: Training
    place: Path
    steps: list[tuple[str, list[str]]]
    process: Process | None = None
    done: list[str] = field(default_factory=list)


class Trainings:
    """Trains what is missing, two at a time with one thread each.

    Args:
        workspace: For logs of the running ones.
        say: Shows a sentence beside the progress bar.
    """

    def __init__(self, workspace: Path, say: Callable[[str], None]) -> None:
        self._workspace = workspace
        self._say = say
        self._root = cache_dir()
        self._env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def tables(self, name: str, source: Path, *arguments: str) -> Tables:
        """Return the tables that ``uic convert NAME`` makes of a public log.

        Args:
            name: Of the log.
            source: Its directory.
            arguments: Further ones of the command.
        """
        files = sorted(file for file in source.rglob("*") if file.is_file())
        key = hash_of(name, arguments, content_hash(files), code_hash(but=()))
        place = self._root / "tables" / f"{name}-{key}"
        if not place.exists():
            rough = place.with_name(place.name + f".{os.getpid()}")
            argv = ["convert", name, "--data", str(source), "--out", str(rough), *arguments]
            self._run(f"convert-{name}", argv)
            rough.rename(place)
        return Tables.at(place)

    def with_rules(self, tables: Tables, **rules: object) -> Tables:
        """Return the same tables with other state rules."""
        place = self._root / "tables" / f"{tables.key}-{hash_of(rules)}"
        if not place.exists():
            rough = place.with_name(place.name + f".{os.getpid()}")
            rough.mkdir(parents=True)
            told = json.loads((tables.directory / "state.json").read_text())
            (rough / "state.json").write_text(json.dumps({**told, **rules}))
            for name in ("events.parquet", "samples.parquet"):
                (rough / name).symlink_to(tables.directory / name)
            rough.rename(place)
        return Tables.at(place)

    def world(self, seed: int, *arguments: str) -> World:
        """Return the world that ``uic simulate`` makes.

        Args:
            seed: Of the world.
            arguments: Further ones of the command.
        """
        key = hash_of(arguments, code_hash(but=()))
        place = self._root / "tables" / f"world-{seed}-{key}"
        if not place.exists():
            rough = place.with_name(place.name + f".{os.getpid()}")
            argv = ["simulate", "--seed", str(seed), "--out", str(rough / "seen"), *arguments]
            self._run("simulate", argv)
            (rough / "world").mkdir()
            samples = rough / "seen" / "samples.parquet"
            samples.rename(rough / "world" / "samples.parquet")
            shown = pl.read_parquet(rough / "world" / "samples.parquet").drop("probability")
            shown.write_parquet(samples)
            rough.rename(place)
        return World(Tables.at(place / "seen"), place / "world")

    def evaluation(self, result: Result, *arguments: str) -> dict[str, Any]:
        """Return what ``uic evaluate --split test --json`` says with further arguments.

        Bundles named in the arguments must be those of results.
        """
        tables = result.training.tables
        place = self._root / "evaluations" / f"{hash_of(result.training.key, arguments)}.json"
        if not place.exists():
            argv = ["evaluate", "--bundle", str(result.bundle), *tables.arguments]
            argv += ["--split", "test", "--json", *arguments]
            found = json_of(self._run(f"evaluate-{result.training.label}", argv))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps(found))
        found = json.loads(place.read_text())
        assert isinstance(found, dict)
        return found

    def results(self, trainings: Sequence[Training]) -> list[Result]:
        """Return the results of trainings, in order; those that are missing are trained.

        Raises:
            SystemFailedError: A training failed.
        """
        missing = [one for one in trainings if not (self._place(one) / "figures.json").exists()]
        waiting = [self._job(one) for one in {one.key: one for one in missing}.values()]
        running: list[_Job] = []
        n_all = len(waiting)
        try:
            while waiting or running:
                while waiting and len(running) < JOBS:
                    running.append(self._begin(waiting.pop(0)))
                self._say(
                    f"training {n_all - len(waiting) - len(running)} of {n_all} done: "
                    + ", ".join(f"{job.training.label} #{job.training.seed}" for job in running)
                )
                running = [job for job in running if not self._go_on(job)]
        finally:
            for job in running:
                if job.process is not None:
                    job.process.stop()
        return [self._result(one) for one in trainings]

    def _place(self, training: Training) -> Path:
        return self._root / "trainings" / training.key

    def _job(self, training: Training) -> _Job:
        place = self._place(training)
        place.mkdir(parents=True, exist_ok=True)
        recipe = place / "recipe.json"
        recipe.write_text(json.dumps(dict(training.recipe) | {"seed": training.seed}))
        bundle, tables = str(place / "bundle"), training.tables
        train = ["train", *tables.arguments, *tables.rules, "--recipe", str(recipe)]
        train += ["--out", bundle, "--threads", "1"]
        evaluate = ["evaluate", "--bundle", bundle, *tables.arguments, "--split", "test"]
        evaluate += ["--threads", "1", "--json"]
        return _Job(training, place, [("train", train), ("evaluate", evaluate)])

    def _begin(self, job: _Job) -> _Job:
        """Start the next step of a job."""
        name, arguments = job.steps[len(job.done)]
        log = job.place / f"{name}.log"
        log.unlink(missing_ok=True)
        job.process = Process(f"{job.training.label} {name}", [UIC, *arguments], self._env, log)
        return job

    def _go_on(self, job: _Job) -> bool:
        """Look after a job; tell whether it is over."""
        assert job.process is not None
        try:
            status = job.process.wait(POLL_SECONDS)
        except SystemFailedError:
            return False
        if status:
            raise SystemFailedError(f"{job.process.name}: {job.process.tail()}")
        job.done.append(job.steps[len(job.done)][0])
        if len(job.done) < len(job.steps):
            self._begin(job)
            return False
        rough = job.place / "figures.json.tmp"
        rough.write_text(json.dumps(json_of(job.process)))
        rough.rename(job.place / "figures.json")
        return True

    def _result(self, training: Training) -> Result:
        place = self._place(training)
        manifest = json.loads((place / "bundle" / "manifest.json").read_text())
        return Result(
            training,
            place / "bundle",
            json.loads((place / "figures.json").read_text()),
            manifest["metrics"]["validation"],
            float(manifest["metrics"]["training_seconds"]),
        )

    def _run(self, name: str, arguments: list[str]) -> Process:
        """Run one command to its end; return it."""
        self._workspace.mkdir(parents=True, exist_ok=True)
        process = Process(name, [UIC, *arguments], self._env, self._workspace / f"{name}.log")
        try:
            while process.alive:
                try:
                    process.wait(1.0)
                except SystemFailedError:
                    self._say(f"{name} is running")
        finally:
            status = process.stop()
        if status:
            raise SystemFailedError(f"{name}: {process.tail()}")
        return process


def json_of(process: Process) -> Any:
    """Return the object that a command printed after its progress."""
    said = process.said()
    return json.loads(said[said.index('{"') :])


def with_seeds(
    label: str, tables: Tables, recipe: Mapping[str, Any], n_seeds: int
) -> list[Training]:
    """Return a training a seed, 0, 1, ..."""
    return [Training(label, tables, recipe, seed) for seed in range(n_seeds)]


def by_label(results: Sequence[Result]) -> Iterator[tuple[str, list[Result]]]:
    """Yield the results of each row, in the order of the first of each."""
    for label in dict.fromkeys(one.training.label for one in results):
        yield label, [one for one in results if one.training.label == label]


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation over seeds; a single one has no deviation."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return float(np.mean(values)), spread
