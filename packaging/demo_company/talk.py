"""What people say: the scripts beside the code, with their words filled in."""

import re
from dataclasses import dataclass

from .chance import Chance, Deck
from .data import script_lines, table
from .people import Person, street_address

LINE = re.compile(r"([A-Z])(?: \[([a-z ]+)\])?:\s*(.*)")


@dataclass(frozen=True)
class Turn:
    """One message of a script, or one sentence on the telephone."""

    who: str
    attachment: str | None
    ways: list[str]


@dataclass(frozen=True)
class Script:
    """A conversation with its words still open."""

    kind: str
    language: str
    turns: list[Turn]


def read_scripts(name: str, language: str = "") -> list[Script]:
    """The scripts of a file. A header is `@ kind`, or `@ kind language`."""
    scripts: list[Script] = []
    for line in script_lines(name):
        if line.startswith("@"):
            kind, *spoken = line[1:].split()
            scripts.append(Script(kind, spoken[0] if spoken else language, []))
            continue
        match = LINE.fullmatch(line)
        if match is None or not scripts:
            raise ValueError(f"{name}: not a line of a script: {line!r}")
        who, attachment, text = match.groups()
        scripts[-1].turns.append(Turn(who, attachment, [way.strip() for way in text.split(" | ")]))
    return scripts


class Decks:
    """The scripts, in decks that outlast a day so that nothing comes twice too soon."""

    def __init__(self, chance: Chance) -> None:
        scripts = read_scripts("speech.txt")
        for language in ("en", "zh"):
            scripts += read_scripts(f"conversations.{language}.txt", language)
        by_name: dict[tuple[str, str], list[Script]] = {}
        for script in scripts:
            by_name.setdefault((script.kind, script.language), []).append(script)
        self._decks = {name: Deck(scripts, chance) for name, scripts in by_name.items()}

    def draw(self, kind: str, language: str) -> Script:
        """The next script of a kind in a language."""
        return self._decks[kind, language].draw()



class Topic:
    """What one conversation is about: the same order, product and day throughout."""

    def __init__(self, chance: Chance, customer: Person, staff: Person) -> None:
        catalogue = table("catalogue.json")
        self.customer, self.staff = customer, staff
        self.product = chance.choice(catalogue["products"])
        self.colour = chance.choice(catalogue["colours"])
        self.quantity = chance.choice([4, 6, 8, 12, 16, 24])
        self.order = f"HP-{chance.randrange(104000, 109999)}"
        self.quote = f"Q-{chance.randrange(2100, 2999)}"
        self.address = customer.record.get("address") or street_address(catalogue, chance)
        self._pairs = {
            "day": chance.choice(catalogue["weekdays"]),
            "time": chance.choice(catalogue["times"]),
            "hour": chance.choice(catalogue["hours"]),
            "district": next(pair for pair in catalogue["districts"] if self.address.endswith(pair[0])),
            "colour": self.colour[:2],
            "product": (self.product["en"], self.product["zh"]),
        }

    @property
    def amount(self) -> int:
        """The price of the quantity in HK$, ten per cent off."""
        return self.product["price"] * self.quantity * 9 // 10

    def words(self, language: str) -> dict[str, str]:
        """The words for the braces of a script, in `en` or `zh`."""
        column = 1 if language == "zh" else 0
        digits = self.order.removeprefix("HP-")
        return {name: pair[column] for name, pair in self._pairs.items()} | {
            "name": self.customer.address_in(language),
            "caller": self.customer.name,
            "staff": self.staff.address_in(language),
            "order": self.order,
            "digits": " ".join(digits),
            "quote": self.quote,
            "qty": str(self.quantity),
            "amount": f"{self.amount:,}",
            "deposit": f"{self.amount * 3 // 10:,}",
            "address": self.address,
        }


def said(turn: Turn, topic: Topic, language: str, chance: Chance) -> str:
    """One of the ways to say a turn, its words filled in."""
    text = chance.choice(turn.ways).format_map(topic.words(language))
    return text[:1].upper() + text[1:] if language == "en" else text
