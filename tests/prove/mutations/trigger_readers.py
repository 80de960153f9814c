"""Mutations of the readers that are made for triggers."""

from prove.mutations.mutation import Mutation

TRIGGER_READERS = [
    Mutation(
        "dei2n: the sides of the mixture are exchanged",
        "models/dei2n.py",
        "return [p * of_trigger + (1 - p) * of_target]",
        "return [p * of_target + (1 - p) * of_trigger]",
        "tests/golden/test_dei2n_vectors.py::test_instant_interest_and_fusing",
    ),
    Mutation(
        "dei2n: the instant interest counts the padding of the sub-sequence",
        "models/dei2n.py",
        "done = (found.keys * found.mask.unsqueeze(-1)).sum(1)",
        "done = found.keys.sum(1)",
        "tests/contract/test_trigger_reader_twins.py::test_dei2n_equals_its_twin",
    ),
    Mutation(
        "dei2n: the instant interest reads the recent behaviors, not the sub-sequence",
        "models/dei2n.py",
        "        found = of_trigger(seen)\n        done =",
        "        found = seen.behaviors\n        done =",
        "tests/unit/models/test_trigger_readers.py::test_the_intent_is_that_of_hand_computation",
    ),
    Mutation(
        "dei2n: trigger and candidate attend by the same unit",
        "models/dei2n.py",
        "of_trigger = soft.trigger_unit(",
        "of_trigger = soft.target_unit(",
        "tests/golden/test_dei2n_vectors.py::test_instant_interest_and_fusing",
    ),
]
