"""A fault point kills the process at its label, at the n-th time, and nowhere else."""

import os
import signal
import subprocess
import sys

import pytest

SCRIPT = """
from interest_center.core.fault_points import fault_point
for n in range(3):
    fault_point("other")
    fault_point("here")
    print(n, flush=True)
"""


@pytest.mark.parametrize(
    ("asked", "printed", "code"),
    [
        ("", "0\n1\n2\n", 0),
        ("elsewhere", "0\n1\n2\n", 0),
        ("here", "", -signal.SIGKILL),
        ("here:3", "0\n1\n", -signal.SIGKILL),
    ],
)
def test_kills_where_and_when_it_is_asked_to(asked: str, printed: str, code: int) -> None:
    environment = {**os.environ, "UIC_FAULT_POINT": asked}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == (printed, code)


def test_a_kill_may_come_a_moment_later_from_outside() -> None:
    script = """
import time
from interest_center.core.fault_points import fault_point
fault_point("in_the_work", after_ms=1)
print("working", flush=True)
time.sleep(30)
"""
    environment = {**os.environ, "UIC_FAULT_POINT": "in_the_work"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == -signal.SIGKILL
