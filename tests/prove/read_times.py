"""How long reads of random users take while something else goes on."""

import threading
import time

import numpy as np

from prove.reading import Connection, interest_path

PAUSE_SECONDS = 0.005


class ReadTimes:
    """Reads states one after another from a thread, for as long as the block lasts.

    Args:
        url: Of a worker.
        n_users: Users are ``1 .. n_users``.
        rng: Chooses them.

    Attributes:
        milliseconds: Of each read that was answered with 200.
        n_refused: Reads that were answered otherwise.
    """

    def __init__(self, url: str, n_users: int, rng: np.random.Generator) -> None:
        self._url = url
        self._n_users = n_users
        self._rng = rng
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.milliseconds: list[float] = []
        self.n_refused = 0

    def __enter__(self) -> "ReadTimes":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def p99_ms(self) -> float:
        """The 99th percentile."""
        return float(np.quantile(self.milliseconds, 0.99))

    @property
    def longest_ms(self) -> float:
        """The longest."""
        return max(self.milliseconds)

    def _read(self) -> None:
        connection = Connection(self._url)
        while not self._over.wait(PAUSE_SECONDS):
            user = str(int(self._rng.integers(1, self._n_users + 1)))
            begun = time.perf_counter()
            status, _ = connection.call("GET", interest_path(user))
            if status == 200:
                self.milliseconds.append(1e3 * (time.perf_counter() - begun))
            else:
                self.n_refused += 1
        connection.close()
