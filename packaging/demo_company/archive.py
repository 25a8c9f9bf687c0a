"""Lays a day out in the folders of a backup and packs it with 7-Zip.

The Archive Key never stands on a command line, where every user of the machine
could read it: 7-Zip asks for it and gets it through a pipe.
"""

import json
import os
import subprocess
import tempfile
from datetime import datetime
from pathlib import Path

from .chance import Chance
from .day import Day

# Where each dataset lies. Survey answers are the kind of thing that no document mentions.
RECORD_FILES = {
    "staff": "lc-data-server/staff.json",
    "enquiry": "lc-data-server/enquiry.json",
    "message": "history/message.json",
    "call": "history/call.json",
    "conference": "history/conference.json",
    "voicemail": "history/voicemail.json",
    "recording": "history/recording.json",
    "file": "file-management/file.json",
    "avatar": "file-management/avatar.json",
    "tag-icon": "file-management/tag-icon.json",
    "contact": "dynamic-phonebook/contact.json",
    "other": "history/survey.json",
}
FOLDERS = ["lc-data-server", "history", "file-management", "dynamic-phonebook", "data-retention"]


def write(day: Day, made: datetime, key: str, out: Path) -> Path:
    """Packs the day into `out`. The archive appears there under its name only when it is whole."""
    job_id = Chance(day.people.seed, "job", made).job_id()
    target = out / f"backup_{day.people.service_id}_{job_id}_{made:%Y%m%d%H%M%S}.zip"
    with tempfile.TemporaryDirectory(prefix=".company-", dir=out) as folder:
        stage, packed = Path(folder, "stage"), Path(folder, "packed.zip")
        lay_out(day, stage, made)
        pack(stage, packed, key)
        packed.replace(target)
    return target


def lay_out(day: Day, stage: Path, made: datetime) -> None:
    """Writes record files and media. They bear the time of the backup, not that of this run."""
    contents = {
        RECORD_FILES[dataset]: json.dumps(found, ensure_ascii=False).encode()
        for dataset, found in day.datasets.items()
    }
    for name, content in (contents | day.media).items():
        path = stage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (made.timestamp(), made.timestamp()))


def pack(stage: Path, target: Path, key: str) -> None:
    """Makes a ZIP with AES-256."""
    command = ["7z", "a", "-tzip", "-mem=AES256", "-mx=5", "-bd", "-p", str(target.absolute()), *FOLDERS]
    done = subprocess.run(
        command,
        cwd=stage,
        # Some versions ask a second time, to be sure.
        input=f"{key}\n{key}\n".encode(),
        capture_output=True,
        # Without a terminal of its own 7-Zip can only ask the pipe.
        start_new_session=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"7z failed: {done.stderr.decode(errors='replace').strip() or done.returncode}")
