"""Quotations and contracts as PDF, delivery notes as text, in English or Chinese."""

import io
import re
from datetime import datetime, timedelta

from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import cidfonts, pdfmetrics
from reportlab.pdfgen.canvas import Canvas

from .data import table
from .talk import Topic

# A font that every PDF viewer substitutes by one of its own: nothing is embedded, files stay small.
CHINESE_FONT = "MSung-Light"
# reportlab pairs this font with the character map of simplified Chinese, which viewers refuse.
cidfonts.defaultUnicodeEncodings[CHINESE_FONT] = ("cht", "UniCNS-UCS2-H")
pdfmetrics.registerFont(cidfonts.UnicodeCIDFont(CHINESE_FONT))
# The substitute may lack Latin letters, so every script is set in a font of its own.
RUNS = re.compile("[\u2e80-\uffef]+|[^\u2e80-\uffef]+")
LEFT, TOP, LINE_POINTS = 64, A4[1] - 72, 20


def texts(language: str) -> dict:
    """The words of the documents in `en` or `zh`."""
    return table("documents.json")[language]


class Page:
    """A PDF that is written from top to bottom."""

    def __init__(self, title: str) -> None:
        self._out = io.BytesIO()
        # invariant: no time of day and no random id in the file.
        self.canvas = Canvas(self._out, pagesize=A4, invariant=1)
        self.canvas.setTitle(title)
        self.canvas.setAuthor(table("staff.json")["company"])
        self.y = TOP

    def text(self, text: str, size: int = 11, bold: bool = False, x: float = LEFT) -> None:
        """Words from `x` on; the page stays on the same line."""
        latin = "Helvetica-Bold" if bold else "Helvetica"
        for run in RUNS.findall(text):
            face = CHINESE_FONT if run[0] >= "\u2e80" else latin
            self.canvas.setFont(face, size)
            self.canvas.drawString(x, self.y, run)
            x += pdfmetrics.stringWidth(run, face, size)

    def line(self, text: str = "", size: int = 11, bold: bool = False) -> None:
        self.text(text, size, bold)
        self.y -= LINE_POINTS * size / 11

    def rule(self) -> None:
        self.canvas.line(LEFT, self.y + 12, A4[0] - LEFT, self.y + 12)

    def finish(self) -> bytes:
        self.canvas.showPage()
        self.canvas.save()
        return self._out.getvalue()


def letterhead(page: Page, title: str, topic: Topic, moment: datetime, language: str) -> None:
    """Company, title, customer and date."""
    source, words = table("staff.json"), texts(language)
    page.canvas.setFillColorRGB(0.18, 0.43, 0.37)
    page.line(source["company_zh"] if language == "zh" else source["company"], 20, bold=True)
    page.canvas.setFillColorRGB(0, 0, 0)
    page.line("3 Kingfisher Lane · info@harbour-pine.example", 9)
    page.rule()
    page.line()
    page.line(title, 16, bold=True)
    page.line(f"{words['for']}: {topic.customer.name}")
    page.line(f"{words['delivery']}: {topic.address}")
    page.line(f"{words['date']}: {moment:%Y-%m-%d}")
    page.line()


def price_table(page: Page, topic: Topic, language: str) -> None:
    """The article with its price, the total and the deposit."""
    words, stops = texts(language), [LEFT, 260, 330, 400, 480]
    filled, price = topic.words(language), topic.product["price"]
    row = [filled["product"], filled["colour"], str(topic.quantity), f"{price:,}", f"{price * topic.quantity:,}"]
    for cells, bold in ((words["columns"], True), (row, False)):
        for x, cell in zip(stops, cells):
            page.text(cell, bold=bold, x=x)
        page.y -= LINE_POINTS
    page.rule()
    page.line(f"{words['total']}: HK$ {topic.amount:,}", bold=True)
    page.line(f"{words['deposit']}: HK$ {topic.amount * 3 // 10:,}")
    page.line()


def quotation(topic: Topic, moment: datetime, language: str) -> bytes:
    """A quotation of one page."""
    title = f"{texts(language)['quotation']} {topic.quote}"
    page = Page(title)
    letterhead(page, title, topic, moment, language)
    price_table(page, topic, language)
    page.line(texts(language)["valid"])
    return page.finish()


def contract(topic: Topic, moment: datetime, language: str) -> bytes:
    """A contract with its clauses and room for two signatures."""
    words = texts(language)
    title = f"{words['contract']} {topic.order}"
    page = Page(title)
    letterhead(page, title, topic, moment, language)
    for clause in words["clauses"]:
        page.line(clause, 10)
    page.line()
    price_table(page, topic, language)
    page.y -= 60
    for x, side in zip((LEFT, 330), words["signatures"]):
        page.canvas.line(x, page.y + 16, x + 190, page.y + 16)
        page.text(side, x=x)
    return page.finish()


def delivery_note(topic: Topic, moment: datetime, language: str) -> bytes:
    """A delivery note as plain text in UTF-8."""
    words = topic.words(language)
    when = f"{moment + timedelta(days=2):%Y-%m-%d}"
    if language == "zh":
        lines = [
            "港松傢俬　送貨單",
            "",
            f"訂單：{topic.order}",
            f"客戶：{topic.customer.name}",
            f"地址：{topic.address}",
            f"日期：{when}　{words['time']}",
            "",
            f"{topic.quantity} 件　{words['product']}（{words['colour']}）",
            "",
            "請於簽收前檢查包裝。",
        ]
    else:
        lines = [
            "HARBOUR & PINE FURNITURE - DELIVERY NOTE",
            "",
            f"Order:    {topic.order}",
            f"Customer: {topic.customer.name}",
            f"Address:  {topic.address}",
            f"Date:     {when}, {words['time']}",
            "",
            f"{topic.quantity} x {words['product']}, {words['colour']}",
            "",
            "Please look at the packaging before you sign.",
        ]
    return ("\n".join(lines) + "\n").encode()
