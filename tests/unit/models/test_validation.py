"""An epoch of no use is refused, or ends the training that has a better one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from small_logs import make_small_log

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import StateConfig
from models.ctr_config import default_config
from models.samples import point_in_time
from models.tables import TEST, VALIDATION
from models.training import Trainer
from models.training_options import TrainingOptions
from models.training_vocabulary import make_vocabulary

OPTIONS = TrainingOptions(epochs=3, patience=3, requests_at_once=16)


class LaterDiverging(Trainer):
    """A training whose loss is not finite from the second epoch on."""

    def validate(self, on_requests: Callable[[int], None] | None = None) -> dict[str, Any]:
        figures = super().validate(on_requests)
        return figures | ({"log_loss": float("nan")} if self.position.epoch else {})


def make_trainer(
    kind: type[Trainer] = Trainer, options: TrainingOptions = OPTIONS, clicks: bool = True
) -> Trainer:
    torch.set_num_threads(1)
    events, samples = make_small_log()
    splits = np.where(samples.splits == TEST, VALIDATION, samples.splits)
    data = point_in_time(events, replace(samples, splits=splits), StateConfig())
    if not clicks:
        labels = np.zeros_like(data.requests.labels)
        data = replace(data, requests=replace(data.requests, labels=labels))
    config = replace(default_config("din", 7, history_length=10), mlp_hidden=(8, 4))
    return kind(data, make_vocabulary(data, config), config, options)


def test_a_training_that_diverges_at_once_is_refused() -> None:
    trainer = make_trainer(options=replace(OPTIONS, learning_rate=1e30))
    with pytest.raises(ConfigurationError, match="diverged in epoch 1") as refused:
        trainer.train()
    assert "lower learning_rate" in refused.value.hint


def test_validation_on_one_label_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the same label") as refused:
        make_trainer(clicks=False).train()
    assert "validation_requests" in refused.value.hint


def test_a_later_epoch_of_no_use_ends_the_training_and_the_best_is_kept() -> None:
    trained = make_trainer(LaterDiverging).train()
    assert (len(trained.epochs), trained.best) == (1, 0)
    first = make_trainer(options=replace(OPTIONS, epochs=1)).train()
    for name, weight in first.model.state_dict().items():
        assert torch.equal(weight, trained.model.state_dict()[name]), name
