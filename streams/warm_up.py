"""Compiles the loops of the engine, or loads them, before the first event has to wait for it."""

import gc
import threading

import numpy as np

from interest_center.center import PartitionCenter
from interest_center.core.event_decoder import EventDecoder
from interest_center.core.events import EVENT_DTYPE, OP_EVENT, EventBatch
from interest_center.core.meta import LogIdentity
from interest_center.core.packed_records import pack
from interest_center.stores.memory import MemoryStore
from streams.copies import StateRules

_NOWHERE = LogIdentity("", "", "", 1, 0)
#: A record with the key "1" and no value, as ``core/packed_records.py`` draws it.
_RECORD = bytes((14, 0, 0, 0, 2, ord("1"), 1, 0))


class WarmUp:
    """Takes a record through the decoder and events through a throw-away center, once a process.

    Args:
        rules: Of the states; every memory model has loops of its own.
        decoder: Of the records.
    """

    def __init__(self, rules: StateRules, decoder: EventDecoder) -> None:
        self._rules = rules
        self._decoder = decoder
        self._lock = threading.Lock()
        self._is_done = False

    def wait(self) -> None:
        """Return when everything is compiled; a minute or less the first time on a machine."""
        with self._lock:
            if not self._is_done:
                self._run()
                # What lives now lives for ever: nobody shall wait while it is looked at again.
                gc.collect()
                gc.freeze()
                self._is_done = True

    def _run(self) -> None:
        batch = np.array([(0, len(_RECORD), 1, 0, 0, 0)], np.int64)
        self._decoder.decode(0, pack(_RECORD, batch, 0, 1), 0, 1)
        events = np.zeros(2, EVENT_DTYPE)
        events["op"], events["event_type"] = OP_EVENT, 1
        events["offset"], events["event_hash"] = [0, 1], [1, 2]
        events["user"] = events["item"] = events["category"] = 1
        rules = self._rules
        center = PartitionCenter(
            MemoryStore(), rules.config, rules.updater, _NOWHERE, rules.options
        )
        for start in (0, 1):
            center.apply(
                EventBatch(
                    partition=0,
                    start_position=start,
                    next_position=start + 1,
                    n_records=1,
                    events=events[start : start + 1],
                )
            )
            center.read([1], [1])  # hot rows, changed
            center.checkpoint()
        center.close()
