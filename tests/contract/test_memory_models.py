"""Every long-term memory of the registry x every check that a memory passes."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memories import (
    SEED,
    Subject,
    embeddings,
    fresh_rows,
    make_stream,
    make_subject,
    walk_twin,
)

from interest_center.core.protocols import MemoryUpdater
from models.bundle import load_bundle, load_updater, untrained_bundle
from models.registry import MEMORIES
from models.vocabulary import Vocabulary


@pytest.fixture(scope="module", params=sorted(MEMORIES))
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return make_subject(request.param, tmp_path_factory.mktemp("bundle"))


def run(updater: MemoryUpdater, stream: tuple[Any, Any, Any], n_users: int) -> np.ndarray:
    rows = fresh_rows(updater, n_users)
    updater.update_many(rows, *stream)
    return rows


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
    for column, kept in zip(stream, before, strict=True):
        np.testing.assert_array_equal(column, kept)
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
    """Within 1e-4 of a float64 loop, which follows the product where two choices are as right."""
    _, items, categories = make_stream(n_events, 1, seed)
    rows = fresh_rows(subject.updater, 1)
    state = subject.twin.initial_state(subject.weights)
    for k, x in enumerate(embeddings(subject, items, categories)):
        before = rows[0].copy()
        now = slice(k, k + 1)
        subject.updater.update_many(rows, np.zeros(1, np.int64), items[now], categories[now])
        choices = subject.twin.choices_of(before, rows[0], subject.weights)
        state = subject.twin.step(state, x, subject.weights, **choices)
        if k % 50 == 0:
            np.testing.assert_allclose(rows[0], subject.twin.row(state), atol=1e-4, rtol=0)
    np.testing.assert_allclose(rows[0], subject.twin.row(state), atol=1e-4, rtol=0)


def test_the_twin_comparison_can_fail(subject: Subject) -> None:
    _, items, categories = make_stream(12, 1)
    rows = run(subject.updater, (np.zeros(12, np.int64), items, categories), 1)
    for wrong in (items[[0, 2, 1, *range(3, 12)]], items[:-1], np.append(items, items[-1])):
        state = walk_twin(subject, wrong, np.resize(categories, len(wrong)))
        assert np.abs(rows[0] - subject.twin.row(state)).max() > 1e-3


def test_equals_the_torch_module(subject: Subject) -> None:
    """The module that trains gives the rows that the scan serves, from wherever users are."""
    n_users, length = 6, 80
    rows = fresh_rows(subject.updater, n_users)
    subject.updater.update_many(rows, *make_stream(50, n_users - 1))
    counts = subject.updater.config.fields_of(rows)["n_events"]
    assert len(set(counts.tolist())) > 3, "users are at events of different numbers"
    _, items, categories = make_stream(n_users * length, n_users)
    model = subject.bundle.ranker.model
    known = subject.bundle.vocabulary
    with torch.no_grad():
        state = model.memory.state_of(torch.from_numpy(rows.copy()))
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


def test_the_module_begins_where_the_scan_begins(subject: Subject) -> None:
    memory = subject.bundle.ranker.model.memory
    begun = memory.initial_state(3)
    stored = memory.state_of(torch.from_numpy(fresh_rows(subject.updater, 3)))
    fresh = memory.fresh_where(torch.tensor([True, False, True]), stored)
    for field, one, other, third in zip(begun._fields, begun, stored, fresh, strict=True):
        np.testing.assert_array_equal(one.detach(), other, err_msg=field)
        np.testing.assert_array_equal(one.detach(), third.detach(), err_msg=field)


@pytest.mark.parametrize("n_events", [0, 1, 60])
def test_read_equals_the_numpy_twin(subject: Subject, n_events: int) -> None:
    """What a candidate reads from a row that the scan wrote."""
    _, items, categories = make_stream(n_events, 1)
    rows = run(subject.updater, (np.zeros(n_events, np.int64), items, categories), 1)
    state = walk_twin(subject, items, categories)
    memory = subject.bundle.ranker.model.memory
    candidates = np.array([3, 999], np.uint64)
    queries = list(embeddings(subject, candidates, np.zeros(2, np.uint64)))
    with torch.no_grad():
        stored = memory.state_of(torch.from_numpy(rows))
        found = memory.read(stored, torch.tensor([queries], dtype=torch.float32))[0].numpy()
    for query, one in zip(queries, found, strict=True):
        expected = subject.twin.candidate_read(state, query, subject.weights)
        np.testing.assert_allclose(one, expected, atol=1e-4, rtol=0)


def test_gradients_are_finite_for_users_of_any_length(subject: Subject) -> None:
    """Without events, with one, and with many; of what is read and of the regulariser."""
    rows = fresh_rows(subject.updater, 3)
    subject.updater.update_many(rows, np.repeat([1, 2], [1, 40]), *make_stream(41, 1)[1:])
    memory = copy.deepcopy(subject.bundle.ranker.model.memory).requires_grad_()
    state = memory.state_of(torch.from_numpy(rows))
    state = memory.fresh_where(torch.tensor([True, False, False]), state)
    event = torch.randn(3, 1, memory.config.event_dim, requires_grad=True)
    assert memory.default_penalty > 0
    moved = memory.step(state, event[:, 0])
    interest = memory.interest(moved, event)
    assert interest.shape == (3, 1, memory.interest_dim)
    loss = interest.sum() + memory.regulariser(moved, 1.0) + memory.regulariser(state, 1.0)
    parameters = [event, *memory.parameters()]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    assert found[0] is not None
    assert all(torch.isfinite(gradient).all() for gradient in found if gradient is not None)


def test_items_after_training_have_the_rows_of_their_buckets(
    subject: Subject, tmp_path: Path
) -> None:
    items = np.arange(1, 1001, dtype=np.uint64)
    vocabulary = replace(Vocabulary.from_pairs(items, items % 50 + 1), n_buckets=7)
    untrained_bundle(tmp_path, f"din+{subject.name}", SEED, vocabulary)
    bundle = load_bundle(tmp_path)
    assert bundle.updater is not None
    strangers = np.arange(5000, 5100, dtype=np.uint64)
    rows = np.tile(bundle.updater.initial_row(), (100, 1))
    nothing = np.zeros(100, np.uint64)
    bundle.updater.update_many(rows, np.arange(100), strangers, nothing)
    assert len(np.unique(rows, axis=0)) == 7
    model = bundle.ranker.model
    with torch.no_grad():
        state = model.memory.initial_state(100)
        event = model.embed(
            torch.from_numpy(vocabulary.item_rows(strangers)),
            torch.from_numpy(vocabulary.category_rows(strangers, nothing)),
        )
        state = model.memory.step(state, event)
    stored = model.memory.state_of(torch.from_numpy(rows))
    for field, trained, served in zip(state._fields, state, stored, strict=True):
        np.testing.assert_allclose(served, trained, atol=1e-5, rtol=0, err_msg=field)


def test_summary_is_plain_and_tells_the_events(subject: Subject) -> None:
    import json

    rows = run(subject.updater, make_stream(9, 1), 1)
    summary = json.loads(json.dumps(subject.updater.summarise(rows[0])))
    assert summary["n_events"] == 9
    assert summary["slot_norms"]
    assert all(np.isfinite(summary["slot_norms"]))


def test_fingerprint_follows_weights_and_embeddings(subject: Subject, tmp_path: Path) -> None:
    untrained_bundle(tmp_path, model=f"din+{subject.name}", seed=SEED + 1)
    other = load_updater(tmp_path)
    assert other is not None
    assert other.fingerprint not in (0, subject.updater.fingerprint)
    untrained_bundle(tmp_path, model=f"din+{subject.name}", seed=SEED)
    same = load_updater(tmp_path)
    assert same is not None
    assert same.fingerprint == subject.updater.fingerprint
