"""What a user does at or after a moment changes nothing that was decided before, in any reader."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_logs import HOUR_MS, make_small_log

from interest_center.core.layout import StateConfig
from models.ctr_config import default_config
from models.ctr_model import CtrModel
from models.prediction import predict
from models.registry import model_names
from models.request_batches import RequestTensors
from models.samples import PointInTime, point_in_time
from models.tables import TEST, VALIDATION, Events, Samples
from models.training import Trainer
from models.training_memory import updater_of
from models.training_options import TrainingOptions
from models.training_vocabulary import make_vocabulary

STATE = StateConfig(n_behaviors=20)
TRAINED = ("din", "dien", "dei2n", "din+mimn", "din+hpmn")


def make_log() -> tuple[Events, Samples]:
    events, samples = make_small_log()
    later = samples.splits == TEST
    validation = later & (np.arange(len(later)) // 3 % 4 == 1)
    return events, replace(samples, splits=np.where(validation, VALIDATION, samples.splits))


def planted(events: Events, user: int, time_ms: int) -> Events:
    """Return the events with ten more of a user from a moment on, of an item of the samples."""
    n = 10
    added = Events(
        np.full(n, user, np.uint64),
        np.full(n, 7, np.uint64),
        np.full(n, 3, np.uint64),
        np.ones(n, np.uint8),
        time_ms + HOUR_MS * np.arange(n),
    )
    names = ("users", "items", "categories", "types", "times_ms")
    columns = [np.concatenate((getattr(events, name), getattr(added, name))) for name in names]
    order = np.argsort(columns[-1], kind="stable")
    return Events(*(column[order] for column in columns))


def scores_of(model_name: str, data: PointInTime) -> np.ndarray:
    """Return the score of each sample by a model of random weights."""
    vocabulary = make_vocabulary(point_in_time(*make_log(), STATE))
    config = default_config(model_name, 7, STATE.n_behaviors)
    torch.manual_seed(1)
    model = CtrModel(config, vocabulary.table_rows)
    for table in (model.item_table, model.category_table):
        torch.nn.init.normal_(table.weight, std=0.5)
    tensors = RequestTensors(data, vocabulary, config)
    chosen = np.arange(len(data.requests.users))
    index, found = predict(model, tensors, chosen, updater_of(model, vocabulary))
    scores = np.empty(len(data.requests.rows))
    scores[data.requests.rows[index]] = found
    return scores


@pytest.mark.parametrize("model", model_names())
def test_a_planted_event_changes_later_scores_only(model: str) -> None:
    torch.set_num_threads(1)
    events, samples = make_log()
    user = int(np.bincount(events.users.astype(np.int64)).argmax())
    moment = 20 * HOUR_MS + 1
    before = scores_of(model, point_in_time(events, samples, STATE))
    after = scores_of(model, point_in_time(planted(events, user, moment), samples, STATE))
    changed = np.abs(after - before) > 1e-6
    own = samples.users == user
    seeing = own & (samples.times_ms > moment)
    assert (own & ~seeing).any()
    assert not changed[~seeing].any()
    assert changed[seeing].any()


@pytest.mark.parametrize("model", TRAINED)
def test_events_after_the_last_sample_change_no_weight(model: str) -> None:
    """Walks, memories, negatives and the auxiliary loss end where the last request sees."""
    torch.set_num_threads(1)
    events, samples = make_log()
    weights = []
    for log in (events, planted(events, 3, int(samples.times_ms.max()))):
        data = point_in_time(log, samples, STATE)
        config = replace(default_config(model, 7, STATE.n_behaviors), mlp_hidden=(8,))
        options = TrainingOptions(epochs=1, requests_at_once=16, window=6)
        trainer = Trainer(data, make_vocabulary(data, config), config, options)
        trainer.train()
        weights.append(trainer.model.state_dict())
    for name, weight in weights[0].items():
        assert torch.equal(weight, weights[1][name]), name
