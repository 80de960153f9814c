"""DEI2N without each of its parts (table 3 of the paper): what is left is what it was before."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from small_logs import make_small_log
from torch import Tensor
from trigger_requests import DIM, REQUEST_DIM, make_requests
from trigger_weights import disturb

from interest_center.core.layout import StateConfig
from models.ctr_config import default_config
from models.ctr_model import CtrModel
from models.dei2n import Dei2nConfig, Dei2nReader
from models.prediction import predict
from models.reading import ReaderInputs, Seen
from models.request_batches import RequestTensors
from models.samples import point_in_time
from models.training_vocabulary import make_vocabulary

SEED = 11
INPUTS = ReaderInputs(DIM, REQUEST_DIM, n_types=0, trigger=True)
SWITCHES = ("ui2m", "tim", "il", "uhim", "usim")
SOFT, HARD, REST = slice(0, DIM), slice(DIM, 2 * DIM), slice(2 * DIM, None)


def whole() -> Dei2nReader:
    torch.manual_seed(SEED)
    reader = Dei2nReader(Dei2nConfig(), INPUTS)
    disturb(reader, 0.2)
    return reader.eval()


def without(*switches: str) -> Dei2nReader:
    """Return the whole reader without some parts; the others have the same weights."""
    reader = Dei2nReader(Dei2nConfig(**dict.fromkeys(switches, False)), INPUTS)
    weights = whole().state_dict()
    if "tim" in switches:
        # What follows the behavior in an input is its interval.
        for name, weight in reader.state_dict().items():
            if weight.ndim == 2:
                weights[name] = weights[name][:, : weight.shape[1]]
    own = set(reader.state_dict())
    assert own < set(weights)
    reader.load_state_dict({name: weights[name] for name in own})
    return reader.eval()


@torch.no_grad()
def interest(reader: Dei2nReader, seen: Seen) -> Tensor:
    found: Tensor = reader(seen).interest
    assert found.shape[-1] == reader.interest_dim
    return found


@pytest.fixture(scope="module")
def seen() -> Seen:
    return make_requests(SEED).seen


def test_without_the_interaction_layer_its_output_is_missing(seen: Seen) -> None:
    torch.testing.assert_close(interest(without("il"), seen), interest(whole(), seen)[..., :16])


def test_without_the_hard_part_its_output_is_missing(seen: Seen) -> None:
    """The sub-sequence still enters the instant interest, and so the mixture."""
    left = interest(without("uhim"), seen)
    of_whole = interest(whole(), seen)
    torch.testing.assert_close(left[..., SOFT], of_whole[..., SOFT])
    torch.testing.assert_close(left[..., DIM:], of_whole[..., REST])


def test_without_the_soft_part_its_output_is_missing_and_nothing_is_weighed(seen: Seen) -> None:
    reader = without("usim")
    torch.testing.assert_close(interest(reader, seen), interest(whole(), seen)[..., DIM:])
    assert reader.instant is None
    assert reader.trigger_probability(seen) is None
    assert reader.attention(seen) is None


def test_without_the_instant_interest_both_sides_stand_beside_each_other(seen: Seen) -> None:
    """The whole model mixes them: p_tr of the first, p_ta of the second."""
    reader = without("ui2m")
    assert reader.trigger_probability(seen) is None
    parts, of_whole = interest(reader, seen), interest(whole(), seen)
    of_trigger, of_target = parts[..., :DIM], parts[..., DIM : 2 * DIM]
    p = whole().trigger_probability(seen)
    assert p is not None
    p = p[:, None, None]
    torch.testing.assert_close(p * of_trigger + (1 - p) * of_target, of_whole[..., SOFT])
    torch.testing.assert_close(parts[..., 2 * DIM :], of_whole[..., DIM:])
    assert (of_trigger[~seen.has_trigger] == 0).all()
    assert (of_trigger[seen.has_trigger] != 0).any()
    weights = reader.attention(seen)
    assert weights is not None
    sums = seen.behaviors.mask.any(1).float()[:, None].expand(-1, weights.shape[2])
    torch.testing.assert_close(weights.sum(1), sums)


def test_without_intervals_every_interval_is_alike(seen: Seen) -> None:
    reader, told = without("tim"), whole()
    assert reader.times is None
    assert told.times is not None
    with torch.no_grad():
        told.times.table.weight.zero_()
    torch.testing.assert_close(interest(reader, seen), interest(told, seen))
    assert not torch.allclose(interest(reader, seen), interest(whole(), seen))


def test_without_any_behavior_the_interaction_layer_alone_speaks(seen: Seen) -> None:
    found = seen.trigger_behaviors
    assert found is not None
    empty = seen._replace(
        behaviors=seen.behaviors._replace(mask=torch.zeros_like(seen.behaviors.mask)),
        trigger_behaviors=found._replace(mask=torch.zeros_like(found.mask)),
    )
    assert (interest(whole(), empty)[..., : 2 * DIM] == 0).all()
    torch.testing.assert_close(
        interest(whole(), empty)[..., REST], interest(whole(), seen)[..., REST]
    )
    assert (interest(whole(), empty)[..., REST] != 0).any()


@pytest.mark.parametrize(
    ("switch", "lost"),
    [
        ("ui2m", {"request"}), ("tim", {"time", "time of the sub-sequence"}), ("il", set()),
        ("uhim", {"time of the sub-sequence"}), ("usim", {"request", "behaviors", "time"}),
    ],
)  # fmt: skip
def test_each_part_alone_reads_what_it_is_for(seen: Seen, switch: str, lost: set[str]) -> None:
    behaviors, found = seen.behaviors, seen.trigger_behaviors
    assert found is not None
    later = {"ages_ms": behaviors.ages_ms + 10**8}
    changes: dict[str, dict[str, Any]] = {
        "request": {"request": seen.request + 1},
        "trigger": {"trigger": seen.trigger + 1},
        "behaviors": {"behaviors": behaviors._replace(keys=behaviors.keys + 1)},
        "sub-sequence": {"trigger_behaviors": found._replace(keys=found.keys + 1)},
        "time": {"behaviors": behaviors._replace(**later)},
        "time of the sub-sequence": {
            "trigger_behaviors": found._replace(ages_ms=found.ages_ms + 10**8)
        },
    }
    own = interest(without(switch), seen)
    for name, change in changes.items():
        far = (interest(without(switch), seen._replace(**change)) - own).abs().max()
        assert (far == 0) == (name in lost), name
        assert far == 0 or far > 1e-5, name
        assert (interest(whole(), seen._replace(**change)) - interest(whole(), seen)).any(), name


@pytest.mark.parametrize("left_out", [(), *((one,) for one in SWITCHES), ("ui2m", "uhim", "tim")])
def test_a_model_of_what_is_left_scores(left_out: tuple[str, ...]) -> None:
    torch.set_num_threads(1)
    events, samples = make_small_log()
    data = point_in_time(events, samples, StateConfig())
    config = replace(
        default_config("dei2n", 7), reader_config=dict.fromkeys(left_out, False), mlp_hidden=(8,)
    )
    vocabulary = make_vocabulary(data, config)
    torch.manual_seed(SEED)
    model = CtrModel(config, vocabulary.table_rows)
    torch.nn.init.normal_(model.item_table.weight, std=0.5)
    tensors = RequestTensors(data, vocabulary, config)
    _, found = predict(model, tensors, np.arange(len(data.requests.users)), None)
    assert ((found > 0) & (found < 1)).all()
    assert len(np.unique(found.round(6))) > len(found) / 2
