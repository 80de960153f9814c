"""What the readers that are made for triggers promise beyond the numbers of their twins."""

from typing import Any

import pytest
import torch
from torch import Tensor
from trigger_requests import DIM, REQUEST_DIM, make_requests
from trigger_weights import disturb

from interest_center.core.errors import ConfigurationError
from models.dei2n import Dei2nConfig, Dei2nReader
from models.dian import DianConfig, DianReader
from models.dihn import DihnConfig, DihnReader
from models.reading import Reader, ReaderInputs, Seen
from models.self_attention import SelfAttention

SEED = 3
INPUTS = ReaderInputs(DIM, REQUEST_DIM, n_types=0, trigger=True)


def dei2n(**parts: Any) -> Dei2nReader:
    torch.manual_seed(SEED)
    reader = Dei2nReader(Dei2nConfig(**parts), INPUTS)
    disturb(reader, 0.2)
    return reader.eval()


def dihn() -> DihnReader:
    torch.manual_seed(SEED)
    reader = DihnReader(DihnConfig(), INPUTS)
    disturb(reader, 0.2)
    return reader.eval()


def dian() -> DianReader:
    torch.manual_seed(SEED)
    reader = DianReader(DianConfig(), INPUTS)
    disturb(reader, 0.2)
    return reader.eval()


READERS = pytest.mark.parametrize("make", [dei2n, dihn, dian])


def moved(reader: Reader, one: Seen, other: Seen) -> Tensor:
    """Return how far each request's interest moves, ``[s]``."""
    with torch.no_grad():
        return (reader(one).interest - reader(other).interest).abs().amax((1, 2))


def shifted(seen: Seen, *names: str) -> Seen:
    """Return the requests with something else in these places."""
    changes: dict[str, Any] = {}
    for name in names:
        place, _, field = name.partition(".")
        value = getattr(seen, place)
        if field == "ages_ms":
            changes[place] = value._replace(ages_ms=value.ages_ms + 10**8)
        elif field == "keys":
            changes[place] = value._replace(keys=value.keys + 1)
        else:
            changes[place] = value + 1
    return seen._replace(**changes)


@READERS
def test_without_a_trigger_nothing_of_it_is_read(make: Any) -> None:
    """Not its embedding, which the composition gives as zeros, but its sub-sequence and p."""
    reader, seen = make(), make_requests(SEED).seen
    none = ~seen.has_trigger
    p = reader.trigger_probability(seen)
    assert (p[none] == 0).all()
    assert ((p > 0) & (p < 1))[seen.has_trigger].all()
    there = moved(reader, seen, shifted(seen, "trigger_behaviors.keys"))
    assert (there[none] == 0).all()
    assert there[seen.has_trigger].max() > 1e-4


@READERS
def test_every_request_is_finite_and_padding_is_not_read(make: Any) -> None:
    reader, seen = make(), make_requests(SEED).seen
    assert reader(seen).interest.isfinite().all()
    changes: dict[str, Any] = {}
    for place in ("behaviors", "trigger_behaviors"):
        real = getattr(seen, place)
        keys = torch.where(real.mask.unsqueeze(-1), real.keys, 1e4)
        changes[place] = real._replace(keys=keys, ages_ms=real.ages_ms * real.mask)
    assert moved(reader, seen, seen._replace(**changes)).max() < 1e-6


@READERS
def test_attention_shares_the_behaviors_out(make: Any) -> None:
    reader, seen = make(), make_requests(SEED).seen
    weights = reader.attention(seen)
    assert weights is not None
    assert weights.shape == (*seen.behaviors.mask.shape, seen.candidates.shape[1])
    assert (weights[~seen.behaviors.mask] == 0).all()
    expected = seen.behaviors.mask.any(1).float().unsqueeze(1).expand_as(weights[:, 0])
    torch.testing.assert_close(weights.sum(1), expected)


@pytest.mark.parametrize(
    ("switch", "width"),
    [("ui2m", 4 * DIM), ("tim", 3 * DIM), ("il", 2 * DIM), ("uhim", 2 * DIM), ("usim", 2 * DIM)],
)
def test_each_ablation_leaves_its_part_out(switch: str, width: int) -> None:
    """Table 3 of the paper, against what each part alone reads."""
    reader = dei2n(interaction_hidden=(16, DIM), **{switch: False})
    seen = make_requests(SEED).seen
    assert reader.interest_dim == width == reader(seen).interest.shape[-1]
    reads = {
        "request": "request",
        "time": ("behaviors.ages_ms", "trigger_behaviors.ages_ms"),
        "behaviors": "behaviors.keys",
        "found": "trigger_behaviors.keys",
        "trigger": "trigger",
    }
    lost = {
        "ui2m": {"request"}, "tim": {"time"}, "il": set(), "uhim": set(),
        "usim": {"request", "behaviors"},
    }[switch]  # fmt: skip
    for name, places in reads.items():
        names = (places,) if isinstance(places, str) else places
        found = moved(reader, seen, shifted(seen, *names)).max()
        assert (found == 0) == (name in lost), name
    probability = reader.trigger_probability(seen)[seen.has_trigger]
    assert (probability == 0.5).all() == (switch in ("ui2m", "usim"))
    assert (reader.attention(seen) is None) == (switch == "usim")


def test_the_hard_part_is_the_only_one_with_intervals_of_the_sub_sequence() -> None:
    seen = make_requests(SEED).seen
    other = shifted(seen, "trigger_behaviors.ages_ms")
    assert moved(dei2n(), seen, other).max() > 1e-5
    assert moved(dei2n(uhim=False), seen, other).max() == 0


def test_the_interaction_layer_is_the_only_part_of_a_request_without_history() -> None:
    """Of the second request, which has no behaviors: trigger and candidate alone speak."""
    seen = make_requests(SEED).seen
    nothing = torch.zeros_like(seen.behaviors.mask)
    found = seen.trigger_behaviors
    assert found is not None
    empty = seen._replace(
        behaviors=seen.behaviors._replace(mask=nothing),
        trigger_behaviors=found._replace(mask=torch.zeros_like(found.mask)),
    )
    assert (dei2n(il=False)(empty).interest == 0).all()
    assert (dei2n()(empty).interest != 0).any()


def test_an_empty_dei2n_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="finds nothing"):
        Dei2nConfig(il=False, uhim=False, usim=False)


def test_configs_of_a_manifest_are_taken() -> None:
    """Tuples come back from JSON as lists."""
    Dei2nReader(
        Dei2nConfig(attention_hidden=[4, 3], instant_hidden=[4], interaction_hidden=[4]), INPUTS
    )  # type: ignore[arg-type]
    DihnReader(DihnConfig(attention_hidden=[4, 3], intent_hidden=[4]), INPUTS)  # type: ignore[arg-type]
    DianReader(DianConfig(network_hidden=[4, 3], intent_hidden=[4]), INPUTS)  # type: ignore[arg-type]


def test_heads_share_the_width() -> None:
    with pytest.raises(ValueError, match="3 heads"):
        SelfAttention(8, 3)
