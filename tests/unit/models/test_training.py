"""Training reads what serving reads, learns what is there, and is repeatable."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from interest_center.core.layout import StateConfig
from models.ctr_config import CtrConfig, default_config
from models.embedding_rows import Hiding
from models.memory_states import memories_at
from models.request_rows import BehaviorRows
from models.samples import PointInTime, point_in_time
from models.tables import NO_PAGE, TEST, TRAIN, VALIDATION, Events, Samples
from models.training import Trainer
from models.training_memory import updater_of
from models.training_options import Progress, TrainingOptions
from models.training_vocabulary import make_vocabulary
from models.walks import MemoryWalk, Walks, walk_memory

STATE = StateConfig()
OPTIONS = TrainingOptions(
    epochs=3, learning_rate=0.01, requests_at_once=32, average_over=20, window=6
)


def make_log(n_users: int = 60, seed: int = 5, loved_share: float = 0.8) -> tuple[Events, Samples]:
    """Users who like one category each: they click it, and it is most of what they did before."""
    rng = np.random.default_rng(seed)
    rows, shown = [], []
    for user in range(1, n_users + 1):
        loved = int(rng.integers(1, 5))
        for k in range(40):
            now = 1000 * user + 20 * k
            category = loved if rng.random() < loved_share else int(rng.integers(1, 5))
            rows.append((user, 10 * category + int(rng.integers(0, 10)), category, now))
            if k >= 8 and k % 3 == 0:
                for candidate in (1, 2, 3, 4):
                    split = TRAIN if k < 28 else VALIDATION if k < 34 else TEST
                    item = 10 * candidate + int(rng.integers(0, 10))
                    label = int(rng.random() < (0.8 if candidate == loved else 0.1))
                    shown.append((user, item, candidate, now + 10, label, split))
    users, items, categories, times = (np.array(c) for c in zip(*rows, strict=True))
    events = Events(
        users.astype(np.uint64), items.astype(np.uint64), categories.astype(np.uint64),
        np.ones(len(users), np.uint8), times.astype(np.int64),
    )  # fmt: skip
    users, items, categories, times, labels, splits = (
        np.array(c) for c in zip(*shown, strict=True)
    )
    nothing = np.zeros(len(users), np.uint64)
    samples = Samples(
        users=users.astype(np.uint64),
        items=items.astype(np.uint64),
        categories=categories.astype(np.uint64),
        times_ms=times.astype(np.int64),
        labels=labels.astype(np.int8),
        splits=splits.astype(np.int8),
        pages=np.full(len(users), NO_PAGE, np.int64),
        triggers=nothing,
        trigger_categories=nothing,
        oracle=None,
    )
    return events, samples


def make_config(model: str) -> CtrConfig:
    return replace(default_config(model, 7, history_length=10), mlp_hidden=(16, 8))


def make_trainer(data: PointInTime, model: str, **options: object) -> Trainer:
    return Trainer(data, make_vocabulary(data), make_config(model), replace(OPTIONS, **options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data() -> PointInTime:
    return point_in_time(*make_log(), STATE)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("model", ["din", "din+mimn"])
def test_a_planted_preference_is_learnt(data: PointInTime, model: str) -> None:
    trained = make_trainer(data, model).train()
    assert trained.epochs[trained.best]["auc"] > 0.8
    assert (trained.updater is None) == (model == "din")


def test_memory_alone_learns_it_too() -> None:
    """With a ring of one behavior that may be any, what is known of a user lies in the memory."""
    data = point_in_time(*make_log(loved_share=0.6), STATE)
    figures = {}
    for model in ("din", "din+mimn"):
        config = replace(make_config(model), history_length=1)
        options = replace(
            OPTIONS, memory_dropout=0.1, epochs=9, patience=9, decay=0.9, requests_at_once=16
        )
        trainer = Trainer(data, make_vocabulary(data), config, options)
        trained = trainer.train()
        figures[model] = trained.epochs[trained.best]["auc"]
    assert figures["din+mimn"] > figures["din"] + 0.1


def memories_of(trainer: Trainer, chosen: np.ndarray) -> np.ndarray:
    """Return the memories that requests read, from the scan that serves."""
    updater = updater_of(trainer.model, trainer.vocabulary)
    assert updater is not None
    requests = trainer.data.requests
    rows = np.empty((len(chosen), updater.row_floats), np.float32)
    users, positions = requests.users[chosen], requests.memory_positions[chosen]
    for some, found in memories_at(trainer.data.memory, users, positions, updater):
        rows[some] = found
    return rows


def walk_of(trainer: Trainer, chosen: np.ndarray) -> MemoryWalk:
    """Return the memory walks of requests as a step of the training has them."""
    updater = updater_of(trainer.model, trainer.vocabulary)
    assert updater is not None
    rows, place = trainer._walker.scan(chosen, updater, Progress())
    return trainer._walker.walk(chosen, rows, place, trainer._hiding(1))


def test_training_reads_the_memory_that_the_scan_serves(data: PointInTime) -> None:
    """Batch equals streaming: the state at each request's own position, padding and all."""
    trainer = make_trainer(data, "din+mimn", unknown_share=0.0, window=7)
    updater = updater_of(trainer.model, trainer.vocabulary)
    assert updater is not None
    chosen = np.random.default_rng(0).permutation(len(data.requests.users))[:50]
    walk = walk_of(trainer, chosen)
    assert len(walk.rows) < len(chosen), "some requests share a walk"
    with torch.no_grad():
        events = trainer.model.embed(walk.items, walk.categories)
        state = walk_memory(trainer.model.memory, walk, events)
    expected = memories_of(trainer, chosen)
    served = trainer.model.memory.state_of(torch.from_numpy(expected))
    for field, a, b in zip(state._fields, state, served, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5, rtol=0, err_msg=field)
    by_hand = updater.initial_row()[None].copy()
    request = int(chosen[0])
    first = data.memory.starts[data.requests.users[request]]
    seen = slice(first, first + data.requests.memory_positions[request])
    updater.update_many(
        by_hand,
        np.zeros(data.requests.memory_positions[request], np.int64),
        data.memory.items[seen],
        data.memory.categories[seen],
    )
    np.testing.assert_array_equal(by_hand[0], expected[0])


def test_walks_serve_every_request_at_its_own_position() -> None:
    users, starts = np.array([3, 1, 3, 1]), np.array([10, 0, 10, 5])
    walks = Walks.of(users, starts, np.array([12, 4, 17, 5]))
    index, mask = walks.events(np.array([0, 100, 200, 300, 400]))
    for user, start, seen, group in zip(users, starts, walks.seen, walks.group, strict=True):
        first = 100 * user + start
        assert index[group, :seen].tolist() == list(range(first, first + seen))
        assert mask[group, :seen].all()
    assert mask.sum() == walks.lengths.sum() == 7 + 4 + 0


def flat(batch: object) -> list[torch.Tensor]:
    """Return all tensors of a batch."""
    parts = [part if isinstance(part, BehaviorRows) else (part,) for part in batch]  # type: ignore[attr-defined]
    return [tensor for part in parts for tensor in part if tensor is not None]


def test_what_comes_after_changes_no_training_batch(data: PointInTime) -> None:
    """A leak test: events at or after a request's time are replaced by others."""
    events, samples = make_log()
    request = int(np.argmax(data.requests.ring_positions > 12))
    user = np.unique(samples.users)[data.requests.users[request]]
    later = (events.users == user) & (events.times_ms >= data.requests.times_ms[request])
    assert later.any()
    changed = replace(events, items=np.where(later, np.uint64(49), events.items))
    other = point_in_time(changed, samples, STATE)
    for model in ("din", "din+mimn"):
        batches = []
        for source in (data, other):
            trainer = Trainer(source, make_vocabulary(data), make_config(model), OPTIONS)
            batches.append(trainer.tensors.batch(np.array([request]))[0])
        for a, b in zip(*map(flat, batches), strict=True):
            assert torch.equal(a, b)


def test_same_seed_same_weights(data: PointInTime) -> None:
    def weights(seed: int) -> dict[str, torch.Tensor]:
        return make_trainer(data, "din+mimn", epochs=1, seed=seed).train().model.state_dict()

    one, same, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["item_table.weight"], other["item_table.weight"])


def test_validation_alone_decides_when_to_stop(data: PointInTime) -> None:
    """The test split may hold anything: it moves nothing."""
    events, samples = make_log()
    flipped = replace(
        samples, labels=np.where(samples.splits == TEST, 1 - samples.labels, samples.labels)
    )
    other = point_in_time(events, flipped, STATE)
    one = make_trainer(data, "din", epochs=2).train()
    two = make_trainer(other, "din", epochs=2).train()
    assert one.epochs == two.epochs
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            one.model.state_dict().values(), two.model.state_dict().values(), strict=True
        )
    )


def test_vocabulary_holds_nothing_that_only_the_future_shows(data: PointInTime) -> None:
    vocabulary = make_vocabulary(data)
    requests, memory = data.requests, data.memory
    known = set(vocabulary.items.tolist())
    train = requests.splits == TRAIN
    allowed = set(requests.items[np.repeat(train, np.diff(requests.starts))].tolist())
    for k in np.flatnonzero(train):
        first = memory.starts[requests.users[k]]
        allowed |= set(memory.items[first : first + requests.memory_positions[k]].tolist())
    assert known == allowed


def shares_of(items: torch.Tensor, categories: torch.Tensor, mask: torch.Tensor) -> list[float]:
    """Return how many of the real rows have no item, no category, and no category but an item."""
    no_item, no_category = (items == 0)[mask], (categories == 0)[mask]
    found = (no_item, no_category, no_category & ~no_item)
    return [float(rows.double().mean()) for rows in found]


def test_half_of_the_hidden_items_hide_their_category_everywhere(data: PointInTime) -> None:
    """Candidates, ring and the window of the memory: both unknown rows are met."""
    trainer = make_trainer(data, "din+mimn", unknown_share=0.4)
    chosen = np.arange(len(data.requests.users))
    batch, _ = trainer.tensors.batch(chosen, Hiding(0.4, np.random.default_rng(0)))
    walk = walk_of(trainer, chosen)
    index, inside = Walks.of(
        data.requests.users[chosen],
        trainer._walker.starts(chosen),
        data.requests.memory_positions[chosen],
    ).events(data.memory.starts)
    assert walk.items.shape == index.shape
    for shown in (
        (batch.candidate_items, batch.candidate_categories, batch.candidate_mask),
        (batch.behaviors.items, batch.behaviors.categories, batch.behaviors.mask),
        (walk.items, walk.categories, torch.from_numpy(inside)),
    ):
        # Some items are unknown to begin with.
        no_item, no_category, category_alone = shares_of(*shown)
        assert 0.36 < no_item < 0.48
        assert no_category == pytest.approx(0.2, abs=0.04)
        assert category_alone == 0


def test_both_unknown_rows_are_trained(data: PointInTime) -> None:
    trainer = make_trainer(data, "din", epochs=1, row_decay=0.0)
    tables = (trainer.model.item_table.weight, trainer.model.category_table.weight)
    before = [table[0].detach().clone() for table in tables]
    trainer.train()
    for table, untrained in zip(tables, before, strict=True):
        assert float((table[0] - untrained).detach().abs().max()) > 1e-4


@pytest.mark.parametrize("model", ["din", "din+mimn"])
def test_progress_counts_all_the_work(data: PointInTime, model: str) -> None:
    counts = {"requests": 0, "memories": 0, "validated": 0, "epochs": 0}

    def counter(name: str) -> object:
        def count(k: int) -> None:
            counts[name] += k

        return count

    trainer = make_trainer(data, model, epochs=2)
    trainer.train(
        Progress(
            counter("requests"),
            counter("memories"),
            counter("validated"),
            on_epoch=lambda _epoch, _figures: counter("epochs")(1),
        )
    )
    n = 2 * len(trainer.train_requests)
    assert counts == {
        "requests": n,
        "memories": n if model == "din+mimn" else 0,
        "validated": 2 * len(trainer.validation_requests),
        "epochs": 2,
    }
