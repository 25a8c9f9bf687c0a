"""Chat rooms and their counters, which go on from one backup to the next."""

from dataclasses import dataclass, field

from .chance import Chance
from .people import Person


@dataclass
class Room:
    """One room: two people, or a group of colleagues."""

    room_id: str
    title: str = ""
    _counts: dict[str, int] = field(default_factory=dict)

    def next(self, kind: str) -> int:
        """The next number in the room's count of messages or of calls."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return self._counts[kind]


class Rooms:
    """Every room that anybody ever opened."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rooms: dict[str, Room] = {}

    def between(self, one: Person, other: Person) -> Room:
        """The room of a pair, or of a contact with whoever serves it."""
        if one.is_staff != other.is_staff:
            return self._room((other if one.is_staff else one).eid)
        return self._room("+".join(sorted((one.eid, other.eid))))

    def group(self, title: str) -> Room:
        """The room of a named group."""
        room = self._room(title)
        room.title = title
        return room

    def _room(self, key: str) -> Room:
        if key not in self._rooms:
            self._rooms[key] = Room(Chance(self._seed, "room", key).object_id())
        return self._rooms[key]
