"""What training presents as unknown: behaviors and what was not done beside them alike."""

import numpy as np
from small_logs import make_small_log

from interest_center.core.layout import StateConfig
from models.ctr_config import default_config
from models.embedding_rows import Hiding
from models.request_batches import RequestTensors
from models.samples import point_in_time
from models.training_vocabulary import make_vocabulary


def test_negatives_are_hidden_as_often_as_behaviors() -> None:
    data = point_in_time(*make_small_log(n_users=200), StateConfig())
    config = default_config("dien", 7, history_length=40)
    tensors = RequestTensors(data, make_vocabulary(data, config), config)
    hiding = Hiding(0.4, np.random.default_rng(2))
    requests, _ = tensors.batch(np.arange(len(data.requests.users)), hiding)
    requests = tensors.with_negatives(requests, hiding)
    assert requests.negative_items is not None
    assert requests.negative_categories is not None
    done = requests.behaviors
    for negative, beside in (
        (requests.negative_items, done.items),
        (requests.negative_categories, done.categories),
    ):
        shares = [(rows[done.mask] == 0).float().mean() for rows in (negative, beside)]
        assert abs(shares[0] - shares[1]) < 0.03
        assert shares[0] > 0.1
