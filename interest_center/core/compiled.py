"""How loops over arrays are compiled: without the GIL, cached on disk so that starts are quick.

Numba keeps the code of a loop as long as the file of that loop does not change; it does not look at
the loops and constants from other files that were compiled into it. After an update of one file an
old loop would go on with what it called before. So the stamp of a loop covers theirs as well.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

#: A row, a position or a length, in Python or in compiled code.
Index = int | np.int64
Loop = TypeVar("Loop", bound=Callable[..., object])

_CONSTANTS = (bool, int, float, str, tuple, np.generic)


def compiled(loop: Loop) -> Loop:
    """Compile a loop over arrays; its code is cached in ``__pycache__`` or NUMBA_CACHE_DIR."""
    return _compiled(loop, fastmath=False)


def compiled_fastmath(loop: Loop) -> Loop:
    """Compile a loop whose sums may be taken in any order."""
    return _compiled(loop, fastmath=True)


def _compiled(loop: Loop, fastmath: bool) -> Loop:
    made = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=fastmath)(loop)
    _set_stamp(made, (_stamp(made), *_used_from_elsewhere(loop)))
    return cast(Loop, made)


def _used_from_elsewhere(loop: Any) -> Iterator[tuple[str, object]]:
    """Yield the globals of a loop that become part of its code, with what tells a change.

    Callees are compiled before their callers, so their stamps cover what they call in turn.
    """
    for name in loop.__code__.co_names:
        used = loop.__globals__.get(name)
        if isinstance(used, Dispatcher):
            yield name, _stamp(used)
        elif isinstance(used, _CONSTANTS):
            yield name, repr(used)


def _stamp(loop: Any) -> object:
    """Return what numba compares before it takes code from the cache (private, see the tests)."""
    return loop._cache._cache_file._source_stamp


def _set_stamp(loop: Any, stamp: object) -> None:
    loop._cache._cache_file._source_stamp = stamp
