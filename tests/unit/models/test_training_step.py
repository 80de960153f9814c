"""A step on the rows of its batch is the step on whole tables, for every column of ids there is."""

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from small_logs import make_small_log

from interest_center.core.layout import StateConfig
from models.ctr_config import default_config
from models.embedding_rows import Hiding
from models.memory_states import memories_at
from models.registry import MEMORIES
from models.request_rows import RequestBatch
from models.samples import point_in_time
from models.training import Trainer
from models.training_memory import updater_of
from models.training_options import Progress, TrainingOptions
from models.training_step import Batch, Shares
from models.training_vocabulary import make_vocabulary
from models.walks import MemoryWalk, walk_memory

MODELS = ("din+tra+mimn", "dien+hpmn", "gru4rec", "dei2n", "sim", "dihn", "dian")
ID_FIELDS = {"items", "categories"}


def make_trainer(model: str) -> Trainer:
    data = point_in_time(*make_small_log(), StateConfig())
    config = replace(
        default_config(model, 7, history_length=10),
        mlp_hidden=(8,),
        n_item_buckets=3,
        user_dim=2,
        factor_dim=2,
        factor_behaviors=True,
    )
    options = TrainingOptions(requests_at_once=16, window=6)
    return Trainer(data, make_vocabulary(data, config), config, options)


def walk_of(trainer: Trainer, chosen: np.ndarray) -> MemoryWalk:
    """Return the memory walks of requests as a step of the training has them."""
    updater = updater_of(trainer.model, trainer.vocabulary)
    assert updater is not None
    rows, place = trainer._walker.scan(chosen, updater, Progress())
    return trainer._walker.walk(chosen, rows, place, trainer._hiding(1))


def make_batch(trainer: Trainer) -> Batch:
    """Return what a step is made of, hidden ids and drawn negatives included."""
    chosen = trainer.train_requests[:24]
    hiding = Hiding(0.2, np.random.default_rng(3))
    requests, labels = trainer.tensors.batch(chosen, hiding, walks=True)
    if trainer.model.reader.wants_negatives:
        requests = trainer.tensors.with_negatives(requests, hiding)
    memory = None
    if trainer.model.memory is not None:
        memory = walk_of(trainer, chosen)
    kept = torch.ones(len(chosen), dtype=torch.bool)
    return Batch(requests, labels, torch.ones(len(labels)), memory, kept, Shares())


@pytest.mark.parametrize("model", MODELS)
def test_gradients_of_a_batch_are_those_of_whole_tables(model: str) -> None:
    trainer = make_trainer(model)
    batch = make_batch(trainer)
    tables = {
        kind: [trainer.model.get_submodule(name).weight for name in names]
        for kind, names in trainer.model.id_tables.items()
    }
    for table in chain(*tables.values()):
        table.requires_grad_(True)
    # Some readers have a dropout of their own.
    torch.manual_seed(0)
    whole = trainer._loss(batch)
    whole.total.backward()
    expected = {kind: [table.grad for table in found] for kind, found in tables.items()}
    for table in chain(*tables.values()):
        table.requires_grad_(False)

    torch.manual_seed(0)
    rows = trainer._loss(trainer.tables.open(batch))
    torch.testing.assert_close(rows.total, whole.total)
    rows.total.backward()
    for kind, found in zip(tables, trainer.tables.kinds, strict=True):
        found.gather()
        assert len(found.gradients) == len(expected[kind]) >= 2
        others = torch.ones(len(tables[kind][0]), dtype=torch.bool)
        others[found._rows] = False
        for mine, theirs in zip(found.gradients, expected[kind], strict=True):
            assert theirs is not None
            torch.testing.assert_close(mine, theirs[found._rows], atol=1e-6, rtol=1e-4)
            assert not theirs[others].any()


@pytest.mark.parametrize("model", ["dien", "gru4rec"])
def test_windows_of_shared_walks_score_as_windows_of_their_own(model: str) -> None:
    """Training walks a history once for many requests; serving reads each request's window."""
    trainer = make_trainer(model)
    chosen = trainer.train_requests
    walked, _ = trainer.tensors.batch(chosen, walks=True)
    alone, _ = trainer.tensors.batch(chosen)
    assert walked.walk is not None
    assert len(walked.walk.items) < len(chosen), "some requests share a walk"
    assert (walked.behaviors.mask.sum(1) >= trainer.model.config.history_length).any()
    trainer.model.eval()
    with torch.no_grad():
        logits = [trainer.model(batch).logits for batch in (walked, alone)]
    torch.testing.assert_close(*logits, atol=1e-5, rtol=1e-4)


def test_every_column_of_ids_has_a_model_that_fills_it() -> None:
    """So that the test above looks at all of them."""
    filled = set()
    for model in MODELS:
        requests = make_batch(make_trainer(model)).requests
        filled |= {name for name, column in requests._asdict().items() if column is not None}
    assert filled == set(RequestBatch._fields) - {"clicked"}  # no ids


@pytest.mark.parametrize("memory", sorted(MEMORIES))
def test_items_after_training_walk_in_training_as_in_the_scan(memory: str) -> None:
    """Half of the items are strangers in buckets; training walks with torch, serving scans."""
    data = point_in_time(*make_small_log(), StateConfig())
    config = replace(default_config(f"din+{memory}", 7, 10), n_item_buckets=3)
    known = make_vocabulary(data, config)
    half = replace(known, items=known.items[::2], item_categories=known.item_categories[::2])
    options = TrainingOptions(window=6, unknown_share=0.0)
    trainer = Trainer(data, half, config, options)
    torch.nn.init.normal_(trainer.model.item_table.weight, std=0.5)
    chosen = trainer.train_requests
    walk = walk_of(trainer, chosen)
    assert (walk.items > len(half.items)).any()
    with torch.no_grad():
        events = trainer.model.embed(walk.items, walk.categories)
        walked = walk_memory(trainer.model.memory, walk, events)
    updater = updater_of(trainer.model, half)
    assert updater is not None
    rows = np.empty((len(chosen), updater.row_floats), np.float32)
    requests = data.requests
    users, positions = requests.users[chosen], requests.memory_positions[chosen]
    for some, found in memories_at(data.memory, users, positions, updater):
        rows[some] = found
    scanned = trainer.model.memory.state_of(torch.from_numpy(rows))
    for field, one, other in zip(walked._fields, walked, scanned, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5, rtol=0, err_msg=field)


def test_a_step_leaves_the_rows_of_other_ids_alone() -> None:
    trainer = make_trainer("din+mimn")
    part = trainer.train_requests[:16]
    batch = trainer.tensors.batch(part)[0]
    trainer.options = replace(trainer.options, unknown_share=0.0)
    before = trainer.model.item_table.weight.detach().clone()
    for _ in trainer._part(part, Progress()):
        pass
    moved = (trainer.model.item_table.weight != before).any(1).nonzero().reshape(-1).tolist()
    requests = trainer.data.requests
    met = set(batch.candidate_items.flatten().tolist()) | set(batch.triggers.tolist())
    for user in np.unique(requests.users[part]):
        first, last = trainer.data.memory.starts[user : user + 2]
        met |= set(trainer.tensors._memory_rows.items[first:last].tolist())
    assert moved
    assert set(moved) <= met | {0}
    assert len(met) < len(before), "some ids are met by none"


@pytest.mark.parametrize("model", ["dei2n", "din"])
def test_clicks_are_told_to_a_reader_that_wants_them(model: str) -> None:
    trainer = make_trainer(model)
    seen: list[Batch] = []
    trainer._loss.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    trainer._step(trainer.train_requests[:24], None, Shares())
    requests, labels = seen[0].requests, seen[0].labels
    assert (requests.clicked is not None) == (model == "dei2n")
    if requests.clicked is not None:
        assert torch.equal(requests.clicked[requests.candidate_mask], labels > 0)
        assert not requests.clicked[~requests.candidate_mask].any()
