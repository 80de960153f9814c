"""How the engine's loops are compiled: without the GIL, cached on disk so that starts are quick."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np

#: A row, a position or a length, in Python or in compiled code.
Index = int | np.int64
Loop = TypeVar("Loop", bound=Callable[..., object])


def compiled(loop: Loop) -> Loop:
    """Compile a loop over arrays; its code is cached beside the source, in ``__pycache__``."""
    return cast(Loop, numba.njit(nogil=True, cache=True, error_model="numpy")(loop))
