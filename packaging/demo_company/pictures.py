"""Drawings that stand for photographs: furniture, damage, receipts, plans, portraits.

Drawn at twice the size and scaled down, which is the cheapest smooth edge.
"""

import io
from datetime import datetime

from PIL import Image, ImageDraw, ImageFont

from .chance import Chance
from .talk import Topic

PHOTO_SIZE = (960, 720)
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
WOOD, WOOD_DARK, INK = "#b98a56", "#8b6239", "#2b2b2b"
WALLS = ["#e9e4da", "#dfe6e4", "#e8dfe0", "#e4e4ec", "#efe7d3"]
FLOORS = ["#b59b7a", "#9c8468", "#a9a39a", "#c2ab8b"]
AVATAR_COLOURS = ["#2f6f8f", "#7a4b6d", "#4a7c59", "#a0522d", "#556b9a", "#8a6d1f", "#37766f", "#9a3f4f"]


def font(size: int) -> ImageFont.FreeTypeFont:
    """The one font, so that the same seed gives the same picture everywhere."""
    return ImageFont.truetype(FONT, size)


def encoded(image: Image.Image, kind: str, scale: int = 2) -> bytes:
    """The picture at its final size as a JPEG or PNG file."""
    if scale > 1:
        image = image.resize((image.width // scale, image.height // scale), Image.LANCZOS)
    out = io.BytesIO()
    if kind == "jpeg":
        image.convert("RGB").save(out, "JPEG", quality=82)
    else:
        image.save(out, "PNG", optimize=True)
    return out.getvalue()


def room(chance: Chance) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty room: a wall that gets darker towards one side, a floor, a skirting board."""
    width, height = PHOTO_SIZE[0] * 2, PHOTO_SIZE[1] * 2
    image = Image.new("RGB", (width, height), chance.choice(WALLS))
    draw = ImageDraw.Draw(image)
    horizon = int(height * 0.68)
    draw.rectangle((0, horizon, width, height), fill=chance.choice(FLOORS))
    draw.rectangle((0, horizon - 26, width, horizon), fill="#f4f1ea")
    for x in range(-width, width, 190):
        draw.line((x + width // 2, horizon, x * 2 + width // 2, height), fill="#8d7a62", width=3)
    shade = Image.linear_gradient("L").rotate(90).resize((width, height)).point(lambda v: v // 4)
    image.paste(Image.new("RGB", (width, height), "#20242a"), (0, 0), shade)
    return image, ImageDraw.Draw(image)


def shadow(draw: ImageDraw.ImageDraw, left: int, right: int, y: int) -> None:
    draw.ellipse((left - 40, y - 30, right + 40, y + 50), fill="#6e6252")


def sofa(draw, colour: str) -> None:
    shadow(draw, 420, 1500, 1180)
    for x in (470, 1420):
        draw.rectangle((x, 1120, x + 34, 1200), fill=WOOD_DARK)
    draw.rounded_rectangle((430, 620, 1500, 980), 60, fill=colour)
    draw.rounded_rectangle((360, 780, 520, 1140), 60, fill=colour, outline=INK, width=3)
    draw.rounded_rectangle((1410, 780, 1570, 1140), 60, fill=colour, outline=INK, width=3)
    for x in (520, 965):
        draw.rounded_rectangle((x, 880, x + 445, 1120), 40, fill=colour, outline=INK, width=3)


def dining_table(draw, colour: str) -> None:
    shadow(draw, 380, 1540, 1230)
    for x in (440, 1450):
        draw.polygon([(x, 820), (x + 44, 820), (x + 34, 1240), (x + 10, 1240)], fill=WOOD_DARK)
    draw.polygon([(460, 740), (1460, 740), (1600, 830), (320, 830)], fill=WOOD, outline=WOOD_DARK)
    draw.rectangle((320, 830, 1600, 866), fill=WOOD_DARK)
    draw.rounded_rectangle((880, 560, 1010, 770), 36, fill=colour)
    draw.line((945, 570, 910, 400), fill="#4a7c59", width=10)
    draw.ellipse((870, 360, 940, 430), fill="#c8992e")


def chair(draw, colour: str) -> None:
    shadow(draw, 700, 1220, 1250)
    for x in (720, 1150):
        draw.rectangle((x, 460, x + 34, 1260), fill=WOOD)
    draw.rounded_rectangle((740, 480, 1164, 760), 50, fill=colour, outline=INK, width=3)
    draw.rounded_rectangle((690, 880, 1214, 970), 36, fill=colour, outline=INK, width=3)
    draw.rectangle((760, 1080, 1150, 1104), fill=WOOD_DARK)


def bookcase(draw, colour: str) -> None:
    shadow(draw, 620, 1320, 1250)
    draw.rectangle((620, 220, 1320, 1250), fill=WOOD, outline=WOOD_DARK, width=14)
    for shelf in range(4):
        top = 250 + shelf * 250
        draw.rectangle((650, top, 1290, top + 210), fill="#6b4a2b")
        for n in range(9):
            height = 120 + (n * 53 + shelf * 31) % 80
            fill = colour if (n + shelf) % 3 == 0 else AVATAR_COLOURS[(n + shelf) % 8]
            draw.rectangle((670 + n * 62, top + 210 - height, 718 + n * 62, top + 210), fill=fill)


def lamp(draw, colour: str) -> None:
    shadow(draw, 820, 1100, 1240)
    draw.rectangle((950, 520, 970, 1230), fill=INK)
    draw.ellipse((850, 1200, 1070, 1260), fill=INK)
    draw.ellipse((640, 160, 1280, 800), outline="#f7e7b2", width=6)
    draw.polygon([(850, 300), (1070, 300), (1180, 560), (740, 560)], fill=colour, outline=INK)


def bed(draw, colour: str) -> None:
    shadow(draw, 360, 1560, 1220)
    draw.rounded_rectangle((380, 520, 1540, 900), 40, fill=WOOD, outline=WOOD_DARK, width=6)
    draw.polygon([(400, 860), (1520, 860), (1640, 1180), (280, 1180)], fill=colour, outline=INK)
    for x in (520, 1000):
        draw.rounded_rectangle((x, 740, x + 400, 890), 50, fill="#f6f3ec", outline=INK, width=3)


SHAPES = {"sofa": sofa, "table": dining_table, "chair": chair, "bookcase": bookcase, "lamp": lamp, "bed": bed}


def product_photo(topic: Topic, chance: Chance) -> bytes:
    """The product of a conversation, in its colour, in a room."""
    image, draw = room(chance)
    SHAPES[topic.product["shape"]](draw, topic.colour[2])
    if chance.happens(0.5):
        image = image.transpose(Image.FLIP_LEFT_RIGHT)
    return encoded(image, "jpeg")


def damage_photo(topic: Topic, chance: Chance) -> bytes:
    """Wood from near by, with a scratch and a ring drawn around it."""
    width, height = PHOTO_SIZE[0] * 2, PHOTO_SIZE[1] * 2
    image = Image.new("RGB", (width, height), WOOD)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width, height // 5), fill=topic.colour[2])
    for _ in range(90):
        y = chance.randrange(height // 5, height)
        points = [(x, y + chance.randrange(-7, 8)) for x in range(0, width + 1, 160)]
        draw.line(points, fill=chance.choice([WOOD_DARK, "#c79a66", "#a87c4b"]), width=chance.randrange(2, 7))
    x, y = chance.randrange(500, 1100), chance.randrange(600, 1000)
    draw.line([(x, y), (x + 160, y + 46), (x + 330, y + 30)], fill="#f0dcb8", width=12)
    draw.line([(x, y + 8), (x + 160, y + 56), (x + 330, y + 40)], fill="#54391f", width=5)
    draw.ellipse((x - 110, y - 120, x + 440, y + 190), outline="#d8342b", width=14)
    return encoded(image, "jpeg")


def receipt(topic: Topic, moment: datetime) -> bytes:
    """A till receipt."""
    image = Image.new("RGB", (480, 640), "#fbfaf6")
    draw = ImageDraw.Draw(image)
    lines = [
        ("HARBOUR & PINE FURNITURE", 24), ("3 Kingfisher Lane", 18), ("", 18),
        (f"{moment:%Y-%m-%d %H:%M} UTC", 18), (f"Order {topic.order}", 20), ("-" * 34, 18),
        (topic.product["en"], 20), (f"{topic.quantity} x HK$ {topic.product['price']:,}", 18),
        ("Ten per cent off", 18), ("-" * 34, 18), (f"TOTAL  HK$ {topic.amount:,}", 24),
        (f"Deposit  HK$ {topic.amount * 3 // 10:,}", 18), ("", 18), ("Thank you!", 22),
    ]
    y = 32
    for text, size in lines:
        draw.text((36, y), text, fill=INK, font=font(size))
        y += size + 18
    for n in range(0, 480, 24):
        draw.polygon([(n, 640), (n + 12, 624), (n + 24, 640)], fill="#d9d6cc")
    return encoded(image, "png", scale=1)


def floor_plan(topic: Topic, chance: Chance) -> bytes:
    """A flat from above, with measures, and where the furniture would stand."""
    image = Image.new("RGB", (1600, 1200), "#fdfdfb")
    draw = ImageDraw.Draw(image)
    split_x, split_y = chance.randrange(700, 1000), chance.randrange(500, 750)
    draw.rectangle((120, 120, 1480, 1080), outline=INK, width=18)
    draw.line((split_x, 120, split_x, 1080), fill=INK, width=12)
    draw.line((split_x, split_y, 1480, split_y), fill=INK, width=12)
    draw.rectangle((split_x - 8, 820, split_x + 8, 960), fill="#fdfdfb")
    draw.rounded_rectangle((200, 640, 560, 820), 20, fill=topic.colour[2], outline=INK, width=4)
    metres = f"{split_x / 200:.1f} m"
    for text, place in [
        ("Living room", (200, 200)), (metres, (340, 1000)), ("Bedroom", (split_x + 60, 200)),
        ("Kitchen", (split_x + 60, split_y + 60)), (topic.product["en"], (200, 840)),
    ]:
        draw.text(place, text, fill=INK, font=font(36))
    return encoded(image, "png")


def avatar(first: str, last: str, index: int) -> bytes:
    """Initials on a colour, as a portrait."""
    image = Image.new("RGB", (512, 512), AVATAR_COLOURS[index % len(AVATAR_COLOURS)])
    draw = ImageDraw.Draw(image, "RGBA")
    draw.ellipse((-80, 330, 592, 820), fill="#ffffff30")
    initials, face = first[0] + last[0], font(220)
    left, top, right, bottom = draw.textbbox((0, 0), initials, font=face)
    draw.text(((512 - right - left) / 2, (512 - bottom - top) / 2), initials, fill="#ffffff", font=face)
    return encoded(image, "png")


def tag_icon(shape: str, colour: str) -> bytes:
    """A small sign on a coloured disc."""
    image = Image.new("RGBA", (128, 128), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.ellipse((2, 2, 126, 126), fill=colour)
    if shape == "star":
        points = [(64, 22), (75, 52), (107, 52), (81, 71), (91, 102), (64, 83), (37, 102), (47, 71), (21, 52), (53, 52)]
        draw.polygon(points, fill="white")
    elif shape == "bang":
        draw.rounded_rectangle((56, 24, 72, 78), 8, fill="white")
        draw.ellipse((55, 88, 73, 106), fill="white")
    elif shape == "box":
        draw.rectangle((34, 44, 94, 98), fill="white")
        draw.line((34, 60, 94, 60), fill=colour, width=5)
    else:
        draw.rectangle((40, 26, 88, 102), fill="white")
        for y in (44, 58, 72):
            draw.line((50, y, 78, y), fill=colour, width=5)
    return encoded(image, "png")
