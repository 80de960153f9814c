"""One run of `uic produce`: rows of a table to Kafka, resumable, bad rows kept aside."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from interest_center.client.pushing import close_producer, open_producer
from interest_center.core.errors import ConfigurationError
from interest_center.core.event_decoder import BadEventError
from interest_center.core.layout import load_state_config
from interest_center.settings import Settings
from streams.event_forms import FORMS
from streams.event_sending import EventSender, Limits
from streams.event_tables import EventTable, Row, open_table
from streams.input_files import STDIN
from streams.interruption import Interruption
from streams.real_logs import open_real_log
from streams.row_events import RowMapping, RowReader
from streams.send_progress import (
    PROGRESS_SUFFIX,
    REJECTS_SUFFIX,
    Job,
    ProgressFile,
    Rejects,
    fingerprint_of,
    place_beside,
)
from streams.topics import topic_identity

#: Below the event ids that the center remembers of a user, see streams/event_sending.py.
EVENTS_OF_A_USER = 100
BATCH_BYTES = 1 << 18
STOP_SECONDS = 10.0
SHOWN_REJECTS = 5


@dataclass(frozen=True)
class ProduceOptions:
    """What to send and how, as given on the command line.

    Attributes:
        path: The input.
        table_format: Its format, None: by its name.
        real_log: Name of a public log, None for a table of events.
        mapping: Which column is which field.
        form: Form of the events in Kafka.
        rate: Most events a second, 0 for no limit.
        resume_file: Where the progress is kept, None: beside the input.
        rejects_file: Where bad rows are kept, None: beside the input.
        restart: Whether to forget an earlier progress.
    """

    path: Path
    table_format: str | None = None
    real_log: str | None = None
    mapping: RowMapping = field(default_factory=RowMapping)
    form: str = "plain"
    rate: float = 0.0
    resume_file: Path | None = None
    rejects_file: Path | None = None
    restart: bool = False

    @property
    def name(self) -> str:
        """Return the name of the input, for people."""
        return "standard input" if self.path == STDIN else self.path.name

    def described(self) -> str:
        """Return every option that changes what is sent, as text."""
        return json.dumps(
            [self.table_format, self.real_log, asdict(self.mapping), self.form], sort_keys=True
        )


@dataclass(frozen=True)
class Outcome:
    """How a run ended; ``rows`` and ``rejected`` count earlier runs of the same job as well."""

    sent: int
    rows: int
    rejected: int
    seconds: float
    interrupted: bool


class Production:
    """One run of ``uic produce``.

    Args:
        options: What to send.
        settings: Where to.
        console: Where to show the progress.
    """

    def __init__(self, options: ProduceOptions, settings: Settings, console: Console) -> None:
        self._options = options
        self._settings = settings
        self._console = console
        self._rules = load_state_config(settings.state_config)
        self._table = self._open()
        options.mapping.check(self._table)
        cluster_id, topic_id, _ = topic_identity(settings, settings.events_topic)
        job = Job(fingerprint_of(options.path), options.described(), cluster_id, topic_id)
        self.progress_file = ProgressFile(self._progress_path(), job)
        if options.restart:
            self.progress_file.forget()
        self.progress = self.progress_file.load()
        rejects = options.rejects_file or self._beside(REJECTS_SUFFIX)
        comes_again = options.restart or self.progress_file.was_there
        again_from = self.progress.rejects_bytes if comes_again else None
        self.rejects = Rejects(rejects, str(options.path), again_from)
        self._shown_rejects = 0

    def run(self) -> Outcome:
        """Send every row that is not sent yet.

        Raises:
            PushError: Kafka cannot be reached or does not acknowledge.
            ConfigurationError: The input cannot be read on, or the progress not be kept.
        """
        started = time.monotonic()
        producer = open_producer(self._settings, linger_ms=5, batch_size=BATCH_BYTES)
        # From here on rejects of this run are told from others by their place in the file.
        self.progress.rejects_bytes = self.rejects.length
        self.progress_file.save()
        interrupted = False
        with Interruption() as interruption, self._bar() as (bar, task):
            sender = EventSender(
                producer,
                self._settings.events_topic,
                Limits(self.progress.rows, min(EVENTS_OF_A_USER, self._rules.n_event_ids)),
                lambda rows: self._passed(rows, bar, task),
                lambda warning: self._warn(warning, interruption),
            )
            try:
                self._send_rows(sender, interruption)
                sender.finish()
                # The end of a pipe may be that of its writer, which the same Ctrl-C ended.
                interruption.check()
                self.progress.done = True
                self.progress_file.save()
            except KeyboardInterrupt:
                interrupted = True
                sender.stop(STOP_SECONDS)
            finally:
                close_producer(producer)
        return Outcome(
            sender.n_sent,
            self.progress.rows,
            self.progress.rejected,
            time.monotonic() - started,
            interrupted,
        )

    def _send_rows(self, sender: EventSender, interruption: Interruption) -> None:
        reader = RowReader(self._options.mapping, self._rules.event_types)
        form = FORMS[self._options.form]
        pace = Pace(self._options.rate)
        rows = self._table.rows(self.progress.rows)
        for position in count(self.progress.rows):
            # Waiting for the next row may be interrupted, what follows may not.
            interruption.allowed = True
            interruption.check()
            pace.wait()
            row = self._next(rows, sender)
            interruption.allowed = False
            if row is None:
                return
            try:
                event = reader.event(row)
            except BadEventError as bad:
                self._report(row.number, bad)
                self.rejects.add(position, row, bad)
                sender.pass_over()
            else:
                sender.send(event, form(event))

    def _next(self, rows: Iterator[Row], sender: EventSender) -> Row | None:
        """Read a row, None at the end; before an input that ends in an error all is saved."""
        try:
            return next(rows, None)
        except ConfigurationError as error:
            sender.finish()
            if not self.progress.rows:
                raise
            raise ConfigurationError(
                f"{error.message}; its first {self.progress.rows:,} rows are sent",
                hint="mend the input and leave those rows out: --restart would send them again",
            ) from error

    def _warn(self, sentence: str, interruption: Interruption) -> None:
        """Show a warning; what waits for Kafka may be interrupted here."""
        self._console.print(sentence, style="yellow")
        interruption.check()

    def _open(self) -> EventTable:
        options = self._options
        if options.real_log:
            return open_real_log(options.path, options.real_log)
        return open_table(options.path, options.table_format)

    def _progress_path(self) -> Path | None:
        """Return where the progress is kept; the standard input has no place of its own."""
        if self._options.resume_file or self._options.path == STDIN:
            return self._options.resume_file
        return self._beside(PROGRESS_SUFFIX)

    def _beside(self, suffix: str) -> Path:
        place = place_beside(self._options.path, self._settings.home)
        return place.with_name(place.name + suffix)

    def _passed(self, rows: int, bar: Progress, task: TaskID) -> None:
        """Save that the first ``rows`` rows need no sending any more."""
        progress = self.progress
        passed = rows - progress.rows
        progress.rows = rows
        progress.rejected += self.rejects.write_before(progress.rows)
        progress.rejects_bytes = self.rejects.length
        self.progress_file.save()
        share = self._table.share_read()
        bar.update(
            task,
            total=None if share is None else 1.0,
            completed=share or 0.0,
            rows=bar.tasks[task].fields["rows"] + passed,
            rejected=progress.rejected,
        )

    def _report(self, number: int, bad: BadEventError) -> None:
        """Show the first bad rows; all of them are in the rejects file."""
        self._shown_rejects += 1
        if self._shown_rejects <= SHOWN_REJECTS:
            self._console.print(
                f"{self._options.name} row {number}: {bad.detail} ({bad.reason})",
                style="yellow",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        elif self._shown_rejects == SHOWN_REJECTS + 1:
            self._console.print(f"more bad rows: see {self.rejects.path}", soft_wrap=True)

    @contextmanager
    def _bar(self) -> Iterator[tuple[Progress, TaskID]]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            RateColumn(),
            TextColumn("{task.fields[rejected]} rejected"),
        )
        with Progress(
            *columns, console=self._console, disable=not self._console.is_terminal
        ) as bar:
            yield bar, bar.add_task(self._options.name, total=None, rows=0, rejected=0)


class RateColumn(TextColumn):
    """Rows so far and rows a second."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Any) -> Any:
        """Show both."""
        self.text_format = f"{task.fields['rows']:,} rows  "
        if task.elapsed:
            self.text_format += f"{task.fields['rows'] / task.elapsed:,.0f}/s"
        return super().render(task)


class Pace:
    """Keeps to a rate by waiting, without making up for lost time in bursts.

    Args:
        rate: Events a second, 0 for no limit.
    """

    def __init__(self, rate: float) -> None:
        self._interval = 1.0 / rate if rate else 0.0
        self._next = time.monotonic()

    def wait(self) -> None:
        """Wait for the turn of the next event."""
        if self._interval:
            now = time.monotonic()
            if now < self._next:
                time.sleep(self._next - now)
            # Sleeps overshoot; a short backlog is worked off, a long pause is not.
            self._next = max(self._next, now - 0.1) + self._interval
