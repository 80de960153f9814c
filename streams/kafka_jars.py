"""Java, Maven and the jars of Apache Kafka: what a broker on this machine needs."""

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from interest_center.core.errors import InterestCenterError

FILES = Path(__file__).parent / "kafka_files"
OLDEST_JAVA = 17
HOW_TO_GET_JAVA = "Debian: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17"
HOW_TO_GET_MAVEN = "Debian: apt-get install maven; macOS: brew install maven"

_JAVA_VERSION = re.compile(r'version "(\d+)([^"]*)"')


class BrokerError(InterestCenterError):
    """The broker of this machine cannot be started, reached or stopped."""


@dataclass(frozen=True)
class Java:
    """A Java runtime: its command and the full version, which a class archive must match."""

    command: str
    version: str


def find_java() -> Java:
    """Return the Java runtime of the search path.

    Raises:
        BrokerError: There is none, or it is too old.
    """
    command = shutil.which("java")
    if command is None:
        raise BrokerError(f"Java {OLDEST_JAVA} or newer is missing", hint=HOW_TO_GET_JAVA)
    shown = subprocess.run([command, "-version"], capture_output=True, text=True, check=False)
    found = _JAVA_VERSION.search(shown.stderr)
    if found is None:
        raise BrokerError(f"cannot read the version of {command}", hint=HOW_TO_GET_JAVA)
    if int(found[1]) < OLDEST_JAVA:
        raise BrokerError(
            f"Java is {found[1]}{found[2]}, {OLDEST_JAVA} or newer is needed", hint=HOW_TO_GET_JAVA
        )
    return Java(command, found[1] + found[2])


def jar_directory(cache_dir: Path) -> Path:
    """Return where the jars of our ``pom.xml`` are kept, whether they are there or not."""
    digest = hashlib.sha256((FILES / "pom.xml").read_bytes()).hexdigest()[:12]
    return cache_dir / f"kafka-{digest}"


def archive_path(jars: Path, java: Java) -> Path:
    """Return where the class archive of these jars and this Java is kept, made or not."""
    return jars.parent / f"{jars.name}-java{java.version}.jsa"


def fetch_jars(cache_dir: Path, report: Callable[[str], None]) -> Path:
    """Return the directory with the jars; fetch them by Maven when they are not there yet.

    A download that breaks off leaves nothing behind that would count as complete.

    Args:
        cache_dir: Directory shared by all checkouts of this user.
        report: Called with a line about the progress.

    Raises:
        BrokerError: Maven is missing, or it failed.
    """
    target = jar_directory(cache_dir)
    if target.is_dir():
        return target
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerError("Maven is missing; it fetches Kafka once", hint=HOW_TO_GET_MAVEN)
    find_java()
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir, prefix="fetching-") as name:
        work = Path(name)
        shutil.copy(FILES / "pom.xml", work / "pom.xml")
        copy_dependencies(maven, work, report)
        try:
            (work / "jars").rename(target)
        except OSError:
            # Another process was quicker; its jars are the same.
            if not target.is_dir():
                raise
    return target


def copy_dependencies(maven: str, work: Path, report: Callable[[str], None]) -> None:
    """Let Maven put the jars of ``work/pom.xml`` into ``work/jars``."""
    command = [
        maven,
        "--batch-mode",
        "--file",
        str(work / "pom.xml"),
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
        f"-DoutputDirectory={work / 'jars'}",
    ]
    lines: list[str] = []
    n_fetched = 0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if "Downloaded from" in line:
                n_fetched += 1
                report(f"fetching Apache Kafka by Maven: {n_fetched} files")
    if process.returncode != 0:
        errors = [line for line in lines if "ERROR" in line][:5]
        raise BrokerError(
            "Maven could not fetch the jars of Kafka:\n" + "\n".join(errors or lines[-5:]),
            hint="check that Maven reaches its repository, then start again",
        )
