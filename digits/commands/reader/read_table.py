"""The table of what was read: written piece by piece beside the output, and as one CSV or Parquet file at the end.

OUTPUT.parts/0000.json    some rows each; a command that is typed again reads only what they lack
OUTPUT                    all rows, in the order of their names
"""

import csv
import io
import json
import re
import time
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from digits.errors import ConfigurationError, require
from digits.storage import Storage

COLUMNS = ("file", "text", "numbers", "rotation", "refused", "digits")
"""Of a row: numbers and digits hold lists, the others texts, or in rotation a whole number; refused is None or why."""
ROWS_A_PART, SECONDS_A_PART = 200, 5.0
"""What waits is written when there are so many rows, or after so many seconds: that much is read anew at most."""
KINDS = (".csv", ".parquet")
PART = re.compile(r"\d{4,}\.json")
_DIGIT = pa.struct(
    {
        "digit": pa.int8(),
        "confidence": pa.float32(),
        "box": pa.list_(pa.float32()),
        "line": pa.int32(),
        "number": pa.int32(),
        "probabilities": pa.list_(pa.float32()),
    }
)
SCHEMA = pa.schema(
    {
        "file": pa.string(),
        "text": pa.string(),
        "numbers": pa.list_(pa.string()),
        "rotation": pa.int16(),
        "refused": pa.string(),
        "digits": pa.list_(_DIGIT),
    }
)
Row = dict[str, Any]


class ReadTable:
    """Rows on their way into a file."""

    def __init__(self, output: str) -> None:
        """The table that becomes `output`, a path or URI; ConfigurationError where it cannot be written or is there."""
        require(
            output.lower().endswith(KINDS),
            f"--output {output} is no table that is written here",
            f"a name that ends with {' or '.join(KINDS)}",
            "name the file with one of these ends",
        )
        self.file = Storage.open(output)
        self.parts = self.file.parent / f"{self.file.name}.parts"
        require(
            not self.file.exists(),
            f"{self.file} is there already",
            "a file that is not there, or one whose reading was interrupted",
            "name another file with --output, or remove that one",
        )
        self.file.parent.check_writable()
        self.rows: dict[str, Row] = {}
        # What a kill left half written has another name.
        parts = [name for name in self.parts.files() if PART.fullmatch(name)]
        for name in parts:
            self.rows |= {row["file"]: row for row in self._part(name)}
        self.number = 1 + max((int(name.partition(".")[0]) for name in parts), default=-1)
        self.waiting: list[Row] = []
        self.flushed = -SECONDS_A_PART

    def _part(self, name: str) -> list[Row]:
        """The rows of a part; ConfigurationError for one that is damaged."""
        try:
            return json.loads((self.parts / name).read_bytes())
        except ValueError as error:
            raise ConfigurationError(
                f"{self.parts / name} cannot be read: {error}", "rows as JSON", f"remove {self.parts / name}"
            ) from error

    def add(self, row: Row) -> None:
        """Keep a row; from time to time what waits is written."""
        self.rows[row["file"]] = row
        self.waiting.append(row)
        if len(self.waiting) >= ROWS_A_PART or time.monotonic() > self.flushed + SECONDS_A_PART:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self.waiting:
            (self.parts / f"{self.number:04d}.json").write_bytes(json.dumps(self.waiting).encode())
            self.number += 1
            self.waiting = []
        self.flushed = time.monotonic()

    def finish(self, rows: list[Row]) -> None:
        """Write these rows as one file, and remove the parts."""
        write = as_csv if self.file.name.lower().endswith(".csv") else as_parquet
        self.file.write_bytes(write(rows))
        if self.parts.exists():
            self.parts.delete()


def as_csv(rows: list[Row]) -> bytes:
    """Rows as CSV: lines of text joined by |, numbers by spaces, digits as JSON."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for row in rows:
        text, numbers = row["text"].replace("\n", "|"), " ".join(row["numbers"])
        digits = json.dumps(row["digits"], separators=(",", ":"))
        writer.writerow([row["file"], text, numbers, row["rotation"], row["refused"] or "", digits])
    return buffer.getvalue().encode()


def as_parquet(rows: list[Row]) -> bytes:
    """Rows as Parquet, with lists where rows have lists."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), buffer)
    return buffer.getvalue()
