"""Logs of other systems as attempts: OpenSSH, and CSV or JSON Lines with a mapping.

A row's id comes from its source, its content and its ordinal among equal content, so
that a log can be read twice, or again when it has grown, without a row counted twice.
A last line that has no end is not taken, as it may be half of one; an object of JSON
is, because it ends itself.
"""

from authkit.analysis.ingest.formats import FORMATS, opened
from authkit.analysis.ingest.load import IngestSummary, ingest
from authkit.analysis.ingest.mapping import Mapping, read_mapping
from authkit.analysis.ingest.openssh import OpenSSH
from authkit.analysis.ingest.records import CsvRecords, JsonRecords
from authkit.analysis.ingest.syslog import Clock

__all__ = [
    "FORMATS",
    "Clock",
    "CsvRecords",
    "IngestSummary",
    "JsonRecords",
    "Mapping",
    "OpenSSH",
    "ingest",
    "opened",
    "read_mapping",
]
