"""How far a file is sent, on disk, so that an interrupted `uic produce` goes on where it was."""

import hashlib
import os
from pathlib import Path

import msgspec

from interest_center.core.errors import ConfigurationError
from interest_center.core.event_decoder import BadEventError
from streams.event_tables import STDIN, Row, row_as_text

HASHED_BYTES = 1 << 16
PROGRESS_SUFFIX = ".uic-progress.json"
REJECTS_SUFFIX = ".rejects.jsonl"


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
    """Return size and hash of both ends of a file."""
    if path == STDIN:
        return ""
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

    def load(self) -> Progress:
        """Read the progress of an earlier run, if there is one.

        Raises:
            ConfigurationError: The file is of another job or cannot be read.
        """
        if self.path is None or not self.path.exists():
            return self.progress
        way_out = "--restart sends the input from its first row"
        try:
            found = msgspec.json.decode(self.path.read_bytes(), type=Progress)
        except (OSError, msgspec.MsgspecError) as error:
            raise ConfigurationError(
                f"cannot read the progress {self.path}: {error}", hint=way_out
            ) from error
        for name in Job.__struct_fields__:
            if getattr(found.job, name) != getattr(self.progress.job, name):
                raise ConfigurationError(
                    f"the progress {self.path} was made with another {name.replace('_', ' ')}",
                    hint=f"{way_out}; --resume-file names another progress",
                )
        self.progress = found
        return found

    def save(self) -> None:
        """Write the progress so that a power cut leaves the old or the new one."""
        if self.path is None:
            return
        fresh = self.path.with_name(self.path.name + ".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(self.progress))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)


class Rejects:
    """Rows that are no events, kept with their content and what is wrong with them.

    Args:
        path: The file, made at the first reject.
        source: Name of the input, for the entries.
        length: Length that belongs to the saved progress; what follows is of rows that come again.
    """

    def __init__(self, path: Path, source: str, length: int) -> None:
        self.path = path
        self.length = length
        self._source = source
        self._waiting: list[tuple[int, bytes]] = []
        if path.exists():
            os.truncate(path, min(length, path.stat().st_size))

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
        """Bring the rejects before a position to the disk; return how many those are."""
        due = [entry for at, entry in self._waiting if at < position]
        self._waiting = [(at, entry) for at, entry in self._waiting if at >= position]
        if due:
            with self.path.open("ab") as file:
                file.writelines(due)
                file.flush()
                os.fsync(file.fileno())
            self.length += sum(map(len, due))
        return len(due)
