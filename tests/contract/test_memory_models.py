"""Every long-term memory of the registry x every check that a memory passes."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from interest_center.core.protocols import MemoryUpdater
from models.bundle import Bundle, load_bundle, load_updater, untrained_bundle
from models.bundle_files import read_manifest, read_tensors
from models.registry import MEMORIES

SEED = 20240611


@dataclass(frozen=True)
class Subject:
    """One memory model: as the worker, the trainer and the twin see the same weights."""

    name: str
    directory: Path
    updater: MemoryUpdater
    bundle: Bundle
    twin: ModuleType
    weights: dict[str, Any]


@pytest.fixture(scope="module", params=sorted(MEMORIES))
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    directory = tmp_path_factory.mktemp("bundle")
    untrained_bundle(directory, model=f"din+{request.param}", seed=SEED)
    updater = load_updater(directory)
    assert updater is not None
    tensors = importlib.import_module(f"models.{request.param}_updater").TENSORS
    found = read_tensors(directory, read_manifest(directory))
    return Subject(
        name=request.param,
        directory=directory,
        updater=updater,
        bundle=load_bundle(directory),
        twin=importlib.import_module(f"reference.{request.param}"),
        weights={field: found[name].astype(np.float64).tolist() for field, name in tensors.items()},
    )


def make_stream(n_events: int, n_users: int, seed: int = SEED) -> tuple[Any, Any, Any]:
    """Row indices, items and categories; some items unknown, some categories absent."""
    rng = np.random.default_rng(seed)
    users = rng.integers(0, n_users, n_events)
    items = rng.integers(1, 1300, n_events).astype(np.uint64)
    categories = rng.integers(0, 60, n_events).astype(np.uint64)
    return users, items, categories


def fresh_rows(updater: MemoryUpdater, n_users: int) -> np.ndarray:
    return np.tile(updater.initial_row(), (n_users, 1))


def run(updater: MemoryUpdater, stream: tuple[Any, Any, Any], n_users: int) -> np.ndarray:
    rows = fresh_rows(updater, n_users)
    updater.update_many(rows, *stream)
    return rows


def embeddings(
    subject: Subject, items: np.ndarray, categories: np.ndarray
) -> Iterator[list[float]]:
    """What the twin gets of each event: looked up here with dictionaries, not by the product."""
    item_rows = {item: item for item in range(1, 1001)}
    category_rows = {category: category for category in range(1, 51)}
    for item, category in zip(items.tolist(), categories.tolist(), strict=True):
        known = category or (item % 50 + 1 if item in item_rows else 0)
        yield (
            subject.weights["item_table"][item_rows.get(item, 0)]
            + subject.weights["category_table"][category_rows.get(known, 0)]
        )


def test_batch_equals_loop(subject: Subject) -> None:
    users, items, categories = make_stream(400, 7)
    together = run(subject.updater, (users, items, categories), 7)
    alone = fresh_rows(subject.updater, 7)
    for user in range(7):
        mine = users == user
        row = np.ascontiguousarray(alone[user : user + 1])
        subject.updater.update_many(
            row, np.zeros(mine.sum(), np.int64), items[mine], categories[mine]
        )
        alone[user] = row[0]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("cuts", [(1,), (3, 50, 51), tuple(range(1, 120))])
def test_any_split_gives_the_state_of_one_pass(subject: Subject, cuts: tuple[int, ...]) -> None:
    stream = make_stream(120, 5)
    rows = fresh_rows(subject.updater, 5)
    for first, last in zip((0, *cuts), (*cuts, 120), strict=True):
        subject.updater.update_many(rows, *(column[first:last] for column in stream))
    np.testing.assert_array_equal(rows, run(subject.updater, stream, 5))


def test_saved_and_loaded_rows_continue_as_if_never_stopped(subject: Subject) -> None:
    stream = make_stream(200, 3)
    rows = fresh_rows(subject.updater, 3)
    subject.updater.update_many(rows, *(column[:90] for column in stream))
    again = np.frombuffer(rows.tobytes(), np.float32).reshape(rows.shape).copy()
    other_process = load_updater(subject.directory)
    assert other_process is not None
    assert other_process.fingerprint == subject.updater.fingerprint
    other_process.update_many(again, *(column[90:] for column in stream))
    np.testing.assert_array_equal(again, run(subject.updater, stream, 3))


def test_inputs_and_rows_of_others_are_untouched(subject: Subject) -> None:
    stream = make_stream(50, 3)
    before = tuple(column.copy() for column in stream)
    for column in stream:
        column.setflags(write=False)
    rows = run(subject.updater, stream, 6)
    np.testing.assert_array_equal(rows[3:], fresh_rows(subject.updater, 3))
    for column, copy in zip(stream, before, strict=True):
        np.testing.assert_array_equal(column, copy)
    assert not np.array_equal(rows[:3], fresh_rows(subject.updater, 3))


def test_initial_row_is_a_copy(subject: Subject) -> None:
    subject.updater.initial_row()[:] = 7
    assert not (subject.updater.initial_row() == 7).all()


def test_long_history_stays_finite_and_of_constant_size(subject: Subject) -> None:
    stream = make_stream(20_000, 1)
    rows = run(subject.updater, stream, 1)
    assert rows.shape == (1, subject.updater.row_floats)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()


def test_deterministic(subject: Subject) -> None:
    stream = make_stream(300, 4)
    assert run(subject.updater, stream, 4).tobytes() == run(subject.updater, stream, 4).tobytes()


def test_unknown_ids_are_accepted_and_equal_each_other(subject: Subject) -> None:
    rows = fresh_rows(subject.updater, 2)
    strangers = np.array([2**63 + 5, 2**64 - 1], np.uint64)
    subject.updater.update_many(rows, np.arange(2), strangers, np.array([2**63, 0], np.uint64))
    assert np.isfinite(rows).all()
    np.testing.assert_array_equal(rows[0], rows[1])


def test_missing_category_is_looked_up_by_item(subject: Subject) -> None:
    rows = fresh_rows(subject.updater, 2)
    items = np.array([120, 120], np.uint64)
    subject.updater.update_many(rows, np.arange(2), items, np.array([0, 120 % 50 + 1], np.uint64))
    np.testing.assert_array_equal(rows[0], rows[1])


def test_no_events_change_nothing(subject: Subject) -> None:
    rows = fresh_rows(subject.updater, 2)
    nothing = np.zeros(0, np.int64)
    subject.updater.update_many(rows, nothing, nothing.astype(np.uint64), nothing.astype(np.uint64))
    np.testing.assert_array_equal(rows, fresh_rows(subject.updater, 2))


@pytest.mark.parametrize(("n_events", "seed"), [(1, 1), (40, 2), (600, 3)])
def test_equals_the_numpy_twin(subject: Subject, n_events: int, seed: int) -> None:
    """Within 1e-4 of a float64 loop; where the top channel is a near tie, the product's choice."""
    _, items, categories = make_stream(n_events, 1, seed)
    rows = fresh_rows(subject.updater, 1)
    state = subject.twin.initial_state(subject.weights)
    for k, x in enumerate(embeddings(subject, items, categories)):
        before = rows[0].copy()
        now = slice(k, k + 1)
        subject.updater.update_many(rows, np.zeros(1, np.int64), items[now], categories[now])
        chosen = subject.twin.moved_channels(before, rows[0], subject.weights)
        state = subject.twin.step(state, x, subject.weights, chosen=chosen)
        if k % 50 == 0:
            np.testing.assert_allclose(rows[0], subject.twin.row(state), atol=1e-4, rtol=0)
    np.testing.assert_allclose(rows[0], subject.twin.row(state), atol=1e-4, rtol=0)


def test_slots_do_not_become_one(subject: Subject) -> None:
    """With equal slots the choice of a channel is rounding noise, and all hold what one does."""
    _, items, categories = make_stream(600, 1, 4)
    state = subject.twin.initial_state(subject.weights)
    for x in embeddings(subject, items, categories):
        state = subject.twin.step(state, x, subject.weights)
    assert np.mean(np.array(state.margins[100:]) < 1e-5) < 0.01
    slots = np.array(state.memory)
    distances = np.linalg.norm(slots[:, None] - slots[None], axis=-1)
    assert distances[np.triu_indices(len(slots), 1)].min() > 0.1


def test_the_twin_comparison_can_fail(subject: Subject) -> None:
    _, items, categories = make_stream(12, 1)
    rows = run(subject.updater, (np.zeros(12, np.int64), items, categories), 1)
    for wrong in (items[[0, 2, 1, *range(3, 12)]], items[:-1], np.append(items, items[-1])):
        state = subject.twin.initial_state(subject.weights)
        for x in embeddings(subject, wrong, np.resize(categories, len(wrong))):
            state = subject.twin.step(state, x, subject.weights)
        assert np.abs(rows[0] - subject.twin.row(state)).max() > 1e-3


def test_equals_the_torch_module(subject: Subject) -> None:
    """The module that trains gives the rows that the scan serves."""
    n_users, length = 6, 80
    _, items, categories = make_stream(n_users * length, n_users)
    model = subject.bundle.ranker.model
    known = subject.bundle.vocabulary
    rows = fresh_rows(subject.updater, n_users)
    with torch.no_grad():
        state = model.memory.initial_state(n_users)
        for t in range(length):
            now = slice(t * n_users, (t + 1) * n_users)
            subject.updater.update_many(rows, np.arange(n_users), items[now], categories[now])
            event = model.embed(
                torch.from_numpy(known.item_rows(items[now])),
                torch.from_numpy(known.category_rows(items[now], categories[now])),
            )
            state = model.memory.step(state, event)
        stored = model.memory.state_of(torch.from_numpy(rows))
    for field, trained, served in zip(state._fields, state, stored, strict=True):
        np.testing.assert_allclose(served, trained, atol=1e-4, rtol=0, err_msg=field)


def test_summary_is_plain_and_tells_the_events(subject: Subject) -> None:
    import json

    rows = run(subject.updater, make_stream(9, 1), 1)
    summary = json.loads(json.dumps(subject.updater.summarise(rows[0])))
    assert summary["n_events"] == 9
    assert all(np.isfinite(summary["slot_norms"]))
    assert len(summary["slot_use"]) == len(summary["slot_norms"])


def test_fingerprint_follows_weights_and_embeddings(subject: Subject, tmp_path: Path) -> None:
    untrained_bundle(tmp_path, model=f"din+{subject.name}", seed=SEED + 1)
    other = load_updater(tmp_path)
    assert other is not None
    assert other.fingerprint not in (0, subject.updater.fingerprint)
    untrained_bundle(tmp_path, model=f"din+{subject.name}", seed=SEED)
    same = load_updater(tmp_path)
    assert same is not None
    assert same.fingerprint == subject.updater.fingerprint
