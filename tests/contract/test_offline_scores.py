"""Every ranker offline: scores of tables equal those of requests, and padding changes nothing.

Which models these are: ``test_compositions``.
"""

import numpy as np
from logged_requests import STATE, make_log, online_inputs

from models.bundle import Bundle
from models.prediction import predict
from models.request_batches import RequestTensors
from models.samples import point_in_time


def test_offline_evaluation_equals_the_ranker(bundle: Bundle) -> None:
    """Scores in batches equal scores from states that plain loops over the log keep."""
    events, samples = make_log()
    data = point_in_time(events, samples, STATE)
    requests = data.requests
    tensors = RequestTensors(data, bundle.vocabulary, bundle.ranker.model.config)
    index, offline = predict(
        bundle.ranker.model, tensors, np.arange(len(requests.users)), bundle.updater
    )
    found = dict(zip(requests.rows[index].tolist(), offline.tolist(), strict=True))
    assert len(found) == len(samples.labels)
    for rows in np.split(requests.rows, requests.starts[1:-1]):
        online = bundle.ranker.score(online_inputs(bundle, events, samples, rows))
        np.testing.assert_allclose([found[k] for k in rows.tolist()], online, atol=1e-5, rtol=0)


def test_padding_changes_nothing(bundle: Bundle) -> None:
    """A request alone in its batch, and beside one with far longer history."""
    data = point_in_time(*make_log(), STATE)
    tensors = RequestTensors(data, bundle.vocabulary, bundle.ranker.model.config)
    longest = int(np.argmax(data.requests.ring_positions))
    for other in np.argsort(data.requests.ring_positions)[[0, 60, 120]].tolist():
        scores = []
        for chosen in ([other], [other, longest]):
            index, found = predict(bundle.ranker.model, tensors, np.array(chosen), bundle.updater)
            scores.append(dict(zip(index.tolist(), found.tolist(), strict=True)))
        for index, alone in scores[0].items():
            assert abs(scores[1][index] - alone) < 1e-6
