"""How far a file is sent, on disk, so that an interrupted `uic produce` goes on where it was."""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

import msgspec

from interest_center.core.errors import ConfigurationError
from interest_center.core.event_decoder import BadEventError
from streams.event_tables import Row, row_as_text
from streams.input_files import STDIN, check_input

HASHED_BYTES = 1 << 16
PROGRESS_SUFFIX = ".uic-progress.json"
REJECTS_SUFFIX = ".rejects.jsonl"
WAY_OUT = "--restart sends the input from its first row"

_OTHER_JOB = {
    "input": "another input",
    "options": "other options",
    "cluster_id": "another Kafka cluster",
    "topic_id": "another topic, or one that was made anew",
}


class Job(msgspec.Struct, frozen=True):
    """What is sent where; a progress belongs to one job and to no other.

    Attributes:
        input: Size and content hash of the input; empty for the standard input.
        options: Every option that changes what is sent.
        cluster_id: Kafka cluster.
        topic_id: Topic; a topic that was made anew has another.
    """

    input: str
    options: str
    cluster_id: str
    topic_id: str


class Progress(msgspec.Struct):
    """Rows that need no sending any more.

    Attributes:
        job: What is sent where.
        rows: Rows from the start of the input that are acknowledged or rejected.
        rejected: Rows among them that were rejected.
        rejects_bytes: Length of the rejects file up to there.
        done: Whether the input was sent to its end.
    """

    job: Job
    rows: int = 0
    rejected: int = 0
    rejects_bytes: int = 0
    done: bool = False


def fingerprint_of(path: Path) -> str:
    """Return size and hash of both ends of a file.

    Raises:
        ConfigurationError: It is no regular file, and has no ends.
    """
    if path == STDIN:
        return ""
    check_input(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        ends = file.read(HASHED_BYTES)
        file.seek(max(0, size - HASHED_BYTES))
        ends += file.read(HASHED_BYTES)
    return f"{size}-{hashlib.blake2b(ends, digest_size=16).hexdigest()}"


def place_beside(path: Path, home: Path) -> Path:
    """Return the directory and stem for the files of an input: beside it, else in ``home``."""
    name = "stdin" if path == STDIN else path.name
    parent = Path() if path == STDIN else path.parent
    # The mode bits as well: to the superuser everything is writable, also what is kept as is.
    if os.access(parent, os.W_OK) and parent.stat().st_mode & 0o222:
        return parent / name
    other = home / "produce"
    other.mkdir(parents=True, exist_ok=True)
    return other / (name + "-" + hashlib.blake2b(bytes(path.resolve()), digest_size=4).hexdigest())


class ProgressFile:
    """The progress of one job in a file, replaced in one step.

    Args:
        path: The file; None: nothing is kept (standard input without ``--resume-file``).
        job: What is sent where.
    """

    def __init__(self, path: Path | None, job: Job) -> None:
        self.path = path
        self.progress = Progress(job)
        self.was_there = False

    def load(self) -> Progress:
        """Read the progress of an earlier run, if there is one.

        Raises:
            ConfigurationError: The file is of another job or cannot be read.
        """
        if self.path is None or not self.path.exists():
            return self.progress
        try:
            found = msgspec.json.decode(self.path.read_bytes(), type=Progress)
        except (OSError, msgspec.MsgspecError) as error:
            raise ConfigurationError(
                f"cannot read the progress {self.path}: {error}", hint=WAY_OUT
            ) from error
        for name, other in _OTHER_JOB.items():
            if getattr(found.job, name) != getattr(self.progress.job, name):
                raise ConfigurationError(
                    f"the progress {self.path} is of {other}",
                    hint=f"{WAY_OUT}; --resume-file names another progress",
                )
        self.progress = found
        self.was_there = True
        return found

    def forget(self) -> None:
        """Remove the progress of an earlier run.

        Raises:
            ConfigurationError: It cannot be removed.
        """
        if self.path is not None:
            try:
                self.path.unlink(missing_ok=True)
            except OSError as error:
                raise _not_kept("progress", self.path, error) from error

    def save(self) -> None:
        """Write the progress so that a power cut leaves the old or the new one.

        Raises:
            ConfigurationError: It cannot be written.
        """
        if self.path is None:
            return
        fresh = self.path.with_name(self.path.name + ".new")
        try:
            with fresh.open("wb") as file:
                _write_through(file, msgspec.json.encode(self.progress))
            fresh.replace(self.path)
        except OSError as error:
            raise _not_kept("progress", self.path, error) from error


class Rejects:
    """Rows that are no events, kept with their content and what is wrong with them.

    Other inputs may keep theirs in the same file: entries are added at its end, and only entries
    of this input are ever dropped.

    Args:
        path: The file, made at the first reject.
        source: Name of the input, for the entries.
        again_from: Entries behind this length are of rows that come again; None: none are.

    Raises:
        ConfigurationError: The file cannot be written.
    """

    def __init__(self, path: Path, source: str, again_from: int | None) -> None:
        self.path = path
        self._source = row_as_text(source)
        self._waiting: list[tuple[int, bytes]] = []
        try:
            # Told now, and not when the first bad row comes after an hour.
            if not path.parent.is_dir():
                raise NotADirectoryError(0, f"there is no directory {path.parent}")
            if again_from is not None and path.exists():
                self._drop_behind(again_from)
            self.length = path.stat().st_size if path.exists() else 0
        except OSError as error:
            raise _not_kept("rejects", path, error) from error

    def add(self, position: int, row: Row, bad: BadEventError) -> None:
        """Keep the row at a position of the input; it is written when the row is through."""
        entry = {
            "file": self._source,
            "row": row.number,
            "field": bad.field or None,
            "reason": bad.reason,
            "detail": bad.detail,
            "content": row_as_text(row.raw),
        }
        self._waiting.append((position, msgspec.json.encode(entry) + b"\n"))

    def write_before(self, position: int) -> int:
        """Bring the rejects before a position to the disk; return how many those are.

        Raises:
            ConfigurationError: They cannot be written.
        """
        due = [entry for at, entry in self._waiting if at < position]
        self._waiting = [(at, entry) for at, entry in self._waiting if at >= position]
        if due:
            try:
                with self.path.open("ab") as file:
                    _write_through(file, b"".join(due))
                    self.length = file.tell()
            except OSError as error:
                raise _not_kept("rejects", self.path, error) from error
        return len(due)

    def _drop_behind(self, length: int) -> None:
        """Drop the entries of this input behind a length of the file."""
        with self.path.open("r+b") as file:
            start = min(length, self.path.stat().st_size)
            file.seek(start)
            kept = b"".join(line for line in file if not self._is_own(line))
            file.seek(start)
            file.truncate()
            _write_through(file, kept)

    def _is_own(self, line: bytes) -> bool:
        """Tell whether a line is an entry of this input, or one that a kill cut short."""
        try:
            entry = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeError):
            return not line.endswith(b"\n")
        return isinstance(entry, dict) and entry.get("file") == self._source


def _write_through(file: BinaryIO, content: bytes) -> None:
    """Write to the disk, not to memory that a power cut empties."""
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def _not_kept(what: str, path: Path, error: OSError) -> ConfigurationError:
    """Say that a file of ours cannot be written."""
    option = {"progress": "--resume-file", "rejects": "--rejects-file"}[what]
    return ConfigurationError(
        f"cannot keep the {what} in {path}: {error.strerror}", hint=f"{option} names another place"
    )
