"""What to say of a name that is not known: the one that was probably meant, then all there are."""

from collections.abc import Iterable
from difflib import get_close_matches


def one_of(name: str, known: Iterable[str]) -> str:
    """Return a hint such as ``did you mean epochs? one of decay, epochs, ...``."""
    names = list(known)
    close = get_close_matches(name, names, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    return f"{meant}one of {', '.join(names)}"
