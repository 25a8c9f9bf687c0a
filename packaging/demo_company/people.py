"""Who works at the company, who its contacts are, and how both change by the day.

Backups bring staff and contacts anew each time. A person keeps the id for ever;
a new job title, status or number is new content under the same id.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from .chance import Chance
from .data import rfc3339, table

CONTACTS, CONTACTS_QUICK = 60, 12
CHANGED_A_DAY = 3
FOUNDED = datetime(2019, 3, 4, 1, 0, tzinfo=timezone.utc)
CUSTOMER_FACING = ("Customer Service", "Sales", "Deliveries", "Design")
FORMS_ZH = {"Mr": " 先生", "Ms": " 小姐"}


@dataclass(frozen=True)
class Person:
    """A member of staff or a contact, with the record of one day."""

    record: dict
    is_staff: bool
    name: str
    phone: str
    country: str
    language: str = "en"
    form: str = ""
    zh_name: str = ""

    @property
    def eid(self) -> str:
        return self.record["id"]

    def address_in(self, language: str) -> str:
        """How one addresses the person in a conversation."""
        first, last = self.record["firstName"], self.record["lastName"]
        if self.is_staff:
            return self.zh_name or first if language == "zh" else first
        if language == "zh":
            return last + FORMS_ZH.get(self.form, self.form)
        return f"{self.form} {last}"


def fictional_number(ranges: dict, country: str, index: int) -> str:
    """The number of this index in the range that a country keeps for fiction."""
    prefix, digits = ranges[country]
    # 37 has no factor in common with a power of ten: no number comes twice.
    return f"{prefix}{(index * 37 + 11) % 10**digits:0{digits}d}"


def written_name(first: str, last: str) -> str:
    """A full name, in the order of its script."""
    return last + first if first[0] >= "\u4e00" else f"{first} {last}"


@dataclass
class People:
    """Everybody, for one seed."""

    seed: int
    quick: bool

    def __post_init__(self) -> None:
        self.tables = {"staff": table("staff.json"), "contacts": table("contacts.json")}
        self._founders = [self._hired(n, row) for n, row in enumerate(self.tables["staff"]["staff"])]

    @property
    def service_id(self) -> str:
        return self.tables["staff"]["service_id"]

    @property
    def tags(self) -> dict[str, tuple[str, str]]:
        """The tags of enquiries, with shape and colour of their icons."""
        return {tag: (shape, colour) for tag, shape, colour in self.tables["staff"]["tags"]}

    @property
    def groups(self) -> dict[str, list[str]]:
        """The group rooms of the staff, with the first names of their members."""
        return dict(self.tables["staff"]["groups"])

    @property
    def conference_topics(self) -> list[str]:
        return self.tables["staff"]["conference_topics"]

    def avatar_id(self, person: Person) -> str | None:
        """The file id of a portrait, where there is one."""
        if person.record["firstName"] in self.tables["staff"]["without_avatar"]:
            return None
        return Chance(self.seed, "avatar", person.eid).object_id()

    def staff_on(self, day: int) -> list[Person]:
        """The staff list as it stands on a day, counted from the first backup."""
        changes = [change for change in self.tables["staff"]["changes"] if change["day"] <= day]
        staff = []
        for person in self._founders:
            record = dict(person.record)
            for change in changes:
                if change["firstName"] == record["firstName"]:
                    record |= change["set"]
            staff.append(replace(person, record=record))
        return staff

    def contacts_on(self, day: int) -> list[Person]:
        """The contact list on a day: one has joined since the day before, some have changed."""
        first = CONTACTS_QUICK if self.quick else CONTACTS
        contacts = [self._met(n) for n in range(first)]
        for today in range(1, day + 1):
            chance = Chance(self.seed, "contact changes", today)
            for n in chance.sample(range(len(contacts)), CHANGED_A_DAY):
                contacts[n] = self._changed(contacts[n], n + 100 * today, chance)
            contacts.append(self._met(len(contacts)))
        return contacts

    def _hired(self, index: int, row: list[str]) -> Person:
        source = self.tables["staff"]
        values = dict(zip(source["columns"], row))
        zh_name = values.pop("zhName")
        chance = Chance(self.seed, "staff", index)
        phone = fictional_number(self.tables["contacts"]["phone_ranges"], "852", 5000 + index)
        name = f"{values['firstName']} {values['lastName']}"
        mailbox = values["firstName"].lower().replace("á", "a")
        record = {
            "_id": chance.object_id(),
            "id": chance.object_id(),
            **values,
            "displayName": f"{name} ({zh_name})" if zh_name else name,
            "email": f"{mailbox}@{source['mail_domain']}",
            "phone": phone,
            "timezone": "Asia/Hong_Kong",
            "extensionNumber": str(1001 + index),
            "twoFactorAuthentication": values["role"] in ("Administrator", "Manager"),
            "createdAt": rfc3339(FOUNDED + timedelta(days=37 * index, seconds=chance.randrange(36000))),
        }
        person = Person(record, True, record["displayName"], phone, "852", zh_name=zh_name)
        if avatar := self.avatar_id(person):
            record["avatarUrl"] = f"data-retention/avatars/{avatar}.png"
        return person

    def _met(self, index: int) -> Person:
        source = self.tables["contacts"]
        rows = source["contacts"]
        values = dict(zip(source["columns"], rows[index % len(rows)]))
        if index >= len(rows):
            # The list is used up: old first names meet other families.
            script = values["firstName"].isascii()
            families = [row[1] for row in rows if row[0].isascii() == script]
            values["lastName"] = families[(index * 7 + 3) % len(families)]
        form, country = values.pop("form"), values.pop("country")
        chance = Chance(self.seed, "contact", index)
        phone = fictional_number(source["phone_ranges"], country, index)
        record = {"_id": chance.object_id(), "id": chance.object_id(), **{k: v for k, v in values.items() if v}}
        record |= self._reachable(chance, index, phone, country, bool(values["companyName"]))
        name = written_name(values["firstName"], values["lastName"])
        return Person(record, False, name, phone, country, values["language"], form)

    def _reachable(self, chance: Chance, index: int, phone: str, country: str, business: bool) -> dict:
        """Numbers, addresses and the fields that sales keeps about a contact."""
        source, places = self.tables["contacts"], table("catalogue.json")
        ranges = source["phone_ranges"]
        record = {"mobilePhone": phone, "email": f"customer{index + 1:03d}@example.net"}
        if business:
            record["workPhone"] = fictional_number(ranges, country, 300 + index)
            record["department"] = chance.choice(["Operations", "Purchasing", "Front of house"])
        else:
            year, month, day = chance.randrange(1960, 1999), chance.randrange(1, 13), chance.randrange(1, 29)
            record["birthday"] = f"{year}-{month:02d}-{day:02d}"
        for channel, share in (("whatsApp", 0.5), ("weChat", 0.3), ("line", 0.15), ("facebook", 0.15)):
            if chance.happens(share):
                record[channel] = phone if channel == "whatsApp" else f"customer{index + 1:03d}.example"
        record |= {
            "address": street_address(places, chance),
            "customerType": chance.choice(source["customer_types"]),
            "level": chance.choice(source["levels"]),
            "ownerId": chance.choice(self._founders).eid,
            "labels": chance.sample(source["labels"], chance.choice([0, 0, 1, 1, 2])),
            "cf_preferred_delivery": chance.choice(["morning", "afternoon", "Saturday"]),
            "createdAt": rfc3339(FOUNDED + timedelta(days=60 + index * 9, seconds=chance.randrange(86400))),
        }
        if chance.happens(0.2):
            record["cf_lift_width_cm"] = chance.randrange(75, 120)
        return record

    def _changed(self, person: Person, number: int, chance: Chance) -> Person:
        """The same person with something new about them."""
        record = dict(person.record)
        what = chance.choice(["number", "address", "level", "label"])
        if what == "number":
            phone = fictional_number(self.tables["contacts"]["phone_ranges"], person.country, number)
            record |= {"mobilePhone": phone, "otherPhone": person.phone}
            return replace(person, record=record, phone=phone)
        if what == "address":
            record["address"] = street_address(table("catalogue.json"), chance)
        elif what == "level":
            record["level"] = "Primary" if record["level"] != "Primary" else "Secondary"
        else:
            record["labels"] = ["VIP"] if "VIP" not in record["labels"] else ["VIP", "Delivery", "Quotation"]
        return replace(person, record=record)


def street_address(places: dict, chance: Chance) -> str:
    """An address in an estate that does not exist."""
    flat = f"Flat {chance.randrange(1, 31)}{chance.choice('ABCDEFGH')}, Tower {chance.randrange(1, 7)}"
    return f"{flat}, {chance.choice(places['estates'])}, {chance.choice(places['districts'])[0]}"
