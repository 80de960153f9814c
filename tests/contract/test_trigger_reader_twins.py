"""DEI2N, DIHN and DIAN against plain float64 loops, with and without trigger and history."""

from typing import Any

import numpy as np
import pytest
import torch
from reference import dei2n as dei2n_twin
from reference import dian as dian_twin
from reference import dihn as dihn_twin
from trigger_requests import DIM, REQUEST_DIM, make_requests
from trigger_weights import as_lists, disturb, layers, of_dei2n, self_attention, unit

from models.dei2n import Dei2nConfig, Dei2nReader
from models.dian import DianConfig, DianReader, QueryAttention
from models.dihn import DihnConfig, DihnReader
from models.reading import Reader, ReaderInputs
from models.time_attention import IntervalTable

SEED = 20250807
INPUTS = ReaderInputs(DIM, REQUEST_DIM, n_types=0, trigger=True)
N_INTERVALS = 48
CLOSE = {"atol": 2e-5, "rtol": 0}


def with_times(request: dict[str, Any], table: IntervalTable) -> dict[str, Any]:
    """Return a request with the embeddings of its intervals."""
    rows = table.table.weight.detach().double().tolist()
    bucket = dei2n_twin.minutes if table.spacing == "linear" else dei2n_twin.half_doublings
    return request | {
        f"{part}_times": [rows[bucket(age / 1000, len(rows))] for age in request[f"{part}_ages_ms"]]
        for part in ("soft", "hard")
    }


def check(reader: Reader, expect: Any) -> list[float]:
    """Compare all interests of training-free reading; return the twin's p of each request."""
    requests = make_requests(SEED)
    with torch.no_grad():
        found = reader.eval()(requests.seen)
    assert found.loss is None
    probabilities = []
    for i, request in enumerate(requests.plain):
        for n, candidate in enumerate(requests.candidates[i].tolist()):
            expected, p = expect(request, candidate)
            np.testing.assert_allclose(found.interest[i, n], expected, **CLOSE)
        probabilities.append(p)
    assert found.interest.shape[-1] == reader.interest_dim
    return probabilities


@pytest.mark.parametrize("spacing", ["log", "linear"])
def test_dei2n_equals_its_twin(spacing: Any) -> None:
    torch.manual_seed(SEED)
    config = Dei2nConfig(
        time_dim=3, spacing=spacing, n_intervals=N_INTERVALS, attention_hidden=(6, 4),
        instant_hidden=(5, 4), interaction_hidden=(6, 5),
    )  # fmt: skip
    reader = Dei2nReader(config, INPUTS)
    disturb(reader)
    weights = {part: as_lists(one) for part, one in of_dei2n(reader).items()}

    def expect(request: dict[str, Any], candidate: list[float]) -> tuple[list[float], float]:
        assert reader.times is not None
        request = with_times(request, reader.times)
        interest = dei2n_twin.interest(request, candidate, weights, config.n_heads)
        if request["trigger"] is None:
            return interest, 0.0
        about = (request["about"], request["trigger"], request["hard"], weights["ui2m"])
        return interest, dei2n_twin.instant(*about)[0]

    expected = check(reader, expect)
    seen = make_requests(SEED).seen
    # The first of the candidates and the last are clicked: some of the category, some not.
    clicked = seen.candidate_mask & torch.tensor([True, False, True])
    check_loss(reader, expected, config.intent_rate, clicked)
    assert reader(seen).loss is None  # not known what was clicked


def test_dihn_equals_its_twin() -> None:
    torch.manual_seed(SEED)
    config = DihnConfig(place_dim=3, n_positions=2, attention_hidden=(6, 4), intent_hidden=(5, 4))
    reader = DihnReader(config, INPUTS)
    disturb(reader)
    weights = {
        "intent_unit": as_lists(unit(reader.intent_unit)),
        "intent": as_lists(layers(reader.intent)),
        "hard_unit": as_lists(unit(reader.hard_unit)),
        "refine": as_lists(self_attention(reader.refine)),
        "soft_unit": as_lists(unit(reader.soft_unit)),
    }
    positions = reader.positions.weight.detach().double().tolist()

    def expect(request: dict[str, Any], candidate: list[float]) -> tuple[list[float], float]:
        request = with_times(request, reader.times)
        return dihn_twin.interest(request, candidate, weights, config.n_heads, positions)

    check_loss(reader, check(reader, expect), config.intent_rate, None)


def test_dian_equals_its_twin() -> None:
    torch.manual_seed(SEED)
    config = DianConfig(network_hidden=(6, 5), intent_hidden=(5, 4))
    reader = DianReader(config, INPUTS)
    disturb(reader)

    def heads(attention: QueryAttention) -> dict[str, Any]:
        parts = ("of_query", "of_key", "of_value", "out")
        named = zip(("WQ", "WK", "WV", "WO"), parts, strict=True)
        return as_lists({name: getattr(attention, part).weight.T for name, part in named})

    attentions = (
        "target_recent", "target_category", "trigger_recent", "trigger_category", "free_recent",
    )  # fmt: skip
    weights = {name: heads(getattr(reader, name)) for name in attentions}
    weights |= {
        name: as_lists(layers(getattr(reader, name))) for name in ("intent", "aware", "free")
    }

    def expect(request: dict[str, Any], candidate: list[float]) -> tuple[list[float], float]:
        return dian_twin.interest(request, candidate, weights, config.n_heads)

    check_loss(reader, check(reader, expect), config.intent_rate, None)


def check_loss(
    reader: Dei2nReader | DihnReader | DianReader,
    probabilities: list[float],
    rate: float,
    clicked: torch.Tensor | None,
) -> None:
    """The reader's own loss, in training: candidates of requests with a trigger, all or clicked."""
    seen = make_requests(SEED).seen._replace(clicked=clicked)
    among = seen.candidate_mask if clicked is None else clicked
    found = reader.trigger_probability(seen)
    assert found is not None
    np.testing.assert_allclose(found.detach().numpy(), probabilities, **CLOSE)
    labels = [
        (p if has else None, [bool(one) for one, real in zip(same, mask, strict=True) if real])
        for p, has, same, mask in zip(
            probabilities, seen.has_trigger, seen.same_category_as_trigger,
            among, strict=True,
        )
    ]  # fmt: skip
    reader.train()
    loss = reader(seen).loss
    assert loss is not None
    assert loss.item() == pytest.approx(rate * dihn_twin.category_loss(labels), abs=2e-5)
    nothing = seen._replace(has_trigger=torch.zeros_like(seen.has_trigger))
    loss = reader(nothing).loss
    assert loss is not None
    assert loss.item() == 0
