"""Schemas: the contract of a stream's events."""

from __future__ import annotations

import ctypes
import json
import os
from typing import Any, Mapping, Optional, Union

from ._context import Context, Handle, default_context, text
from ._error import raising
from ._library import lib

_NONE, _AVRO = 0, 2


class Schema(Handle):
    """Made by Schema.columns(), Schema.avro() or Schema.load()."""

    def __init__(self, pointer: int) -> None:
        super().__init__(pointer, lib.evs_schema_unref)

    @classmethod
    def columns(cls, definitions: str, *, context: Optional[Context] = None) -> Schema:
        """Column definitions: "user_id VARCHAR NOT NULL, total DOUBLE '$.order.total'"."""
        made = ctypes.c_void_p()
        raising(lib.evs_schema_columns, (context or default_context()).pointer,
                text(definitions, "columns"), ctypes.byref(made))
        return cls(made.value)  # type: ignore[arg-type]

    @classmethod
    def avro(cls, document: Union[str, Mapping[str, Any]], *,
             context: Optional[Context] = None) -> Schema:
        """An Avro schema (.avsc) whose root is a record, as text or as a dict."""
        made = ctypes.c_void_p()
        data = text(document if isinstance(document, str) else json.dumps(document), "schema")
        raising(lib.evs_schema_parse, (context or default_context()).pointer, _AVRO, data,
                len(data), ctypes.byref(made))
        return cls(made.value)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Union[str, os.PathLike], *, context: Optional[Context] = None) -> Schema:
        """A file: Avro when its name ends with .avsc, column definitions otherwise."""
        made = ctypes.c_void_p()
        name = os.fspath(path)
        raising(lib.evs_schema_load, (context or default_context()).pointer,
                _AVRO if name.endswith(".avsc") else _NONE, text(name, "path"), ctypes.byref(made))
        return cls(made.value)  # type: ignore[arg-type]

    @property
    def type(self) -> str:
        """The rows' type as text, "STRUCT<user_id VARCHAR NOT NULL, total DOUBLE>"."""
        return lib.evs_type_print(lib.evs_schema_type(self.pointer)).decode()

    @property
    def text(self) -> str:
        """What it was parsed from."""
        return lib.evs_schema_text(self.pointer).decode()

    @property
    def warnings(self) -> list[str]:
        """What the parser found suspicious."""
        return lib.evs_schema_warnings(self.pointer).decode().splitlines()

    def __repr__(self) -> str:
        return "<evstream.Schema %s>" % ("closed" if self.closed else self.type)


SchemaLike = Union[Schema, str, Mapping[str, Any], os.PathLike]


def schema_of(value: Optional[SchemaLike], context: Context) -> Optional[Schema]:
    """A Schema of what an argument `schema=` may be: a Schema, a dict (Avro), a path or a name
    that ends with .avsc, Avro text, or column definitions."""
    if value is None or isinstance(value, Schema):
        return value
    if isinstance(value, Mapping):
        return Schema.avro(value, context=context)
    if isinstance(value, os.PathLike) or value.endswith(".avsc"):
        return Schema.load(value, context=context)
    if value.lstrip().startswith("{"):
        return Schema.avro(value, context=context)
    return Schema.columns(value, context=context)
