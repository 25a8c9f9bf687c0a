"""The telephone on one day: calls, voicemail, recordings and conferences.

A recorded call lasts as long as its recording, and whoever is heard in it are
the two who speak on the line.
"""

from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta

from . import records
from .chance import Chance
from .data import rfc3339
from .day import Day, Volume
from .people import Person
from .records import CallEnd, SharedFile
from .speech import Clip, Studio
from .talk import Decks, Topic

ENDED = CallEnd("Call Ended", 200, "Normal Call Clearing")
NO_ANSWER = CallEnd("Not Answered", 408, "No Answer")
ENDS = [
    (76, ENDED),
    (8, NO_ANSWER),
    (4, CallEnd("Busy", 486, "User Busy")),
    (3, CallEnd("Declined", 603, "Call Rejected")),
    (3, CallEnd("Cancelled", 487, "Originator Cancel")),
    (3, CallEnd("Abandoned", 487, "Originator Cancel")),
    (2, CallEnd("Unreachable", 480, "Temporarily Unavailable")),
    (1, CallEnd("Call Failed", 503, "Service Unavailable")),
]
AMONG_STAFF, INBOUND = 0.15, 0.6
SPOKEN_LANGUAGES = {"en": ["english"], "zh": ["cantonese", "cantonese", "mandarin"]}
RINGING_SECONDS = 25


@dataclass
class Plan:
    """A call whose place in the order of the day is not known yet."""

    start: datetime
    caller: Person
    callee: Person
    end: CallEnd
    duration_seconds: int
    sound: "Future[Clip] | None" = None
    by_enquiry: bool = False

    @property
    def staff(self) -> Person:
        """The member of staff who serves the call."""
        return self.callee if self.callee.is_staff else self.caller


class Switchboard:
    """Writes the calls of a day."""

    def __init__(self, day: Day, decks: Decks, studio: Studio) -> None:
        self._day, self._decks, self._studio = day, decks, studio
        self._chance = day.chance("calls")
        self._plans: list[Plan] = []

    def begin(self, volume: Volume) -> None:
        """Plans every call, and has those that can be heard spoken in the background."""
        for _ in range(volume.recordings):
            self._plans.append(self._heard("recording", ENDED))
        for _ in range(volume.voicemails):
            self._plans.append(self._heard("voicemail", NO_ANSWER))
        while len(self._plans) < volume.calls:
            self._plans.append(self._ordinary())
        answered = [plan for plan in self._plans if plan.end is ENDED and not plan.caller.is_staff]
        for plan in self._chance.sample(answered, min(volume.enquiries_by_phone, len(answered))):
            plan.by_enquiry = True

    def finish(self, volume: Volume) -> None:
        """Writes what was planned, in the order of time, as the sound becomes ready."""
        for plan in sorted(self._plans, key=lambda plan: plan.start):
            self._write(plan, plan.sound.result() if plan.sound else None)
        for _ in range(volume.conferences):
            self._conference()

    def _heard(self, kind: str, end: CallEnd) -> Plan:
        chance = self._chance
        customer, staff = chance.choice(self._day.contacts), chance.choice(self._day.handlers)
        language = chance.choice(SPOKEN_LANGUAGES[customer.language[:2]])
        topic = Topic(chance, customer, staff)
        sound = self._studio.record(self._decks.draw(kind, language), topic, chance)
        return Plan(self._day.moment(chance), customer, staff, end, 0, sound)

    def _ordinary(self) -> Plan:
        chance = self._chance
        if chance.happens(AMONG_STAFF):
            caller, callee = chance.sample(self._day.at_work, 2)
        else:
            caller, callee = chance.choice(self._day.contacts), chance.choice(self._day.handlers)
            if not chance.happens(INBOUND):
                caller, callee = callee, caller
        end = chance.weighted(ENDS)[1]
        # Most calls are short, a few are long: a log-normal with its middle at two and a half minutes.
        seconds = min(int(chance.lognormvariate(5.0, 0.9)) + 5, 3600) if end is ENDED else 0
        return Plan(self._day.moment(chance), caller, callee, end, seconds)

    def _write(self, plan: Plan, clip: Clip | None) -> None:
        chance, day = self._chance, self._day
        room = day.rooms.between(plan.caller, plan.callee)
        heard_seconds = max(1, round(clip.seconds)) if clip else 0
        duration = heard_seconds if clip and plan.end is ENDED else plan.duration_seconds
        enquiry = None
        if plan.by_enquiry:
            enquiry = day.open_enquiry(chance, room, plan.caller, plan.staff, plan.start, True)
            enquiry["closedAt"] = rfc3339(plan.start + timedelta(seconds=duration + chance.randrange(60, 900)))
        record = day.add("call", records.call(
            chance, day.people.service_id, room.room_id, room.next("call"), plan.caller, plan.callee,
            plan.start, duration, plan.end, enquiry,
        ))
        if clip:
            self._write_sound(plan, record, clip, heard_seconds)

    def _write_sound(self, plan: Plan, call: dict, clip: Clip, seconds: int) -> None:
        recorded = plan.end is ENDED
        kind, owner = ("recording", plan.staff) if recorded else ("voicemail", plan.caller)
        created = plan.start + timedelta(seconds=seconds if recorded else seconds + RINGING_SECONDS)
        name = f"{kind}-{created:%Y%m%d-%H%M%S}.{clip.extension}"
        file_id = self._chance.object_id()
        file = SharedFile(file_id, name, clip.mime, clip.content, call["roomID"], owner.eid, created, kind)
        self._day.share(self._chance, file)
        if recorded:
            self._day.add(kind, records.recording(self._chance, call, file, seconds, plan.staff.eid))
        else:
            self._day.add(kind, records.voicemail(self._chance, call, file, seconds))

    def _conference(self) -> None:
        chance, day = self._chance, self._day
        title, names = chance.choice(list(day.people.groups.items()))
        members = [person for person in day.at_work if person.record["firstName"] in names]
        whole = chance.randrange(420, 3300)
        legs = [(0, whole)] + [joining(chance, whole) for _ in members[1:]]
        room = day.rooms.group(title)
        topic = chance.choice(day.people.conference_topics)
        day.add("conference", records.conference(chance, room.room_id, topic, members, day.moment(chance, 0.9), legs))


def joining(chance: Chance, whole_seconds: int) -> tuple[int, int]:
    """When somebody joins and how long they stay: a little late, seldom to the very end."""
    late = chance.randrange(0, 120)
    return late, chance.randrange((whole_seconds - late) // 2, whole_seconds - late + 1)
