"""Column definitions for rows that come as dicts without any: the types of the first rows' values.

    bool BOOLEAN   int BIGINT   float DOUBLE   Decimal DECIMAL   str VARCHAR   bytes BYTES
    datetime TIMESTAMP   date DATE   time TIME   list ARRAY   dict STRUCT

int and float together are DOUBLE. A field that is only ever None is VARCHAR. One whose values do
not agree, or have another type, gets no column: an expression that names it fails with the list of
those that exist.
"""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Iterable, Mapping, Optional

_NOTHING = "VARCHAR"  # of None alone

# bool before int, datetime before date: subclasses first
_SIMPLE = ((bool, "BOOLEAN"), (int, "BIGINT"), (float, "DOUBLE"), (str, "VARCHAR"),
           (bytes, "BYTES"), (datetime, "TIMESTAMP"), (date, "DATE"), (time, "TIME"))


def _name(name: str) -> str:
    return "\"%s\"" % name.replace("\"", "\"\"")


def _decimal(values: list[Decimal]) -> Optional[str]:
    if not all(value.is_finite() for value in values):
        return None
    parts = [value.as_tuple() for value in values]
    scale = max(max(0, -int(part.exponent)) for part in parts)
    return "DECIMAL(38,%d)" % scale if scale <= 38 else None


def _struct(values: list[Mapping]) -> Optional[str]:
    fields = _fields(values)
    return "STRUCT<%s>" % ", ".join("%s %s" % field for field in fields) if fields else None


def _type(values: list) -> Optional[str]:
    """The type that holds all of these, None: there is none."""
    values = [value for value in values if value is not None]
    if not values:
        return _NOTHING
    if all(isinstance(value, Decimal) for value in values):
        return _decimal(values)
    if all(isinstance(value, Mapping) for value in values):
        return _struct(values)
    if all(isinstance(value, (list, tuple)) for value in values):
        element = _type([part for value in values for part in value])
        return "ARRAY<%s>" % element if element else None
    found = {next((name for kind, name in _SIMPLE if isinstance(value, kind)), None)
             for value in values}
    if found == {"BIGINT", "DOUBLE"}:
        return "DOUBLE"
    return found.pop() if len(found) == 1 else None


def _fields(rows: Iterable[Mapping]) -> list[tuple[str, str]]:
    values: dict[str, list] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(name, str):
                values.setdefault(name, []).append(value)
    found = [(name, _type(of_name)) for name, of_name in values.items()]
    return [(_name(name), type_) for name, type_ in found if type_]


def columns_of(rows: Iterable[Mapping[str, Any]]) -> str:
    """Column definitions for rows like these."""
    return ", ".join("%s %s" % field for field in _fields(rows))


def time_fields(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the fields that hold datetimes."""
    found: dict[str, bool] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None:
                found[name] = found.get(name, True) and isinstance(value, datetime)
    return [name for name, is_time in found.items() if is_time]
