"""SIM against plain float64 loops: exact search unit, beside a DIN over the ring."""

import numpy as np
import torch
from reference import dei2n as dei2n_twin
from reference import sim as sim_twin
from seen import make_seen
from trigger_weights import disturb

from models.reading import Behaviors, ReaderInputs
from models.sim import SimConfig, SimReader

SEED = 9
DIM = 5
LENGTHS = np.array([[4, 0, 2], [1, 3, 0]])  # of the sub-sequences of [s, g]
GROUP = np.array([[0, 1, 2, 0], [2, 1, 0, 1]])  # of the candidates


def make_behaviors(rng: np.random.Generator, lengths: np.ndarray) -> Behaviors:
    shape = (*lengths.shape, lengths.max())
    return Behaviors(
        torch.tensor(rng.normal(size=(*shape, DIM)), dtype=torch.float32),
        torch.from_numpy(np.arange(shape[-1]) < lengths[..., None]),
        torch.from_numpy(rng.integers(0, 4, shape)),
        torch.from_numpy(rng.integers(0, 10**9, shape)),
    )


def test_sim_equals_its_twin() -> None:
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    config = SimConfig(time_dim=3, head_dim=4)
    reader = SimReader(config, ReaderInputs(DIM, request_dim=0, n_types=3))
    disturb(reader)
    candidates = rng.normal(size=(2, 4, DIM))
    found = make_behaviors(rng, LENGTHS)
    ring = make_behaviors(rng, np.array([2, 0]))
    seen = make_seen(
        torch.tensor(candidates, dtype=torch.float32),
        ring,
        found=found,
        group=torch.from_numpy(GROUP),
        same=torch.tensor(rng.integers(0, 2, (2, 2, 4, 2)), dtype=torch.float32),
    )
    with torch.no_grad():
        interest = reader(seen).interest
        short = reader.short(seen).interest
    assert interest.shape[-1] == reader.interest_dim
    # The short-term part is DIN's, which has a twin of its own.
    width = short.shape[-1]
    np.testing.assert_array_equal(interest[..., :width], short)
    rows = reader.times.table.weight.detach().double().tolist()
    by_head = zip(
        reader.unit.of_query.weight.detach().double().chunk(config.n_heads),
        reader.unit.of_key.weight.detach().double().chunk(config.n_heads),
        strict=True,
    )
    heads = [(a.T.tolist(), b.T.tolist()) for a, b in by_head]
    for s, n in np.ndindex(GROUP.shape):
        g = GROUP[s, n]
        real = slice(0, LENGTHS[s, g])
        times = [
            rows[dei2n_twin.half_doublings(age / 1000, len(rows))]
            for age in found.ages_ms[s, g, real].tolist()
        ]
        behaviors = found.keys[s, g, real].double().tolist()
        expected = sim_twin.long_term(candidates[s, n].tolist(), behaviors, times, heads)
        np.testing.assert_allclose(interest[s, n, width:], expected, atol=2e-5, rtol=0)
