"""Mutations of the lines that models and training stand on, each with a test that has to notice.

A mutation replaces one text, which stands in its file exactly once, by one that is plausible and
wrong: most are mistakes of published code. Adding one means adding an entry to a list here.
"""

from prove.mutations.memories import MEMORIES
from prove.mutations.mutation import Mutation
from prove.mutations.pooling_readers import POOLING_READERS
from prove.mutations.readers import READERS
from prove.mutations.recurrent_readers import RECURRENT_READERS
from prove.mutations.training import TRAINING
from prove.mutations.trigger_readers import TRIGGER_READERS

MUTATIONS: list[Mutation] = [
    *READERS,
    *RECURRENT_READERS,
    *POOLING_READERS,
    *TRIGGER_READERS,
    *MEMORIES,
    *TRAINING,
]
