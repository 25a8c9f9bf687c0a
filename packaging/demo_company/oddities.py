"""What goes wrong in real exports, put into one backup on purpose.

The backup stays acceptable: an appliance is to store it and to say what it found.
"""

from .data import rfc3339
from .day import Day


def add_to(day: Day) -> None:
    """A size that differs, a medium that is missing, and records of a kind that nobody announced."""
    chance = day.chance("oddities")
    shared = [record for record in day.datasets["file"] if record["kind"] == "chat"]
    resized, orphaned = chance.sample(shared, 2)
    resized["size"] += 1024
    del day.media[orphaned["path"]]
    for enquiry in day.datasets["enquiry"][:3]:
        day.add("other", {
            "_id": chance.object_id(),
            "inquiryID": enquiry["id"],
            "score": chance.randrange(3, 6),
            "comment": chance.choice(["Quick and friendly", "好快手", ""]),
            "answeredAt": rfc3339(day.moment(chance)),
        })
