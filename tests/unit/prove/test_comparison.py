"""The comparison passes a right answer and catches a lost, a doubled and a swapped event."""

from typing import Any

import pytest
from prove.bundles import bundle_for
from prove.comparison import compare, fields_of, shown_to_fail
from prove.oracle import Oracle, Record, UserState
from prove.oracle_memory import MemoryOracle

START_MS = 1_511_544_000_000


def history() -> list[Record]:
    events = [
        {
            "event_id": f"e{number}",
            "user_id": "u",
            "item_id": f"{1 + number % 7}",
            "category_id": f"{1 + number % 3}",
            "event_type": "click",
            "event_time_ms": START_MS + number,
        }
        for number in range(12)
    ]
    return [Record(0, offset, START_MS, "u", event) for offset, event in enumerate(events)]


def right_answer(state: UserState, memory: MemoryOracle) -> dict[str, Any]:
    """What a product without a mistake answers."""
    fields = fields_of(state)
    return {
        **fields,
        "user_id": "u",
        "categories": [{"category_id": name} for name in fields["categories"]],
        "subsequences": {
            name: {"behaviors": kept.behaviors[::-1]} for name, kept in state.subsequences.items()
        },
        "memory": {"values": memory.row_of(state.memory_events)[0].tolist()},
    }


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> MemoryOracle:
    events = [record.event for record in history() if record.event]
    return MemoryOracle(bundle_for(events, tmp_path_factory.mktemp("bundle") / "it", seed=1))


def test_equal_states_are_equal(memory: MemoryOracle) -> None:
    oracle = Oracle(history())
    outcome = compare(oracle, {"u": right_answer(oracle.state_of("u"), memory)}, memory)

    assert outcome.equal
    assert (outcome.users, outcome.memories, outcome.worst_memory) == (1, 1, 0.0)


def test_lost_doubled_and_swapped_events_are_caught(memory: MemoryOracle) -> None:
    oracle = Oracle(history())
    answers = {"u": right_answer(oracle.state_of("u"), memory)}

    caught = shown_to_fail(oracle, answers, memory)
    assert caught == {"dropped": True, "doubled": True, "swapped": True}


@pytest.mark.parametrize("name", ["chain_hash", "counts", "behaviors", "categories", "event_count"])
def test_one_wrong_field_is_caught(memory: MemoryOracle, name: str) -> None:
    oracle = Oracle(history())
    answer = right_answer(oracle.state_of("u"), memory)
    wrong = {"chain_hash": "0" * 16, "counts": {}, "behaviors": [], "categories": []}
    answer[name] = wrong.get(name, 11)

    assert not compare(oracle, {"u": answer}, memory).equal


def test_a_wrong_memory_alone_is_caught(memory: MemoryOracle) -> None:
    oracle = Oracle(history())
    answer = right_answer(oracle.state_of("u"), memory)
    answer["memory"]["values"][40] += 2e-4

    assert not compare(oracle, {"u": answer}, memory).equal


def test_nothing_compared_is_not_equal(memory: MemoryOracle) -> None:
    assert not compare(Oracle([]), {}, memory).equal
    assert not compare(Oracle(history()), {}, memory).equal
