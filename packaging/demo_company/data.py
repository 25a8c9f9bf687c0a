"""The data files beside the code, and how times are written in records."""

import json
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "data"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@cache
def table(name: str) -> dict:
    """One of the JSON files, read once; nobody writes to it."""
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def script_lines(name: str):
    """The lines of a script file, without its comments and empty lines."""
    for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line


def rfc3339(moment: datetime) -> str:
    """A moment as the records write it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(moment: datetime) -> int:
    """A moment in milliseconds since 1970."""
    return (moment - EPOCH) // timedelta(milliseconds=1)
