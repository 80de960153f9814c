"""A compiled loop is compiled anew when a loop or a constant from another file changes."""

import subprocess
import sys
from pathlib import Path

CALLEE = "from interest_center.core.compiled import compiled\nSTEP = {step}\n\n\n@compiled\ndef one(x):\n    return x + {add}\n"  # noqa: E501
CALLER = (
    "from callee import STEP, one\n"
    "from interest_center.core.compiled import compiled, compiled_fastmath\n\n\n"
    "@compiled_fastmath\ndef two(x):\n    return one(x) * STEP\n\n\n"
    "@compiled\ndef three(x):\n    return two(x)\n\n\n"
    "print(three(1), sum(three.stats.cache_hits.values()))\n"
)


def run(folder: Path) -> list[int]:
    """Run the caller in a process of its own; returns the result and the hits of the cache."""
    done = subprocess.run(
        [sys.executable, "caller.py"], cwd=folder, capture_output=True, text=True, check=True
    )
    return [int(word) for word in done.stdout.split()]


def test_a_change_in_another_file_is_noticed_and_no_change_is_a_hit(tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text(CALLER)
    (tmp_path / "callee.py").write_text(CALLEE.format(add=1, step=10))
    assert run(tmp_path) == [20, 0]
    assert run(tmp_path) == [20, 1]
    (tmp_path / "callee.py").write_text(CALLEE.format(add=2, step=10))
    assert run(tmp_path) == [30, 0]
    (tmp_path / "callee.py").write_text(CALLEE.format(add=2, step=11))
    assert run(tmp_path) == [33, 0]
    assert run(tmp_path) == [33, 1]
