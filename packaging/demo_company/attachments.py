"""What people share in a conversation: one maker for each kind that the scripts name."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from . import documents, pictures
from .chance import Chance
from .speech import Clip
from .talk import Topic


@dataclass(frozen=True)
class Attachment:
    """A file as a person would send it."""

    name: str
    mime: str
    content: bytes


@dataclass(frozen=True)
class Occasion:
    """Everything that a maker may look at."""

    topic: Topic
    moment: datetime
    language: str
    chance: Chance
    voice_note: Callable[[], Clip]

    def named(self, en: str, zh: str) -> str:
        """A file name in the language of the conversation."""
        return zh if self.language == "zh" else en


def product_photo(o: Occasion) -> Attachment:
    stem = f"IMG_{o.moment:%Y%m%d_%H%M%S}"
    return Attachment(f"{stem}.jpg", "image/jpeg", pictures.product_photo(o.topic, o.chance))


def damage_photo(o: Occasion) -> Attachment:
    name = o.named(f"scratch {o.topic.order}.jpg", f"花痕 {o.topic.order}.jpg")
    return Attachment(name, "image/jpeg", pictures.damage_photo(o.topic, o.chance))


def receipt(o: Occasion) -> Attachment:
    name = o.named(f"receipt-{o.topic.order}.png", f"收據-{o.topic.order}.png")
    return Attachment(name, "image/png", pictures.receipt(o.topic, o.moment))


def floor_plan(o: Occasion) -> Attachment:
    return Attachment(o.named("floor plan.png", "平面圖.png"), "image/png", pictures.floor_plan(o.topic, o.chance))


def quotation(o: Occasion) -> Attachment:
    name = o.named(f"Quotation {o.topic.quote}.pdf", f"報價單 {o.topic.quote}.pdf")
    return Attachment(name, "application/pdf", documents.quotation(o.topic, o.moment, o.language))


def contract(o: Occasion) -> Attachment:
    name = o.named(f"Contract {o.topic.order}.pdf", f"合約 {o.topic.order}.pdf")
    return Attachment(name, "application/pdf", documents.contract(o.topic, o.moment, o.language))


def delivery_note(o: Occasion) -> Attachment:
    name = o.named(f"delivery-note-{o.topic.order}.txt", f"送貨單-{o.topic.order}.txt")
    return Attachment(name, "text/plain", documents.delivery_note(o.topic, o.moment, o.language))


def voice_note(o: Occasion) -> Attachment:
    clip = o.voice_note()
    return Attachment(f"voice-{o.moment:%H%M%S}.{clip.extension}", clip.mime, clip.content)


MAKERS = {
    "product photo": product_photo,
    "damage photo": damage_photo,
    "receipt": receipt,
    "floor plan": floor_plan,
    "quotation": quotation,
    "contract": contract,
    "delivery note": delivery_note,
    "voice note": voice_note,
}
