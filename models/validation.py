"""How good a model in training is on requests that it is not trained on."""

from collections.abc import Callable
from typing import Any

import numpy as np

from interest_center.core.errors import ConfigurationError
from models.ctr_metrics import metrics_of
from models.ctr_model import CtrModel
from models.prediction import predict
from models.request_batches import RequestTensors
from models.samples import Ints
from models.training_memory import updater_of
from models.training_options import TrainingOptions


def figures_of(
    model: CtrModel,
    tensors: RequestTensors,
    requests: Ints,
    on_requests: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Return AUC, GAUC, log loss and number of the requests' samples.

    Memories come from the scan that serves.

    Args:
        model: The model.
        tensors: All requests.
        requests: Indices of those to score.
        on_requests: Told how many were scored.
    """
    updater = updater_of(model, tensors.vocabulary)
    index, probabilities = predict(model, tensors, requests, updater, on_requests)
    known = tensors.data.requests
    owner = np.repeat(np.arange(len(known.users)), np.diff(known.starts))
    return dict(metrics_of(known.labels[index], probabilities, known.users[owner[index]]))


def refuse_unusable(figures: dict[str, float], epoch: int, options: TrainingOptions) -> None:
    """Refuse an epoch that cannot be compared with another.

    Args:
        figures: ``train_log_loss``, and those of ``figures_of``.
        epoch: Its number from 0.
        options: How it was trained.

    Raises:
        ConfigurationError: A loss is not finite, or what was validated is of one class.
    """
    if not np.isfinite([figures["train_log_loss"], figures["log_loss"]]).all():
        raise ConfigurationError(
            f"the training diverged in epoch {epoch + 1}: its loss is not finite",
            hint=f"lower learning_rate, which is {options.learning_rate:g}",
        )
    if np.isnan(figures["auc"]):
        raise ConfigurationError(
            f"all {int(figures['n'])} validated samples have the same label",
            hint=f"raise validation_requests, which is {options.validation_requests}",
        )
