"""A real Prometheus (Debian's package) on the product's own configuration, and its answers."""

import shutil
from pathlib import Path
from urllib.parse import quote

from prove.reading import get_json, status_of
from prove.rows import NotShownError
from prove.system import Process, System, free_port, wait_until

CONFIG = Path(__file__).resolve().parents[2] / "docker" / "prometheus.yml"

#: Samples of one series: seconds since 1970 and value.
Samples = list[tuple[float, float]]


class Prometheus:
    """Scrapes a system until the system ends."""

    def __init__(self, system: System) -> None:
        command = shutil.which("prometheus")
        if command is None:
            raise NotShownError("prometheus is not installed; Debian: apt-get install prometheus")
        address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}"
        argv = [
            command,
            f"--config.file={CONFIG}",
            f"--storage.tsdb.path={system.home / 'prometheus'}",
            f"--web.listen-address={address}",
        ]
        process = Process("prometheus", argv, system.environment(), system.logs / "prometheus.log")
        system.processes.append(process)
        wait_until("Prometheus ready", lambda: status_of(self.url + "/-/ready") == 200)

    def version(self) -> str:
        """Return the version of the running program."""
        answer = get_json(self.url + "/api/v1/status/buildinfo")
        return str(answer["data"]["version"])

    def series(self, expression: str) -> dict[str, Samples]:
        """Return every sample of a range selector, by instance and partition."""
        answer = get_json(f"{self.url}/api/v1/query?query={quote(expression)}")
        return {
            f"{one['metric'].get('instance')} {one['metric'].get('partition', '')}".strip(): [
                (float(at), float(value)) for at, value in one["values"]
            ]
            for one in answer["data"]["result"]
        }

    def value(self, expression: str) -> float | None:
        """Return what an expression with one value says now, None when it says nothing."""
        answer = get_json(f"{self.url}/api/v1/query?query={quote(expression)}")
        found = answer["data"]["result"]
        return float(found[0]["value"][1]) if found else None
