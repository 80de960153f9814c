"""What the states must be, by plain code that shares nothing with the engine.

One event at a time, in dicts, lists and float64, written from the documents: the oracle of ``uic
verify``. Slow on purpose; nothing here is imported by a worker.
"""
