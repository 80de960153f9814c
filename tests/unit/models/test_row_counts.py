"""Occurrences n_j: counted as plain loops count them, and hidden as training hides them."""

from dataclasses import replace

import numpy as np
import pytest
from small_logs import make_small_log

from interest_center.core.layout import StateConfig
from models.ctr_config import default_config
from models.embedding_rows import WITH_CATEGORY
from models.request_batches import RequestTensors
from models.row_counts import row_counts
from models.samples import PointInTime, point_in_time
from models.tables import TRAIN
from models.training_vocabulary import make_vocabulary


@pytest.fixture(scope="module")
def data() -> PointInTime:
    return point_in_time(*make_small_log(), StateConfig())


def make_tensors(data: PointInTime, model: str, n_buckets: int = 0) -> RequestTensors:
    config = replace(default_config(model, 7, 10), user_dim=2, n_item_buckets=n_buckets)
    return RequestTensors(data, make_vocabulary(data, config), config)


def counted(tensors: RequestTensors, unknown_share: float) -> dict[str, np.ndarray]:
    requests = np.flatnonzero(tensors.data.requests.splits == TRAIN)
    return row_counts(tensors, requests, tensors.config, unknown_share)


def plain(tensors: RequestTensors) -> dict[str, np.ndarray]:
    """Count what the batches of the training requests show, one request after the other."""
    sizes = tensors.vocabulary.table_rows
    found = {name: np.zeros(getattr(sizes, name), np.int64) for name in sizes._fields}
    for request in np.flatnonzero(tensors.data.requests.splits == TRAIN):
        batch, _ = tensors.batch(np.array([request]))
        found["users"][batch.users] += 1
        for kind, trigger in (
            ("items", batch.triggers),
            ("categories", batch.trigger_categories),
        ):
            shown = getattr(batch, f"candidate_{kind}")[batch.candidate_mask]
            done = getattr(batch.behaviors, kind)[batch.behaviors.mask]
            for rows in (shown, done, trigger[batch.trigger_mask]):
                np.add.at(found[kind], rows.numpy(), 1)
    return found


@pytest.mark.parametrize("model", ["din", "dien"])
def test_equals_a_plain_count_of_the_batches(data: PointInTime, model: str) -> None:
    tensors = make_tensors(data, model)
    found, expected = counted(tensors, 0.0), plain(tensors)
    for name, counts in expected.items():
        assert counts.sum() > 0
        np.testing.assert_array_equal(found[name], counts, err_msg=name)


@pytest.mark.parametrize("n_buckets", [0, 4])
def test_rows_of_unknown_ids_count_what_training_hides(data: PointInTime, n_buckets: int) -> None:
    """Else the row of all new ids would be held down as if it were the rarest id."""
    tensors = make_tensors(data, "din", n_buckets)
    share = 0.2
    open_, hidden = counted(tensors, 0.0), counted(tensors, share)
    n_known = len(tensors.vocabulary.items)
    as_unknown = tensors.vocabulary.rows_as_unknown(np.arange(1 + n_known))
    for row in {0, *range(1 + n_known, len(hidden["items"]))}:
        of_row = open_["items"][: 1 + n_known][as_unknown == row].sum()
        kept = open_["items"][row] if row > n_known else 0
        assert hidden["items"][row] == pytest.approx(kept + share * of_row, abs=0.51)
    np.testing.assert_allclose(
        hidden["items"][1 : 1 + n_known], (1 - share) * open_["items"][1 : 1 + n_known], atol=0.51
    )
    for name, part in (("categories", share * WITH_CATEGORY), ("users", share)):
        total = open_[name].sum()
        assert hidden[name][0] == pytest.approx(
            part * total + (1 - part) * open_[name][0], abs=0.51
        )
