"""The shapes of the records, field by field as the service names them.

Shapes only: nothing here draws, counts or decides, apart from new ids.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from .chance import Chance
from .data import milliseconds, rfc3339
from .people import Person


@dataclass(frozen=True)
class SharedFile:
    """A file that some record names."""

    file_id: str
    name: str
    mime: str
    content: bytes
    room_id: str
    uploader: str
    created: datetime
    kind: str

    @property
    def path(self) -> str:
        return f"data-retention/{self.room_id}/{self.file_id}.{self.name.rsplit('.', 1)[-1]}"


@dataclass(frozen=True)
class CallEnd:
    """How a call ended, in the words of the service."""

    status: str
    response_code: int
    bye_reason: str


def without_none(record: dict) -> dict:
    """A record without the fields that have no value."""
    return {name: value for name, value in record.items() if value is not None}


def party(person: Person, service_id: str) -> dict:
    """One end of a call or voicemail."""
    info = {
        "displayName": person.name,
        "eid": person.eid,
        "isStaff": person.is_staff,
        "phoneNumber": person.phone,
    }
    return info | ({"serviceId": service_id} if person.is_staff else {"countryCode": person.country})


def file_record(chance: Chance, file: SharedFile) -> dict:
    return {
        "_id": chance.object_id(),
        "fileID": file.file_id,
        "fileName": file.name,
        "mimeType": file.mime,
        "size": len(file.content),
        "roomID": file.room_id,
        "uploaderEID": file.uploader,
        "createdAt": rfc3339(file.created),
        "kind": file.kind,
        "path": file.path,
    }


def message(
    chance: Chance, room_id: str, seq: int, sender: str, to: str, moment: datetime,
    text: str, file: SharedFile | None, inquiry_id: str | None,
) -> dict:
    """A chat message: text, or a shared file under its name."""
    content = {"type": 1, "text": text}
    if file:
        shared = {"fileID": file.file_id, "fileName": file.name, "size": len(file.content), "mimeType": file.mime}
        content = {"type": 2, "file": shared}
    return without_none({
        "_id": chance.object_id(),
        "hid": chance.object_id(),
        "roomID": room_id,
        "seq": seq,
        "type": "im",
        "fromEID": sender,
        "toEID": to,
        "msgID": chance.object_id(),
        "msgContentType": "TYPE_FILE" if file else "TYPE_TEXT",
        "msgEventType": "TYPE_MESSAGE",
        "msgText": file.name if file else text,
        "ts": rfc3339(moment),
        "content": {"ts": milliseconds(moment), "msg": content},
        "inquiryID": inquiry_id,
    })


def call(
    chance: Chance, service_id: str, room_id: str, seq: int, caller: Person, callee: Person,
    start: datetime, duration_seconds: int, end: CallEnd, enquiry: dict | None,
) -> dict:
    """A call between two people."""
    both_inside = caller.is_staff and callee.is_staff
    return without_none({
        "_id": chance.object_id(),
        "hid": chance.object_id(),
        "svcID": service_id,
        "date": f"{start:%Y%m%d}",
        "roomID": room_id,
        "seq": seq,
        "type": "call",
        "fromEID": caller.eid,
        "toEID": callee.eid,
        "callID": chance.job_id(),
        "callDirection": "Outbound" if caller.is_staff else "Inbound",
        "callType": "onnet" if both_inside else chance.choice(["offnet", "offnet", "smartcall"]),
        "caller": caller.phone,
        "callee": callee.phone,
        "callDate": rfc3339(start),
        "callEndTime": rfc3339(start + timedelta(seconds=duration_seconds)),
        "callDuration": duration_seconds,
        "status": end.status,
        "lastResponseCode": end.response_code,
        "byeReason": end.bye_reason,
        "releaseParty": chance.choice(["Caller", "Callee"]),
        "mediaType": "video" if both_inside and chance.happens(0.3) else "audio",
        "callerInfo": party(caller, service_id),
        "calleeInfo": party(callee, service_id),
        "inquiryID": enquiry and enquiry["id"],
        "displayCaseNumber": enquiry and enquiry["displayCaseNumber"],
    })


def voicemail(chance: Chance, of: dict, file: SharedFile, duration_seconds: int) -> dict:
    """A message that was left at the end of an unanswered call."""
    return {
        "_id": chance.object_id(),
        "voicemailID": chance.object_id(),
        "callID": of["callID"],
        "roomID": of["roomID"],
        "fileID": file.file_id,
        "callerInfo": of["callerInfo"],
        "calleeInfo": of["calleeInfo"],
        "duration": duration_seconds,
        "createdAt": rfc3339(file.created),
    }


def recording(chance: Chance, of: dict, file: SharedFile, duration_seconds: int, staff: str) -> dict:
    """The recording of a call."""
    return {
        "_id": chance.object_id(),
        "recordingID": chance.object_id(),
        "callID": of["callID"],
        "roomID": of["roomID"],
        "roomType": "Enquiry" if "inquiryID" in of else "Direct",
        "recordingType": "Call",
        "fileID": file.file_id,
        "size": len(file.content),
        "duration": duration_seconds,
        "createdAt": rfc3339(file.created),
        "staffEID": staff,
    }


def conference(
    chance: Chance, room_id: str, topic: str, members: list[Person], start: datetime, legs: list[tuple[int, int]],
) -> dict:
    """A conference. Each leg is when its member joined and how long they stayed, in seconds."""
    host = members[0].eid
    return {
        "_id": chance.object_id(),
        "conferenceID": chance.object_id(),
        "roomID": room_id,
        "topic": topic,
        "fromEID": host,
        "status": "Call Ended",
        "createdAt": rfc3339(start),
        "callDate": rfc3339(start),
        "callDuration": max(joined + stayed for joined, stayed in legs),
        "callConferenceList": [
            conference_leg(chance, room_id, host, member.eid, start + timedelta(seconds=joined), stayed)
            for member, (joined, stayed) in zip(members, legs)
        ],
    }


def conference_leg(chance: Chance, room_id: str, host: str, member: str, start: datetime, seconds: int) -> dict:
    return {
        "hid": chance.object_id(),
        "roomID": room_id,
        "fromEID": host,
        "toEID": member,
        "content": {
            "callID": chance.job_id(),
            "callStartTime": rfc3339(start),
            "callEndTime": rfc3339(start + timedelta(seconds=seconds)),
            "callDuration": seconds,
            "byeReason": "Normal Call Clearing",
            "callType": "onnet",
        },
    }


def enquiry(
    chance: Chance, service_id: str, room_id: str, visitor: Person, handler: Person,
    opened: datetime, by_phone: bool, tag: str | None,
) -> dict:
    """A closed enquiry; `closedAt` is set once its last word is known."""
    omni, channel = (None, "VirtualNumber") if by_phone else chance.choice(
        [("WhatsApp", "WHATSAPP"), ("WhatsApp", "WHATSAPP"), ("WeChat", "WECHAT"), ("LINE", "LINE"), (None, "Weblink")]
    )
    return {
        "_id": chance.object_id(),
        "id": chance.object_id(),
        "svcID": service_id,
        "createdAt": rfc3339(opened),
        "closedAt": rfc3339(opened),
        "roomID": room_id,
        "initChannel": "CALL" if by_phone else "IM",
        "omniType": omni,
        "channel": channel,
        "status": "closed",
        "displayCaseNumber": f"C{chance.randrange(200000, 999999)}",
        "visitor": {"eid": visitor.eid, "displayName": visitor.name},
        "handlerEID": handler.eid,
        "tag": tag,
    }
