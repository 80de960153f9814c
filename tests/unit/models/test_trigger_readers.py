"""What the readers that are made for triggers promise beyond the numbers of their twins."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from trigger_requests import DIM, REQUEST_DIM, make_requests
from trigger_weights import disturb

from interest_center.core.errors import ConfigurationError
from models.dei2n import Dei2nConfig, Dei2nReader
from models.dian import DianConfig, DianReader
from models.dihn import DihnConfig, DihnReader
from models.reading import Behaviors, Reader, ReaderInputs, Seen
from models.trigger_intent import of_trigger

SEED = 3
INPUTS = ReaderInputs(DIM, REQUEST_DIM, n_types=0, trigger=True)
FOLLOW, IGNORE = [60.0, 0.0], [0.0, 60.0]


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


def intent_of(reader: Any) -> nn.Sequential:
    """Return the network whose two outputs weigh following and not following the trigger."""
    network = reader.instant if isinstance(reader, Dei2nReader) else reader.intent
    assert isinstance(network, nn.Sequential)
    return network


@torch.no_grad()
def decide(reader: Reader, logits: list[float]) -> None:
    """Make the intent the same for all requests."""
    for layer in intent_of(reader):
        for parameter in layer.parameters():
            parameter.zero_()
    intent_of(reader)[-1].bias.copy_(torch.tensor(logits))  # type: ignore[operator]


@torch.no_grad()
def read_only(reader: Reader, column: int) -> None:
    """Make the logit of following the trigger the positive part of one input of the intent."""
    decide(reader, [0.0, 0.0])
    linear = [layer for layer in intent_of(reader) if isinstance(layer, nn.Linear)]
    for layer, place in zip(linear, (column, 0, 0), strict=True):
        layer.weight[0, place] = 1.0


def probability(reader: Reader, seen: Seen) -> Tensor:
    with torch.no_grad():
        found = reader.trigger_probability(seen)
    assert found is not None
    return found


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


def longer(behaviors: Behaviors) -> Behaviors:
    """Return behaviors with three more places of padding, which hold anything."""
    s = len(behaviors.mask)
    more = (torch.full((s, 3, DIM), 1e4), torch.zeros(s, 3, dtype=torch.bool))
    rest = (torch.zeros(s, 3, dtype=torch.int64), torch.full((s, 3), 10**9))
    pairs = zip(behaviors, (*more, *rest), strict=True)
    return Behaviors(*(torch.cat(pair, 1) for pair in pairs))


def without_history(seen: Seen, *places: str) -> Seen:
    empty = {
        place: getattr(seen, place)._replace(mask=torch.zeros_like(getattr(seen, place).mask))
        for place in places
    }
    return seen._replace(**empty)


@READERS
def test_without_a_trigger_nothing_of_it_is_read(make: Any) -> None:
    """Not its embedding, which the composition gives as zeros, but its sub-sequence and p."""
    reader, seen = make(), make_requests(SEED).seen
    none = ~seen.has_trigger
    p = probability(reader, seen)
    assert (p[none] == 0).all()
    assert ((p > 0) & (p < 1))[seen.has_trigger].all()
    assert len(p[seen.has_trigger].unique()) == seen.has_trigger.sum()
    there = moved(reader, seen, shifted(seen, "trigger_behaviors.keys"))
    assert (there[none] == 0).all()
    assert there[seen.has_trigger].max() > 1e-4


@READERS
def test_nobody_follows_a_trigger_that_is_not_there(make: Any) -> None:
    """Whatever the intent says, a request without a trigger is read as if it said no."""
    reader, seen = make(), make_requests(SEED).seen
    found = []
    for logits in (FOLLOW, IGNORE):
        decide(reader, logits)
        with torch.no_grad():
            found.append(reader(seen).interest)
    changed = (found[0] - found[1]).abs().amax((1, 2)) > 1e-6
    expected = seen.has_trigger
    if make is dei2n:
        # What both attend to is the same where there is one behavior, or none.
        expected = expected & (seen.behaviors.mask.sum(1) > 1)
    assert torch.equal(changed, expected)


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
    wide = {place: longer(getattr(seen, place)) for place in changes}
    assert moved(reader, seen, seen._replace(**wide)).max() < 1e-6
    p = probability(reader, seen)
    torch.testing.assert_close(probability(reader, seen._replace(**wide)), p)


@READERS
def test_an_empty_sub_sequence_says_nothing(make: Any) -> None:
    """A trigger of a category without behaviors still has its own embedding and a p."""
    reader, seen = make(), make_requests(SEED).seen
    empty = without_history(seen, "trigger_behaviors")
    p = probability(reader, empty)
    assert ((p > 0) & (p < 1))[seen.has_trigger].all()
    assert (moved(reader, empty, shifted(empty, "trigger_behaviors.keys")) == 0).all()
    assert moved(reader, empty, shifted(empty, "trigger"))[seen.has_trigger].min() > 1e-4
    with torch.no_grad():
        interest = reader(empty).interest
    assert interest.isfinite().all()
    if make is not dian:
        # Their hard part stands apart, in the second of the parts of width D.
        assert (interest[..., DIM : 2 * DIM] == 0).all()


@READERS
def test_a_request_without_any_behavior_is_read(make: Any) -> None:
    reader, seen = make(), make_requests(SEED).seen
    empty = without_history(seen, "behaviors", "trigger_behaviors")
    with torch.no_grad():
        interest, weights = reader(empty).interest, reader.attention(empty)
    assert interest.isfinite().all()
    assert (weights == 0).all()
    # Candidates of one request still differ.
    assert (interest[:, 0] - interest[:, 1]).abs().amax(-1).min() > 1e-4


def hand_probability(make: Any, request: dict[str, Any], column: int) -> float:
    """Return p of a request when the intent reads one column of its input only."""
    trigger, soft = np.array(request["trigger"]), np.array(request["soft"]).reshape(-1, DIM)
    hard = np.array(request["hard"]).reshape(-1, DIM)
    done = soft.sum(0)
    parts = {
        dei2n: [request["about"], trigger, hard.sum(0)],
        dian: [request["about"], trigger, done / max(len(soft), 1), done * trigger],
        # In the third place stands what the trigger attends to, which the twin tells.
        dihn: [request["about"], trigger, np.full(DIM, np.nan), done, done * trigger],
    }[make]
    return 1 / (1 + math.exp(-max(np.concatenate(parts)[column], 0.0)))


@READERS
def test_the_intent_is_that_of_hand_computation(make: Any) -> None:
    """Each input of the network in its turn: request, trigger, and what was done."""
    reader, requests = make(), make_requests(SEED)
    width = intent_of(reader)[0].in_features
    skipped = range(REQUEST_DIM + DIM, REQUEST_DIM + 2 * DIM) if make is dihn else ()
    assert isinstance(width, int)
    for column in range(width):
        if column in skipped:
            continue
        read_only(reader, column)
        found = probability(reader, requests.seen)
        for i, request in enumerate(requests.plain):
            has = request["trigger"] is not None
            expected = hand_probability(make, request, column) if has else 0.0
            assert found[i].item() == pytest.approx(expected, abs=1e-6), column
            if has:
                # Of following and not following, one of the two is the case.
                assert 0.5 <= expected < 1
    decide(reader, [math.log(3.0), 0.0])
    found = probability(reader, requests.seen)
    torch.testing.assert_close(found, 0.75 * requests.seen.has_trigger)


@READERS
def test_attention_shares_the_behaviors_out(make: Any) -> None:
    reader, seen = make(), make_requests(SEED).seen
    weights = reader.attention(seen)
    assert weights is not None
    assert weights.shape == (*seen.behaviors.mask.shape, seen.candidates.shape[1])
    assert (weights[~seen.behaviors.mask] == 0).all()
    expected = seen.behaviors.mask.any(1).float().unsqueeze(1).expand_as(weights[:, 0])
    torch.testing.assert_close(weights.sum(1), expected)
    wide = reader.attention(seen._replace(behaviors=longer(seen.behaviors)))
    assert wide is not None
    torch.testing.assert_close(wide[:, :-3], weights)
    assert (wide[:, -3:] == 0).all()


@READERS
def test_who_ignores_the_trigger_attends_by_the_candidate(make: Any) -> None:
    reader, seen = make(), make_requests(SEED).seen
    two = seen.behaviors.mask.sum(1) > 1

    def differ(one: Tensor | None, other: Tensor | None) -> Tensor:
        assert one is not None
        assert other is not None
        return (one - other).abs().amax((1, 2)) > 1e-5

    decide(reader, IGNORE)
    own = reader.attention(seen)
    assert not differ(own, reader.attention(shifted(seen, "trigger"))).any()
    assert torch.equal(differ(own, reader.attention(shifted(seen, "candidates"))), two)
    decide(reader, FOLLOW)
    followed = reader.attention(seen)
    other = reader.attention(shifted(seen, "trigger"))
    assert torch.equal(differ(followed, other), two & seen.has_trigger)
    assert torch.equal(differ(followed, own), two & seen.has_trigger)


def test_attention_of_dei2n_is_what_its_soft_part_sums() -> None:
    reader, seen = dei2n(il=False, uhim=False), make_requests(SEED).seen
    assert reader.soft is not None
    assert reader.times is not None
    with torch.no_grad():
        refined = reader.soft(seen.behaviors, reader.times(seen.behaviors.ages_ms))
        weights = reader.attention(seen)
        assert weights is not None
        torch.testing.assert_close(weights.transpose(1, 2) @ refined, reader(seen).interest)


def test_the_sub_sequence_of_no_trigger_is_empty() -> None:
    seen = make_requests(SEED).seen
    found = of_trigger(seen)
    assert found.mask.any(1).tolist() == [True, True, False, False, False]
    assert torch.equal(found.mask[:3], seen.trigger_behaviors.mask[:3])  # type: ignore[union-attr]


def test_configs_of_a_manifest_are_taken() -> None:
    """Tuples come back from JSON as lists."""
    Dei2nReader(
        Dei2nConfig(attention_hidden=[4, 3], instant_hidden=[4], interaction_hidden=[4]), INPUTS
    )  # type: ignore[arg-type]
    DihnReader(DihnConfig(attention_hidden=[4, 3], intent_hidden=[4]), INPUTS)  # type: ignore[arg-type]
    DianReader(DianConfig(network_hidden=[4, 3], intent_hidden=[4]), INPUTS)  # type: ignore[arg-type]


def test_an_empty_dei2n_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="finds nothing"):
        Dei2nConfig(il=False, uhim=False, usim=False)


@pytest.mark.parametrize("field", ["same", "same_as_trigger"])
def test_dei2n_attends_by_what_is_the_same_if_it_is_told(field: str) -> None:
    seen = make_requests(SEED).seen
    s, t = seen.behaviors.mask.shape
    facts = {
        "same": torch.zeros(s, t, seen.candidates.shape[1], 2),
        "same_as_trigger": torch.zeros(s, t, 1, 2),
    }
    other = facts | {field: torch.zeros_like(facts[field])}
    other[field][:, 0, :, 1] = 1.0
    told, untold = dei2n(same=True), dei2n()
    assert told.compares
    assert not untold.compares
    far = moved(told, seen._replace(**facts), seen._replace(**other))
    # The third request has one behavior only: it is attended whatever it is.
    assert (far[[0, 3]] > 1e-4).all() if field == "same" else far[0] > 1e-4
    assert (moved(untold, seen._replace(**facts), seen._replace(**other)) == 0).all()
