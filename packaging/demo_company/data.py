"""The data files beside the code, and how times are written in records."""

import json
from datetime import datetime
from pathlib import Path

FOLDER = Path(__file__).parent / "data"


def table(name: str) -> dict:
    """One of the JSON files."""
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
    return round(moment.timestamp() * 1000)
