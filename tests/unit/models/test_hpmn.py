"""HPMN: its counter, its periods, what it tells of a memory, and that it learns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from memories import Subject, fresh_rows, make_stream, make_subject, walk_twin

from interest_center.core.errors import BundleError
from models.bundle_files import read_manifest, read_tensors
from models.hpmn import Hpmn, HpmnState, covariance_penalty
from models.hpmn_state import HpmnConfig
from models.hpmn_updater import HpmnUpdater
from models.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return make_subject("hpmn", tmp_path_factory.mktemp("bundle"))


def small_updater(periods: tuple[int, ...]) -> HpmnUpdater:
    """Return an updater of random weights: items 1 to 9 in category 1."""
    config = HpmnConfig(item_dim=3, category_dim=2, periods=periods, slot_dim=4)
    torch.manual_seed(1)
    model = Hpmn(config)
    items = np.arange(1, 10, dtype=np.uint64)
    vocabulary = Vocabulary.from_pairs(items, np.ones(9, np.uint64))
    tensors = {f"memory.{name}": value.numpy() for name, value in model.state_dict().items()}
    tensors["item_table.weight"] = np.random.default_rng(1).normal(size=(10, 3))
    tensors["category_table.weight"] = np.ones((2, 2))
    return HpmnUpdater(config, vocabulary, tensors)


@pytest.mark.parametrize("periods", [(1,), (1, 2, 4), (1, 3, 12), (1, 1, 5, 5, 10), (1, 2**24)])
@pytest.mark.parametrize("first", [0, 5, 2**24 - 7, 2**24 + 3, 10**12])
def test_slots_are_due_by_the_true_number_of_events(periods: tuple[int, ...], first: int) -> None:
    """Also where float32 no longer counts: the phase does."""
    updater = small_updater(periods)
    rows = updater.initial_row()[None].copy()
    fields = updater.config.fields_of(rows)
    fields["phase"] = first % periods[-1]
    fields["n_events"] = min(first, 2**24)
    last = {j: first // period * period for j, period in enumerate(periods)}
    for number in range(first + 1, first + 30):
        before = updater.config.fields_of(rows)["slots"][0].copy()
        item = np.array([number % 9 + 1], np.uint64)
        updater.update_many(rows, np.zeros(1, np.int64), item, np.ones(1, np.uint64))
        now = updater.config.fields_of(rows)
        moved = (before != now["slots"][0]).any(-1).tolist()
        assert moved == [number % period == 0 for period in periods]
        last |= {j: number for j, was in enumerate(moved) if was}
        told = updater.summarise(rows[0])
        assert told["n_events"] == min(number, 2**24)
        assert told["events_since_update"] == [
            number - last[j] if last[j] else None for j in range(len(periods))
        ]


def test_summary_tells_time_scales(subject: Subject) -> None:
    rows = fresh_rows(subject.updater, 1)
    told = subject.updater.summarise(rows[0])
    assert told["n_events"] == 0
    assert told["slot_use"] == told["slot_norms"] == [0.0] * 5
    assert told["events_since_update"] == [None] * 5
    _, items, categories = make_stream(11, 1)
    subject.updater.update_many(rows, np.zeros(11, np.int64), items, categories)
    told = subject.updater.summarise(rows[0])
    assert told["periods"] == [1, 2, 4, 8, 16]
    assert told["events_since_update"] == [0, 1, 3, 3, None]
    np.testing.assert_allclose(told["slot_use"], [1, 5 / 11, 2 / 11, 1 / 11, 0], atol=1e-6)
    expected = np.linalg.norm(walk_twin(subject, items, categories).slots, axis=1)
    np.testing.assert_allclose(told["slot_norms"], expected, atol=1e-4)


def test_longer_periods_remember_longer(subject: Subject) -> None:
    """What an event of long ago still changes lies in the slots of long periods."""
    n = 161
    _, items, _ = make_stream(n, 1)
    others = items.copy()
    others[:16] = items[:16][::-1]
    rows = fresh_rows(subject.updater, 2)
    for row, sent in enumerate((items, others)):
        subject.updater.update_many(rows, np.full(n, row), sent, np.zeros(n, np.uint64))
    slots = subject.updater.config.fields_of(rows)["slots"]
    changed = np.linalg.norm(slots[0] - slots[1], axis=-1)
    assert changed[3:].min() > 1e-4
    assert changed[:2].max() < 0.01 * changed[3:].min()


def test_the_norm_has_no_gradient_where_nothing_varies_together() -> None:
    """One written slot, or none: all covariances are 0."""
    slots = torch.zeros(2, 3, 4)
    slots[1, 0] = torch.randn(4)
    slots.requires_grad_()
    covariance_penalty(slots, "norm").sum().backward()
    assert slots.grad is not None
    assert not slots.grad.any()


def test_the_penalty_does_not_grow_with_the_batch() -> None:
    model = Hpmn(HpmnConfig(periods=(1, 2)))
    slots, zeros = torch.randn(6, 2, 32), torch.zeros(6)
    one = model.regulariser(HpmnState(slots, zeros, zeros), 2.0)
    twice = (torch.cat((column, column)) for column in (slots, zeros, zeros))
    torch.testing.assert_close(model.regulariser(HpmnState(*twice), 2.0), one)


@pytest.mark.parametrize(
    "values",
    [
        {"periods": []},
        {"periods": [2, 4]},
        {"periods": [1, 4, 2]},
        {"periods": [1, 4, 6]},
        {"periods": [1, 0]},
        {"periods": [1, 2**25]},
        {"covariance": "square"},
    ],
)
def test_wrong_sizes_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(BundleError):
        HpmnConfig.from_dict(values)


def test_a_configuration_comes_back_from_a_manifest(subject: Subject) -> None:
    values = subject.bundle.manifest["config"]["memory_config"]
    assert HpmnConfig.from_dict(values) == subject.updater.config
    assert subject.updater.row_floats == 5 * 32 + 2


def test_a_missing_wrong_or_infinite_tensor_is_refused(subject: Subject, tmp_path: Path) -> None:
    directory, name = subject.directory, "memory.cells.3.candidate"
    found = read_tensors(directory, read_manifest(directory))
    config, vocabulary = subject.updater.config, subject.bundle.vocabulary
    infinite = np.full_like(found[name], np.inf)
    for changed in ({}, {name: found[name][1:]}, {name: infinite}):
        left = {key: tensor for key, tensor in found.items() if key != name}
        with pytest.raises(BundleError, match=name):
            HpmnUpdater(config, vocabulary, left | changed)
