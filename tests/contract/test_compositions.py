"""Every model of the registry is built, saved, loaded and scored, online and offline alike.

Why this, and the full set of checks on fewer models, covers all. A composition is a reader and a
memory side by side: neither sees the other, and one MLP takes what both found
(``models.ctr_model``). So what ``test_rankers`` and ``test_offline_scores`` check of a reader holds
beside any memory, and what they check of a memory (``test_memory_models`` has more) beside any
reader of its kind: a recurrent one makes other windows than one that is not. They meet every reader
alone, with the trigger and without, and one of both kinds with every memory. What is left is the
joining of two parts: widths, the manifest, which memory belongs to which request of a batch. That
is looked at here, for every name. ``pytest --every-model`` runs every check on every name; the
proof does.
"""

from pathlib import Path

import numpy as np
import pytest
from checked_models import WITH_MEMORIES, checked_in_full, is_recurrent
from logged_requests import STATE, make_log, online_inputs

from models.bundle import load_bundle, untrained_bundle
from models.prediction import predict
from models.registry import MEMORIES, model_names, parse_name
from models.request_batches import RequestTensors
from models.samples import point_in_time

SEED = 5
EVENTS, SAMPLES = make_log()
DATA = point_in_time(EVENTS, SAMPLES, STATE)


def some_requests() -> list[int]:
    """Return requests of no, short and long history, in the order of neither users nor lengths."""
    by_length = np.argsort(DATA.requests.ring_positions, kind="stable")
    return by_length[[150, 0, 199, 60, 110, 20, 180, 90]].tolist()


@pytest.mark.parametrize("name", model_names())
def test_a_composition_scores_requests_alike_online_and_offline(name: str, tmp_path: Path) -> None:
    untrained_bundle(tmp_path, name, SEED)
    bundle = load_bundle(tmp_path)
    assert bundle.name == name
    model, chosen = bundle.ranker.model, some_requests()
    tensors = RequestTensors(DATA, bundle.vocabulary, model.config)
    index, offline = predict(model, tensors, np.array(chosen), bundle.updater)
    found = dict(zip(DATA.requests.rows[index].tolist(), offline.tolist(), strict=True))
    starts, all_rows = DATA.requests.starts, DATA.requests.rows
    for request in chosen:
        rows = all_rows[starts[request] : starts[request + 1]]
        online = bundle.ranker.score(online_inputs(bundle, EVENTS, SAMPLES, rows))
        np.testing.assert_allclose([found[k] for k in rows.tolist()], online, atol=1e-5, rtol=0)
    assert len(np.unique(offline.round(6))) > len(offline) / 2
    # Each memory moves scores, and there is none where the name says none.
    _, without = predict(model, tensors, np.array(chosen), None)
    has_memory = parse_name(name).memory is not None
    assert (np.abs(without - offline).max() > 1e-6) == has_memory == (bundle.updater is not None)


def test_the_full_checks_meet_every_reader_and_every_memory() -> None:
    names, checked = model_names(), checked_in_full()
    assert set(checked) <= set(names)
    every, met = ([parse_name(name) for name in some] for some in (names, checked))
    alone = {(one.reader, one.reads_trigger) for one in met if one.memory is None}
    assert alone == {(one.reader, one.reads_trigger) for one in every}
    assert {is_recurrent(reader) for reader in WITH_MEMORIES} == {True, False}
    for reader in WITH_MEMORIES:
        assert {one.memory for one in met if one.reader == reader} == {None, *MEMORIES}
