"""The declarative root of the relational tables: one metadata, one map of types."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

from authkit.schema.columns import (
    ADDRESS,
    BYTES,
    FLAG,
    INSTANT,
    INT,
    JSON_OBJECT,
    REAL,
    TEXT,
    TEXTS,
    UUID_,
    IPAddress,
    JsonObject,
)
from authkit.schema.metadata import metadata as _metadata


class Record(DeclarativeBase):
    """Root of every mapped class; rows print as their class and key alone."""

    metadata: ClassVar[MetaData] = _metadata
    type_annotation_map: ClassVar[dict[object, object]] = {
        str: TEXT,
        int: INT,
        float: REAL,
        bool: FLAG,
        bytes: BYTES,
        datetime: INSTANT,
        UUID: UUID_,
        IPAddress: ADDRESS,
        JsonObject: JSON_OBJECT,
        list[str]: TEXTS,
    }

    def __repr__(self) -> str:
        keys = self.__mapper__.primary_key_from_instance(self)
        return f"{type(self).__name__}({', '.join(str(key) for key in keys)})"
