"""Our side: whole parts of an epoch as ``uic train`` takes them, batches made from the tables."""

import time
from itertools import islice
from typing import Any

import numpy as np
from samples_of_peers import ATTENTION, BATCH, DIM, MLP, WARM_STEPS

from models.recipe import Recipe
from models.samples import PointInTime
from models.training import Trainer
from models.training_options import Progress
from models.training_order import Grouping, epoch_parts
from models.training_vocabulary import make_vocabulary

#: What the compared peers have none of: event types, ages, comparisons of ids, products.
_PLAIN = {
    "reader.hidden": list(ATTENTION),
    "reader.types": False,
    "reader.n_ages": 0,
    "reader.same": False,
    "reader.product": False,
}
#: In FuxiCTR's DIEN too there is no auxiliary loss, and no sum of behaviors unless asked for.
_PLAIN_DIEN = {"reader.auxiliary_weight": 0.0, "reader.sums": False, "restart_every": 10}


def speed(data: PointInTime, model: str, n_steps: int) -> float:
    """Return the samples a second of a whole part of an epoch, the scan of its memories included.

    A part holds whole users, each of whom is in one part of an epoch: its cost a sample is that of
    the epoch.
    """
    trainer = _trainer(data, model)
    grouping, rng = trainer._grouping(), np.random.default_rng(0)
    n_requests = len(trainer.train_requests)
    n_groups = n_requests
    if isinstance(grouping, Grouping):
        n_groups = len(np.unique(np.stack((grouping.users, grouping.starts)), axis=1).T)
    size = max(1, n_groups * n_steps * BATCH // n_requests)
    parts = epoch_parts(trainer.train_requests, grouping, size, rng)
    trainer._loss.train()
    for _ in islice(trainer._part(parts[0], Progress()), WARM_STEPS):
        pass
    began = time.perf_counter()
    n = sum(n_samples for _, n_samples, _ in trainer._part(parts[1], Progress()))
    return n / (time.perf_counter() - began)


def _trainer(data: PointInTime, model: str) -> Trainer:
    sizes: dict[str, Any] = {
        "history_length": 20,
        "item_dim": DIM,
        "category_dim": DIM,
        "mlp_hidden": list(MLP),
        "activation": "prelu",
        "trigger": "none",
        "n_pages": 0,
        "activity": False,
        "typed": False,
        "requests_at_once": BATCH,
    }
    sizes |= _PLAIN_DIEN if model.startswith("dien") else _PLAIN
    config, options = Recipe(model, sizes).configs(data.state)
    return Trainer(data, make_vocabulary(data, config), config, options)
