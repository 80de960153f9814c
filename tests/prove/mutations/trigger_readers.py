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
    Mutation(
        "dihn: trigger and candidate change places in the fused embedding",
        "models/dihn.py",
        "return p * seen.trigger.unsqueeze(1) + (1 - p) * seen.candidates",
        "return (1 - p) * seen.trigger.unsqueeze(1) + p * seen.candidates",
        "tests/contract/test_trigger_reader_twins.py::test_dihn_equals_its_twin",
    ),
    Mutation(
        "dihn: positions count from the oldest behavior",
        "models/dihn.py",
        "from_newest = found.mask.sum(1, keepdim=True) - 1 - at",
        "from_newest = at.expand_as(found.mask)",
        "tests/contract/test_trigger_reader_twins.py::test_dihn_equals_its_twin",
    ),
    Mutation(
        "dian: the trigger-free network is weighed with p",
        "models/dian.py",
        "interest = p * self._aware(seen) + (1 - p) * self._free(seen)",
        "interest = (1 - p) * self._aware(seen) + p * self._free(seen)",
        "tests/contract/test_trigger_reader_twins.py::test_dian_equals_its_twin",
    ),
    Mutation(
        "dian: keys weigh by the width of all heads, not of one",
        "models/dian.py",
        "scores = torch.bmm(keys, asked.transpose(1, 2)) / math.sqrt(of_key.shape[1])",
        "scores = torch.bmm(keys, asked.transpose(1, 2)) / math.sqrt(dim)",
        "tests/contract/test_trigger_reader_twins.py::test_dian_equals_its_twin",
    ),
]
