"""Which models meet every check of a ranker, and which only those of a composition."""

from models.registry import MEMORIES, model_names, parse_name, reader_model

#: Of the weights of bundles.
SEED = 20240612
#: One reader that walks the behaviors from the first one on, and one that does not.
WITH_MEMORIES = ("din", "dien")


def checked_in_full() -> list[str]:
    """Return every reader alone, with the trigger and without, and both kinds with every memory."""
    alone = [name for name in model_names() if parse_name(name).memory is None]
    return [*alone, *(f"{reader}+{memory}" for reader in WITH_MEMORIES for memory in MEMORIES)]


def is_recurrent(name: str) -> bool:
    """Tell whether a model's reader walks the behaviors."""
    return reader_model(parse_name(name).reader).recurrent
