"""Labelled places at which a test may kill the process, to show that no crash loses an event.

Reads ``UIC_FAULT_POINT`` once at import: ``label`` or ``label:n`` for the n-th time. This is the
one named exception to the rule that ``core`` reads no environment.
"""

import os
import signal
import subprocess
from itertools import count

_LABEL, _, _TIMES = os.environ.get("UIC_FAULT_POINT", "").partition(":")
_KILL_AT = int(_TIMES or "1")
_PASSED = count(1)


def fault_point(label: str, after_ms: int = 0) -> None:
    """Kill this process with SIGKILL when the environment asks for it at this label.

    Args:
        label: Name of the place, for example ``before_checkpoint_write``.
        after_ms: Go on and be killed so much later by another process: inside a call that lets no
            thread of this one run.
    """
    if label != _LABEL or next(_PASSED) != _KILL_AT:
        return
    if after_ms:
        subprocess.Popen(["sh", "-c", f"sleep {after_ms / 1000}; kill -9 {os.getpid()}"])
    else:
        os.kill(os.getpid(), signal.SIGKILL)
