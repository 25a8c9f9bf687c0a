"""The conversations of a day, with the files that are shared in them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from . import records
from .attachments import MAKERS, Occasion
from .data import rfc3339
from .day import Day, Volume
from .people import Person
from .records import SharedFile
from .rooms import Room
from .speech import Clip, Studio
from .talk import Decks, Script, Topic, Turn, said

LATEST_START = 0.6
PAUSE_SECONDS = (1200, 9000)
READING_SECONDS = (12, 150)
ENQUIRY_SHARE = 0.6


@dataclass
class Partners:
    """A room, and who may speak in it under which letter of a script."""

    room: Room
    voices: dict[str, Person]
    language: str
    customer: Person | None = None
    silent_since: datetime | None = None

    def recipient(self, sender: Person) -> str:
        """Whom a message is to: the other one, or the room where there are several."""
        others = [person for person in self.voices.values() if person.eid != sender.eid]
        return others[0].eid if len(self.voices) == 2 else self.room.room_id


class Chats:
    """Writes conversations until the day has enough messages."""

    def __init__(self, day: Day, decks: Decks, studio: Studio) -> None:
        self._day, self._decks, self._studio = day, decks, studio
        self._chance = day.chance("chats")
        self._enquiries = 0

    def write(self, volume: Volume) -> None:
        """Goes round the rooms of the day, a conversation each, until there is enough."""
        rooms = self._customer_rooms(volume.customer_rooms) + self._staff_rooms(volume.staff_rooms)
        turn = 0
        while len(self._day.datasets.get("message", [])) < volume.messages:
            self._conversation(rooms[turn % len(rooms)], volume)
            turn += 1

    def _start(self, partners: Partners) -> datetime:
        """When a room speaks next: never into its own conversation, as messages are counted in order."""
        if partners.silent_since is None:
            return self._day.moment(self._chance, LATEST_START)
        return partners.silent_since + timedelta(seconds=self._chance.uniform(*PAUSE_SECONDS))

    def _customer_rooms(self, count: int) -> list[Partners]:
        chosen = self._chance.sample(self._day.contacts, min(count, len(self._day.contacts)))
        rooms = []
        for contact in chosen:
            handler = self._chance.choice(self._day.handlers)
            room = self._day.rooms.between(contact, handler)
            rooms.append(Partners(room, {"C": contact, "S": handler}, contact.language[:2], contact))
        return rooms

    def _staff_rooms(self, count: int) -> list[Partners]:
        by_name = {person.record["firstName"]: person for person in self._day.at_work}
        rooms = []
        for title, members in self._chance.sample(list(self._day.people.groups.items()), count):
            present = [by_name[name] for name in members if name in by_name]
            voices = dict(zip("STU", self._chance.sample(present, 3)))
            rooms.append(Partners(self._day.rooms.group(title), voices, self._chance.choice(["en", "zh"])))
        return rooms

    def _conversation(self, partners: Partners, volume: Volume) -> None:
        chance, moment = self._chance, self._start(partners)
        script = self._decks.draw("customer" if partners.customer else "staff", partners.language)
        subject = partners.customer or chance.choice(self._day.contacts)
        topic = Topic(chance, subject, partners.voices["S"])
        enquiry = None
        if partners.customer and self._enquiries < volume.enquiries_by_chat and chance.happens(ENQUIRY_SHARE):
            self._enquiries += 1
            handler = partners.voices["S"]
            enquiry = self._day.open_enquiry(chance, partners.room, partners.customer, handler, moment, False)
        for turn in script.turns:
            moment += timedelta(seconds=chance.uniform(*READING_SECONDS))
            self._turn(turn, partners, topic, script, moment, enquiry)
        partners.silent_since = moment
        if enquiry:
            enquiry["closedAt"] = rfc3339(moment + timedelta(minutes=chance.randrange(2, 30)))

    def _turn(
        self, turn: Turn, partners: Partners, topic: Topic, script: Script, moment: datetime, enquiry: dict | None
    ) -> None:
        sender = partners.voices[turn.who]
        if turn.attachment:
            file = self._attachment(turn.attachment, sender, partners.room, topic, script.language, moment)
            self._message(partners, sender, moment, "", file, enquiry)
            moment += timedelta(seconds=4)
        if text := said(turn, topic, script.language, self._chance):
            self._message(partners, sender, moment, text, None, enquiry)

    def _attachment(
        self, kind: str, sender: Person, room: Room, topic: Topic, language: str, moment: datetime
    ) -> SharedFile:
        def speak() -> Clip:
            script = self._decks.draw("note", "english" if language == "en" else "cantonese")
            return self._studio.record(script, topic, self._chance).result()

        made = MAKERS[kind](Occasion(topic, moment, language, self._chance, speak))
        file_id = self._chance.object_id()
        file = SharedFile(file_id, made.name, made.mime, made.content, room.room_id, sender.eid, moment, "chat")
        return self._day.share(self._chance, file)

    def _message(
        self, partners: Partners, sender: Person, moment: datetime, text: str,
        file: SharedFile | None, enquiry: dict | None,
    ) -> None:
        room = partners.room
        self._day.add("message", records.message(
            self._chance, room.room_id, room.next("message"), sender.eid, partners.recipient(sender),
            moment, text, file, enquiry and enquiry["id"],
        ))
