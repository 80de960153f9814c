"""Rows of any table to behavior events: column mapping, text to numbers, ids for rows without."""

import datetime
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

import msgspec

from interest_center.core.errors import ConfigurationError
from interest_center.core.event_decoder import BadEventError, explain_invalid
from interest_center.core.events import BehaviorEvent
from streams.event_tables import EventTable, Row

FIELDS = BehaviorEvent.__struct_fields__
REQUIRED = ("user_id", "item_id", "event_type", "event_time_ms")
TIME_UNITS = ("ms", "s", "iso")
DERIVED_PREFIX = "row-"
MAX_TIME_DIGITS = 18

_INTEGER = re.compile(r"[+-]?[0-9]{1,30}\Z")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MILLISECOND = datetime.timedelta(milliseconds=1)


@dataclass(frozen=True)
class RowMapping:
    """How the columns of a table become the fields of an event.

    Attributes:
        columns: Column by field, for fields whose column has another name.
        constants: Value by field, for fields that no column holds.
        time_unit: Unit of the time column: ``ms`` or ``s`` since 1970 UTC, or ``iso`` 8601.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    time_unit: str = "ms"

    def column(self, name: str) -> str:
        """Return the column of a field."""
        return self.columns.get(name, name)

    def check(self, table: EventTable) -> None:
        """Compare with the columns of a table.

        Raises:
            ConfigurationError: The table lacks a mapped or a required column.
        """
        if table.columns is None:
            return
        wanted = [*self.columns, *(name for name in REQUIRED if name not in self.constants)]
        for name in wanted:
            if self.column(name) not in table.columns:
                raise ConfigurationError(
                    f"the input has no column {self.column(name)} for field {name}, "
                    f"it has {', '.join(table.columns)}",
                    hint=f"--map {name}=COLUMN, or --set {name}=VALUE for all rows",
                )


class RowReader:
    """Makes events of rows.

    Args:
        mapping: Which column is which field.
        event_types: Types that the center knows.
    """

    def __init__(self, mapping: RowMapping, event_types: tuple[str, ...]) -> None:
        self._columns = [(name, mapping.column(name)) for name in FIELDS]
        self._constants = mapping.constants
        self._time_unit = mapping.time_unit
        self._event_types = frozenset(event_types)

    def event(self, row: Row) -> BehaviorEvent:
        """Return the event of a row.

        Raises:
            BadEventError: The row cannot be read, or a field is missing or wrong.
        """
        if row.problem is not None:
            raise row.problem
        fields: dict[str, object] = dict(self._constants)
        for name, column in self._columns:
            value = row.fields.get(column)
            # An empty cell is how CSV says that there is nothing.
            if value is not None and value != "":
                fields[name] = value
        for name, value in fields.items():
            fields[name] = self._converted(name, value)
        if "event_id" not in fields:
            fields["event_id"] = derived_event_id(fields, row.number)
        try:
            event = msgspec.convert(fields, BehaviorEvent)
            msgspec.json.encode(event)
        except msgspec.ValidationError as error:
            raise explain_invalid(str(error)) from error
        except UnicodeEncodeError as error:
            raise BadEventError("not_utf8", f"the row is not UTF-8: {error}") from error
        if event.event_type not in self._event_types:
            raise BadEventError(
                "unknown_event_type",
                f"event_type {event.event_type!r} is none of {sorted(self._event_types)}; correct "
                "it, --set event_type=..., or add it to the state configuration",
                "event_type",
            )
        return event

    def _converted(self, name: str, value: object) -> object:
        """Turn a cell into the type of its field; what cannot be turned stays and is refused."""
        if name == "event_time_ms":
            return _time_ms(value, self._time_unit)
        if name == "page":
            return int(value) if isinstance(value, str) and _INTEGER.match(value) else value
        if name == "price":
            return _price(value)
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def derived_event_id(fields: Mapping[str, object], number: int) -> str:
    """Return the id of a row that brings none: of its content and number, always the same.

    A row that is sent again after an interruption is then a duplicate, and two equal rows of one
    file are two events.
    """
    content = [number, *(fields.get(name) for name in FIELDS if name != "event_id")]
    text = repr(content).encode("utf-8", "surrogateescape")
    return DERIVED_PREFIX + hashlib.blake2b(text, digest_size=16).hexdigest()


def _price(value: object) -> object:
    """Return a price written as text as the number it is."""
    if isinstance(value, Decimal):
        return float(value)
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _time_ms(value: object, unit: str) -> object:
    """Return a time in milliseconds since 1970 UTC.

    Raises:
        BadEventError: It is not written in the unit.
    """
    if isinstance(value, datetime.datetime):
        return _since_epoch(value)
    if unit == "iso":
        try:
            return _since_epoch(datetime.datetime.fromisoformat(str(value)))
        except ValueError as error:
            raise _bad_time(value, "ISO 8601 like 2026-01-31T12:00:00Z") from error
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    try:
        number = Decimal(str(value))
        if not number.is_finite() or number.adjusted() >= MAX_TIME_DIGITS:
            raise _bad_time(value, f"a number of {unit} since 1970 UTC")
    except InvalidOperation as error:
        raise _bad_time(value, f"a number of {unit} since 1970 UTC") from error
    if unit == "s":
        number = (number * 1000).to_integral_value()
    return int(number) if number == number.to_integral_value() else value


def _since_epoch(moment: datetime.datetime) -> int:
    """Return milliseconds since 1970; a moment without zone is UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return (moment - _EPOCH) // _MILLISECOND


def _bad_time(value: object, wanted: str) -> BadEventError:
    """Say how a time must be written."""
    return BadEventError(
        "wrong_type",
        f"field event_time_ms: {str(value)[:80]!r} is not {wanted}; see --time-unit",
        "event_time_ms",
    )
