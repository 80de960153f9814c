"""What the recurrent comparison model promises beyond the numbers of its twin."""

import torch
from shared_walks import DIM, make_walking
from trigger_weights import disturb

from models.gru4rec import Gru4RecConfig, Gru4RecReader
from models.reading import ReaderInputs

SEED = 2
HIDDEN = 5


def make_reader(length: int) -> Gru4RecReader:
    torch.manual_seed(SEED)
    reader = Gru4RecReader(Gru4RecConfig(HIDDEN), ReaderInputs(DIM, 0, 0, history_length=length))
    disturb(reader)
    return reader


def test_all_candidates_read_the_same() -> None:
    seen = make_walking(SEED).together
    found = make_reader(4)(seen).interest
    assert found.shape == (len(seen.candidates), seen.candidates.shape[1], DIM + HIDDEN)
    assert torch.equal(found, found[:, :1].expand_as(found))


def test_the_state_remembers_more_than_is_summed() -> None:
    seen = make_walking(SEED).together
    short, long = (make_reader(length)(seen).interest[0, 0] for length in (2, 4))
    assert torch.equal(short[DIM:], long[DIM:])
    assert not torch.equal(short[:DIM], long[:DIM])
    assert seen.walk is not None
    keys = seen.walk.keys.clone()
    keys[0, 0] += 1
    moved = make_reader(2)(seen._replace(walk=seen.walk._replace(keys=keys))).interest[0, 0]
    assert torch.equal(moved[:DIM], short[:DIM])
    assert not torch.equal(moved[DIM:], short[DIM:])
