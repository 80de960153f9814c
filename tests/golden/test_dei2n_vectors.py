"""DEI2N's published numbers (vector 09) against product code, item by item."""

import copy
import importlib
from typing import Any

import numpy as np
import pytest
import torch
from golden_vectors import close, tensor, vectors
from seen import make_seen
from trigger_weights import of_dei2n

from interest_center.core.layout import StateConfig
from models.dei2n import Dei2nConfig, Dei2nReader
from models.reading import Behaviors, ReaderInputs, Seen
from models.subsequences import Subsequences
from models.time_attention import interval_rows

FILE = "09_dei2n.json"
MINUTE_MS = 60_000


def make_reader(vector: dict[str, Any]) -> Dei2nReader:
    """Return a DEI2N with the vector's weights; the k-th minute has the k-th of its intervals."""
    given = vector["input"]
    intervals = tensor(given["Et"])
    reader = Dei2nReader(
        Dei2nConfig(
            time_dim=intervals.shape[1], spacing="linear", n_intervals=len(intervals), n_heads=2,
            attention_hidden=(5, 3), instant_hidden=(4, 3), interaction_hidden=(5, 3),
        ),
        ReaderInputs(dim=4, request_dim=len(given["e_u"]) + len(given["e_c"]), n_types=0),
    ).eval()  # fmt: skip
    assert reader.times is not None
    with torch.no_grad():
        reader.times.table.weight.copy_(intervals)
        for part, weights in of_dei2n(reader).items():
            assert weights.keys() == vector["weights"][part].keys()
            for name, values in weights.items():
                values.copy_(tensor(vector["weights"][part][name]))
    return reader


def make_request(vector: dict[str, Any]) -> Seen:
    given = vector["input"]
    keys, minutes = tensor([given["Eb"]]), torch.arange(len(given["Eb"])).unsqueeze(0)
    mask = tensor([given["mask"]]) > 0
    hard = given["hard_positions"]

    def behaviors(at: list[int]) -> Behaviors:
        ages = minutes[:, at] * MINUTE_MS
        return Behaviors(keys[:, at], mask[:, at], torch.zeros_like(ages), ages)

    return make_seen(
        tensor([[given["e_ta"]]]),
        behaviors(list(range(len(given["Eb"])))),
        request=tensor([given["e_u"] + given["e_c"]]),
        trigger=tensor([given["e_tr"]]),
        has_trigger=torch.tensor([True]),
        trigger_behaviors=behaviors(hard),
    )


@vectors(FILE)
def test_interval_buckets(vector: dict[str, Any]) -> None:
    """(i) Product code; at 86,401 rows the two clipped forms are the same numbers."""
    given, out = vector["input"], vector["output"]
    ages = ((given["t_rec"] - tensor(given["t_behaviour"])) * 1000).long()
    found = interval_rows(ages, "linear", 86_401)
    close(found, out["bucket_clipped"])
    close(found, out["bucket_official_code"])
    unclipped = np.array(out["bucket_floor"])
    inside = unclipped == np.array(out["bucket_clipped"])
    close(found[torch.from_numpy(inside)], unclipped[inside])


@vectors(FILE)
def test_self_attention(vector: dict[str, Any]) -> None:
    """(ii), (iii) Product code."""
    reader, seen = make_reader(vector), make_request(vector)
    assert reader.times is not None
    assert reader.soft is not None
    times = reader.times(seen.behaviors.ages_ms)
    mixed = reader.soft.mix(torch.cat((seen.behaviors.keys, times), -1))
    close(mixed[0], vector["output"]["X"])
    close(reader.soft(seen.behaviors, times)[0], vector["output"]["E_u_s"])


@vectors(FILE)
def test_attention_units(vector: dict[str, Any]) -> None:
    """(iv), (v) Product code."""
    reader, seen, out = make_reader(vector), make_request(vector), vector["output"]
    assert reader.times is not None
    assert reader.soft is not None
    assert reader.hard_unit is not None
    assert seen.trigger_behaviors is not None
    times = reader.times(seen.behaviors.ages_ms)
    keys, mask = tensor([out["E_u_s"]]), seen.behaviors.mask
    found = seen.trigger_behaviors
    for unit, query, given, name, part in (
        (reader.soft.target_unit, seen.candidates, (keys, mask, times), "ta", "ta_s"),
        (reader.soft.trigger_unit, seen.trigger[None], (keys, mask, times), "tr", "tr_s"),
        (
            reader.hard_unit, seen.candidates,
            (found.keys, found.mask, reader.times(found.ages_ms)), "hard", "ta_h",
        ),
    ):  # fmt: skip
        close(unit.weights(query, *given)[0, :, 0], out[f"w_{name}"])
        close(unit(query, *given)[0, 0], out[f"e_{part}"])


@vectors(FILE)
def test_instant_interest_and_fusing(vector: dict[str, Any]) -> None:
    """(vi), (vii), (viii), (ix) Product code; the composition, not the reader, adds e_u."""
    reader, seen, out = make_reader(vector), make_request(vector), vector["output"]
    p = reader.trigger_probability(seen)
    close(torch.stack((p, 1 - p), -1)[0], out["p_tr_p_ta"])
    interest = reader(seen).interest[0, 0]
    e_mix, e_hard, e_i = interest.split([4, 4, 3])
    close(e_mix, out["e_mix"])
    close(e_hard, out["e_ta_h"])
    close(e_i, out["e_i"])
    e_u = seen.request[0, : len(vector["input"]["e_u"])]
    close(torch.cat((interest, e_u)), out["top_input"])


@vectors(FILE)
def test_sub_sequence_of_the_trigger(vector: dict[str, Any]) -> None:
    """Product code: the sub-sequences as the center keeps them."""
    given = vector["input"]["subseq"]
    categories = np.array(given["categories"], np.uint64)
    found = Subsequences.of(np.array([0, len(categories)]), categories, StateConfig())
    first, n = found.find(
        np.array([0]),
        np.array([given["trigger_category"]], np.uint64),
        np.array([len(categories)]),
        given["T_h"],
    )
    positions = found.positions[first[0] : first[0] + n[0]]
    close(positions, vector["output"]["subseq_positions"])


@vectors(FILE)
def test_dei2n_twin(vector: dict[str, Any]) -> None:
    """The twin, so that both sides of the contract check stand on the numbers."""
    twin = importlib.import_module("reference.dei2n")
    given, out, w = vector["input"], vector["output"], vector["weights"]
    real = [i for i, one in enumerate(given["mask"]) if one]
    hard = given["hard_positions"]
    for at, expected in zip(given["t_behaviour"], out["bucket_clipped"], strict=True):
        assert twin.minutes(given["t_rec"] - at, 86_401) == expected
    close(twin.project(given["Eb"], given["Et"], w["soft"]), out["X"])
    refined = twin.self_attention([out["X"][i] for i in real], w["soft"], 2)
    close(refined, [out["E_u_s"][i] for i in real])
    p = twin.instant(
        given["e_u"] + given["e_c"], given["e_tr"], [given["Eb"][i] for i in hard], w["ui2m"]
    )
    close(p, out["p_tr_p_ta"])
    request = {
        "about": given["e_u"] + given["e_c"], "trigger": given["e_tr"],
        "soft": [given["Eb"][i] for i in real], "soft_times": [given["Et"][i] for i in real],
        "hard": [given["Eb"][i] for i in hard], "hard_times": [given["Et"][i] for i in hard],
    }  # fmt: skip
    close(twin.interest(request, given["e_ta"], w, 2) + given["e_u"], out["top_input"])
    sub = given["subseq"]
    found = twin.sub_sequence(sub["categories"], sub["trigger_category"], sub["T_h"])
    assert found == out["subseq_positions"]


@vectors(FILE)
def test_every_weight_moves_the_numbers(vector: dict[str, Any]) -> None:
    """By a thousandth; a shift of all logits of a softmax moves nothing."""
    expected = np.array(vector["output"]["top_input"])[:11]
    moved_all = {"att_target.b3", "att_trigger.b3", "att_hard.b3"}
    for part, weights in vector["weights"].items():
        for name in weights:
            changed = copy.deepcopy(vector)
            values = np.array(changed["weights"][part][name])
            values += 1e-3 * (-1.0) ** np.arange(values.size).reshape(values.shape)
            changed["weights"][part][name] = values.tolist()
            found = make_reader(changed)(make_request(changed)).interest[0, 0]
            same = np.allclose(found.detach().numpy(), expected, atol=1e-9, rtol=0)
            assert same == (f"{part}.{name}" in moved_all), f"{part}.{name}"


@vectors(FILE)
@pytest.mark.parametrize("name", ["Eb", "Et", "e_u", "e_c", "e_tr", "e_ta"])
def test_every_input_moves_the_numbers(vector: dict[str, Any], name: str) -> None:
    changed = copy.deepcopy(vector)
    values = np.array(changed["input"][name])
    values.flat[0] += 1e-3
    changed["input"][name] = values.tolist()
    found = make_reader(changed)(make_request(changed)).interest[0, 0].detach().numpy()
    assert np.abs(found - np.array(vector["output"]["top_input"])[:11]).max() > 1e-9
