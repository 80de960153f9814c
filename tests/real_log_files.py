"""Where the real logs lie, for the tests that read them."""

import os
from pathlib import Path

import pytest


def real_log(name: str) -> Path:
    """Return the directory of a real log below ``UIC_DATA_DIR``; skip where it is not there.

    The logs may not be passed on, so not everyone has them.
    """
    path = Path(os.environ.get("UIC_DATA_DIR", "../shared/data")) / name
    if not path.is_dir():
        pytest.skip(f"{name} is not in UIC_DATA_DIR")
    return path
