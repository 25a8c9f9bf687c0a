"""The lists that every backup brings whole: staff, contacts, portraits, tag icons."""

from .chance import Chance
from .day import Day
from .pictures import avatar, tag_icon


def write(day: Day) -> None:
    """Adds the lists as they stand on the day."""
    for index, person in enumerate(day.staff):
        day.add("staff", person.record)
        if file_id := day.people.avatar_id(person):
            picture = avatar(person.record["firstName"], person.record["lastName"], index)
            add_service_file(day, "avatar", "avatars", file_id, picture, {"staffID": person.eid})
    for person in day.contacts:
        day.add("contact", person.record)
    for tag, (shape, colour) in day.people.tags.items():
        file_id = Chance(day.people.seed, "tag", tag).object_id()
        add_service_file(day, "tag-icon", "tags", file_id, tag_icon(shape, colour), {"tag": tag})


def add_service_file(day: Day, dataset: str, folder: str, file_id: str, picture: bytes, owner: dict) -> None:
    """Adds a picture and its record; both are the same in every backup, the id included."""
    path = f"data-retention/{folder}/{file_id}.png"
    day.media[path] = picture
    day.add(dataset, {
        "_id": Chance(day.people.seed, dataset, file_id).object_id(),
        "fileID": file_id,
        **owner,
        "mimeType": "image/png",
        "size": len(picture),
        "path": path,
    })
