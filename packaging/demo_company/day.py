"""One day at the company, as far as it has been written.

A day knows who is there and collects records and media. `lists`, `chats` and
`calls` each write their part of it.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from . import records
from .chance import Chance
from .people import CUSTOMER_FACING, People, Person
from .records import SharedFile
from .rooms import Room, Rooms

OPEN_SECONDS = 8 * 3600
ORDERED_BY = {
    "message": "ts", "call": "callDate", "conference": "callDate", "voicemail": "createdAt",
    "recording": "createdAt", "file": "createdAt", "enquiry": "createdAt",
}


@dataclass(frozen=True)
class Volume:
    """How much happens on a day."""

    customer_rooms: int
    staff_rooms: int
    messages: int
    calls: int
    voicemails: int
    recordings: int
    conferences: int
    enquiries_by_chat: int
    enquiries_by_phone: int


FULL = Volume(21, 4, 500, 150, 8, 12, 5, 12, 8)
QUICK = Volume(4, 1, 100, 30, 2, 2, 1, 2, 2)


@dataclass
class Day:
    """The records and media of one backup."""

    people: People
    rooms: Rooms
    number: int
    opens: datetime
    datasets: dict[str, list[dict]] = field(default_factory=dict)
    media: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.staff = self.people.staff_on(self.number)
        self.contacts = self.people.contacts_on(self.number)

    @property
    def at_work(self) -> list[Person]:
        """Staff who can sign in."""
        return [person for person in self.staff if person.record["status"] == "Activated"]

    @property
    def handlers(self) -> list[Person]:
        """Staff who speak with customers."""
        return [person for person in self.at_work if person.record["department"] in CUSTOMER_FACING]

    def chance(self, purpose: str) -> Chance:
        """A source of chance for one part of this day."""
        return Chance(self.people.seed, purpose, self.number)

    def add(self, dataset: str, record: dict) -> dict:
        """Adds a record and hands it back."""
        self.datasets.setdefault(dataset, []).append(record)
        return record

    def share(self, chance: Chance, file: SharedFile) -> SharedFile:
        """Adds a file: its record and its bytes."""
        self.add("file", records.file_record(chance, file))
        self.media[file.path] = file.content
        return file

    def open_enquiry(
        self, chance: Chance, room: Room, visitor: Person, handler: Person, opened: datetime, by_phone: bool
    ) -> dict:
        """Adds an enquiry that is closed in the same second; whoever writes more to it moves that on."""
        tag = chance.choice([None, None, *self.people.tags])
        return self.add("enquiry", records.enquiry(
            chance, self.people.service_id, room.room_id, visitor, handler, opened, by_phone, tag,
        ))

    def moment(self, chance: Chance, latest_share: float = 1.0) -> datetime:
        """A moment within the opening hours."""
        return self.opens + timedelta(seconds=chance.uniform(0, OPEN_SECONDS * latest_share))

    def put_in_order(self) -> None:
        """Sorts every history by time, as an export from a database would be."""
        for dataset, moment in ORDERED_BY.items():
            self.datasets.get(dataset, []).sort(key=lambda record, moment=moment: record[moment])
