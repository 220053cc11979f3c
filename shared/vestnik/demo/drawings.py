"""Pictures for the demo's posts: drawn, not photographed, and the same in every installation."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from PIL import Image, ImageDraw

WIDTH, HEIGHT = 1600, 900
FINER = 2
"""Everything is drawn so many times larger, and made smaller at the end: that smooths the edges."""

NIGHT, INK, BLUE, SKY, MIST, PAPER = "#0d1838", "#1a2d63", "#2457c5", "#7ea2ee", "#dbe6fb", "#ffffff"
AMBER, CORAL = "#f6b64a", "#ee7b5c"

Point = tuple[float, float]


def draw(name: str, width: int = WIDTH) -> Image.Image:
    """Return the picture of that name, so many pixels wide and nine sixteenths of it high."""
    sheet = Sheet(width)
    DRAWINGS[name](sheet, random.Random(name))  # noqa: S311  (nothing is kept secret by it)
    return sheet.finished()


class Sheet:
    """What is drawn on. Measures are pixels of a picture of 1600 × 900, whatever size it will have."""

    def __init__(self, width: int) -> None:
        self._size = (width, width * HEIGHT // WIDTH)
        self._scale = FINER * width / WIDTH
        self._image = Image.new("RGB", (FINER * self._size[0], FINER * self._size[1]))
        self._draw = ImageDraw.Draw(self._image, "RGBA")

    def finished(self) -> Image.Image:
        """Return the picture in its own size."""
        return self._image.reduce(FINER)

    def ground(self, top: str, bottom: str) -> None:
        """Fill the whole of it, from one colour to the other."""
        column = (1, self._image.height)
        fade = Image.linear_gradient("L").resize(column)
        faded = Image.composite(Image.new("RGB", column, bottom), Image.new("RGB", column, top), fade)
        self._image.paste(faded.resize(self._image.size, Image.Resampling.NEAREST))

    def glow(self, centre: Point, radius: float, colour: str) -> None:
        """Draw light around a point."""
        side = round(2 * radius * self._scale)
        light = Image.radial_gradient("L").point(_light).resize((side, side), Image.Resampling.BILINEAR)
        corner = tuple(round((place - radius) * self._scale) for place in centre)
        self._image.paste(Image.new("RGB", (side, side), colour), (corner[0], corner[1]), light)

    def area(self, points: Iterable[Point], colour: str) -> None:
        """Draw a filled polygon."""
        self._draw.polygon(self._scaled(points), fill=colour)

    def line(self, points: Iterable[Point], colour: str, width: float) -> None:
        """Draw a line with round ends and joints."""
        scaled = self._scaled(points)
        thick = max(1, round(width * self._scale))
        self._draw.line(scaled, fill=colour, width=thick, joint="curve")
        for x, y in (scaled[0], scaled[-1]):
            half = thick / 2 - 0.5
            self._draw.ellipse((x - half, y - half, x + half, y + half), fill=colour)

    def disc(self, centre: Point, radius: float, colour: str | None, rim: str | None = None, width: float = 0) -> None:
        """Draw a disc, filled or with a rim."""
        x, y = (place * self._scale for place in centre)
        far = radius * self._scale
        box = (x - far, y - far, x + far, y + far)
        self._draw.ellipse(box, fill=colour, outline=rim, width=round(width * self._scale))

    def bar(self, left: float, top: float, width: float, height: float, colour: str, radius: float = 0) -> None:
        """Draw a rectangle with round corners."""
        box = self._scaled([(left, top), (left + width, top + height)])
        self._draw.rounded_rectangle([*box[0], *box[1]], radius * self._scale, fill=colour)

    def envelope(self, centre: Point, width: float, tilt: float, paper: str = PAPER, edge: str = INK) -> None:
        """Draw a closed one, turned by so many degrees."""
        half, high = width / 2, width * 0.32
        turn = _turned(centre, tilt)
        corners = [turn(x, y) for x, y in ((-half, -high), (half, -high), (half, high), (-half, high))]
        self.area([(x + width * 0.02, y + width * 0.05) for x, y in corners], NIGHT + "28")
        self.area(corners, paper)
        thin = max(2.0, width * 0.022)
        self.line([turn(-half, high), turn(-half * 0.2, high * 0.02)], edge + "55", thin * 0.7)
        self.line([turn(half, high), turn(half * 0.2, high * 0.02)], edge + "55", thin * 0.7)
        flap = [turn(-half, -high), turn(0, high * 0.24), turn(half, -high)]
        self.area(flap, edge + "14")
        self.line(flap, edge, thin)
        self.line([*corners, corners[0]], edge, thin)

    def _scaled(self, points: Iterable[Point]) -> list[Point]:
        return [(x * self._scale, y * self._scale) for x, y in points]


def _light(far: float) -> float:
    """Return how bright it is where Pillow's radial gradient has `far`; at the edge of its square that is 180."""
    return 255 * math.pow(1 - min(1.0, far / 180), 1.5)


def _turned(centre: Point, degrees: float) -> Callable[[float, float], Point]:
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return lambda x, y: (centre[0] + x * cosine - y * sine, centre[1] + x * sine + y * cosine)


def _wave(level: float, height: float, length: float, phase: float) -> Callable[[float], float]:
    return lambda x: level + height * math.sin(math.tau * x / length + phase)


def _arc(centre: Point, radius: Point, begin: float, end: float) -> Iterator[Point]:
    """Yield points of an ellipse's arc; degrees, clockwise from three o'clock."""
    for step in range(61):
        angle = math.radians(begin + (end - begin) * step / 60)
        yield centre[0] + radius[0] * math.cos(angle), centre[1] + radius[1] * math.sin(angle)


LEDGER = {4: (AMBER, "#fff3d9", 4), 9: (CORAL, "#fff3d9", 3)}
"""Rows that stand out: ink, paper, tries."""


def _ledger(sheet: Sheet, chance: random.Random) -> None:
    """Draw a row for each letter, and what became of it."""
    sheet.ground("#eaf0fd", "#c9d9f9")
    for row in range(13):
        top, ruled = 66 + row * 62, LEDGER.get(row, (BLUE, PAPER, 1 + (chance.random() < 0.2)))
        ink, paper, tries = ruled
        sheet.bar(150, top, 1300, 46, paper, 10)
        sheet.bar(150, top, 12, 46, ink, 4)
        sheet.envelope((225, top + 23), 48, 0, paper)
        sheet.bar(290, top + 16, chance.randint(170, 330), 14, SKY, 7)
        for number in range(tries):
            sheet.bar(720 + number * 118, top + 15, 96, 16, "#b7ccf7" if number == tries - 1 else MIST, 8)
        if ink == CORAL:
            sheet.line([(1386, top + 15), (1402, top + 31)], ink, 7)
            sheet.line([(1402, top + 15), (1386, top + 31)], ink, 7)
        else:
            sheet.line([(1380, top + 24), (1390, top + 33), (1408, top + 13)], ink, 7)


SEA = (
    (540, 9, 520, "#5b6fa8"),
    (600, 13, 610, "#3d559a"),
    (668, 17, 700, "#2b4591"),
    (752, 20, 820, "#1c3377"),
    (836, 22, 930, "#122457"),
)
"""Waves from far to near: level, height, length, colour."""


def _away(sheet: Sheet, chance: random.Random) -> None:
    """Draw letters that wait at the shore; one goes ahead to see whether somebody is there."""
    sheet.ground("#132350", "#e7a77c")
    sheet.glow((1180, 520), 620, "#ffd9a0")
    sheet.disc((1180, 520), 96, "#ffe9c4")
    for _ in range(46):
        sheet.disc((chance.uniform(0, 1600), chance.uniform(10, 330)), chance.uniform(1.2, 2.6), "#ffffff90")
    for number, (level, height, length, colour) in enumerate(SEA):
        surface = _wave(level, height, length, chance.uniform(0, math.tau))
        if number == 1:
            sheet.envelope((980, surface(980) - 18), 92, -7, "#fff6e6", INK)
        if number == 3:
            for place, tilt in ((150, -6), (330, 4), (520, -3)):
                sheet.envelope((place, surface(place) - 36), 168, tilt, PAPER, INK)
        sheet.area([*((x, surface(x)) for x in range(0, 1601, 8)), (1600, 900), (0, 900)], colour)
        if number < 2:
            for _ in range(26):
                x, y = chance.gauss(1180, 90), chance.uniform(level + 6, level + 56)
                sheet.line([(x - 22, y), (x + 22, y)], "#ffdca988", 3)


def _clock(sheet: Sheet, centre: Point, radius: float, time: tuple[int, int], face: str, ink: str, rim: str) -> None:
    sheet.disc((centre[0] + radius * 0.05, centre[1] + radius * 0.08), radius, NIGHT + "30")
    sheet.disc(centre, radius, face, rim, radius * 0.05)
    for hour in range(12):
        turn = _turned(centre, hour * 30)
        sheet.line([turn(0, -radius * 0.84), turn(0, -radius * (0.7 if hour % 3 == 0 else 0.77))], ink, radius * 0.025)
    hours, minutes = time
    for angle, length, width in ((hours * 30 + minutes / 2, 0.46, 0.05), (minutes * 6, 0.68, 0.03)):
        turn = _turned(centre, angle)
        sheet.line([turn(0, radius * 0.1), turn(0, -radius * length)], ink, radius * width)
    sheet.disc(centre, radius * 0.055, AMBER)


def _clocks(sheet: Sheet, chance: random.Random) -> None:
    """Draw one moment, read in three towns."""
    sheet.ground("#1b3170", "#2f62cf")
    for step in range(-7, 8):
        begin = 90 if step < 0 else -90
        sheet.line(_arc((800, 450), (abs(step) * 150 + 1, 760), begin, begin + 180), "#ffffff1c", 3)
    for step in range(1, 6):
        sheet.line([(0, step * 150), (1600, step * 150)], "#ffffff14", 3)
    _clock(sheet, (390, 420), 190, (6, 0), "#cfddfa", INK, "#9db8f2")
    _clock(sheet, (1210, 420), 190, (11, 0), INK, "#cfddfa", "#5c82dd")
    _clock(sheet, (800, 420), 270, (9, 0), PAPER, INK, "#9db8f2")


def _hours(sheet: Sheet, chance: random.Random) -> None:
    """Draw two nights of a year: one lacks an hour, the other has one twice."""
    sheet.ground("#f2f6fe", "#dbe6fb")
    for top, hours, odd, colour in ((190, "0134567", (2,), AMBER), (560, "0122345", (2, 3), CORAL)):
        sheet.line([(110, top + 210), (1490, top + 210)], "#9db8f2", 5)
        for place, hour in enumerate(hours):
            left, strange = 130 + place * 194, place in odd
            centre, ink = (left + 84.0, top + 75.0), NIGHT if strange else INK
            sheet.bar(left, top, 168, 150, colour if strange else PAPER, 22)
            sheet.disc((left + 84, top + 210), 15, colour if strange else BLUE)
            sheet.disc(centre, 52, None, ink, 6)
            sheet.line([centre, _turned(centre, int(hour) * 30)(0, -24)], ink, 6)
            sheet.line([centre, (centre[0], centre[1] - 38)], ink, 6)


SHADES = ("#ffffff", "#e3ecfd", "#bed1f8", "#93b1f0", "#6c93e6", "#4a77d9", "#3566cc")


def _copies(sheet: Sheet, chance: random.Random) -> None:
    """Draw one page, and copies of it that stand before it."""
    sheet.ground("#10204c", "#2450b4")
    sheet.glow((800, 430), 760, "#3f74e6")
    for depth in range(6, -1, -1):
        size = 1 - depth * 0.085
        wide, high = 640 * size, 560 * size
        for side in (-1, 1) if depth else (0,):
            left, top = 800 + side * depth * 150 - wide / 2, 455 - high / 2
            sheet.bar(left + 8, top + 14, wide, high, NIGHT + "30", 26 * size)
            sheet.bar(left, top, wide, high, SHADES[depth], 26 * size)
    sheet.bar(520, 215, 560, 200, "#cfddfa", 14)
    sheet.area([(520, 415), (690, 275), (800, 370), (900, 300), (1080, 415)], SKY)
    sheet.disc((980, 275), 30, AMBER)
    sheet.bar(520, 450, 400, 30, INK, 15)
    for number, wide in enumerate((560, 520, 548, 330)):
        sheet.bar(520, 510 + number * 46, wide, 18, "#c3d3f4", 9)


def _million(sheet: Sheet, chance: random.Random) -> None:
    """Draw a heap of rows on the left, in order on the right."""
    sheet.ground("#f3f7ff", "#d3e0fb")
    for column in range(64):
        for row in range(35):
            order = min(1.0, max(0.0, (column - 8) / 34)) ** 1.5
            loose = 1 - order
            x = 34 + column * 24.4 + chance.gauss(0, 74) * loose
            y = 36 + row * 24.4 + chance.gauss(0, 92) * loose
            odd = chance.random() < 0.012
            colour = CORAL if odd else chance.choice((BLUE, "#3f72dc", SKY, INK)) if loose > 0.3 else BLUE
            size = 5.4 + loose * chance.uniform(-1.5, 4.5)
            if odd and order > 0.75:
                sheet.disc((x, y), 6.4, None, "#a9c0f3", 2)
                continue
            sheet.disc((x, y), size, colour + ("b0" if loose > 0.3 else ""))


def _switches(sheet: Sheet, chance: random.Random) -> None:
    """Draw switches of which one is off: everything goes on but one."""
    sheet.ground("#e9effc", "#cbdaf8")
    for row in range(5):
        top = 84 + row * 152
        off = row == 2
        sheet.bar(176, top + 8, 1256, 124, NIGHT + "12", 30)
        sheet.bar(170, top, 1256, 124, PAPER, 30)
        sheet.disc((250, top + 62), 34, MIST if not off else "#fde3da")
        sheet.disc((250, top + 62), 15, SKY if not off else CORAL)
        sheet.bar(320, top + 36, 36, 20, INK, 10)
        for dot in range(3):
            sheet.disc((376 + dot * 20, top + 46), 6, "#8aa2d6")
        sheet.bar(440, top + 36, chance.randint(170, 300), 20, "#8aa2d6", 10)
        sheet.bar(320, top + 74, chance.randint(420, 640), 14, MIST, 7)
        sheet.bar(1246, top + 32, 120, 60, BLUE if not off else "#f4a48d", 30)
        sheet.disc((1276 if off else 1336, top + 62), 24, PAPER)


def _limits(sheet: Sheet, chance: random.Random) -> None:
    """Draw a line: whatever comes, none is above it."""
    sheet.ground("#13234f", "#1f3f97")
    wanted = [0.35 + 0.5 * abs(math.sin(place / 5.1)) + chance.uniform(0, 0.45) for place in range(44)]
    for place, height in enumerate(wanted):
        left, full = 76 + place * 33.2, 560 * min(height, 0.92)
        if height > 0.92:
            over = 560 * (height - 0.92)
            for bit in range(int(over // 22)):
                sheet.bar(left, 820 - full - 44 - bit * 22, 20, 12, "#ffffff2e", 6)
        sheet.bar(left, 820 - full, 20, full, SKY if height <= 0.92 else "#a9c3f7", 10)
    sheet.line([(60, 288), (1540, 288)], AMBER, 7)
    sheet.disc((60, 288), 16, AMBER)
    sheet.disc((1540, 288), 16, AMBER)


def _backoff(sheet: Sheet, chance: random.Random) -> None:
    """Draw tries that lie further and further apart."""
    sheet.ground("#f2f6fe", "#dbe6fb")
    sheet.line([(90, 640), (1360, 640)], "#9db8f2", 6)
    moments = [0]
    for wait in (1, 2, 4, 8, 16, 30):
        moments.append(moments[-1] + wait)
    places = [110 + 1190 * (moment / moments[-1]) ** 0.8 for moment in moments]
    for number, (begin, end) in enumerate(pairwise(places)):
        middle, half = (begin + end) / 2, (end - begin) / 2
        sheet.line(_arc((middle, 640), (half, min(420, half * 1.5 + 40)), 180, 360), BLUE if number < 5 else AMBER, 8)
    for number, place in enumerate(places):
        sheet.disc((place, 640), 20 if number else 14, (CORAL if number < 6 else BLUE), PAPER, 6)
    sheet.envelope((1444, 640), 172, 5, PAPER, INK)


def _bend(begin: float, t: float) -> Point:
    """Return the point of a way from a height at the left edge to the middle of the picture, t from 0 to 1."""
    return t * 840 - 40, begin + (450 - begin) * (0.5 - 0.5 * math.cos(math.pi * min(1.0, max(0.0, t))))


QUEUES = (
    (120, BLUE, "#c5d5f6", 14),
    (340, AMBER, "#f6e3c0", 3),
    (560, CORAL, "#f5d3cb", 6),
    (780, INK, "#bcc8e3", 9),
)
"""Where each begins, its colour and the way's, how many wait."""


def _turns(sheet: Sheet, chance: random.Random) -> None:
    """Draw four queues of very different length, one after the other through one gate."""
    sheet.ground("#eef3fe", "#d0defa")
    for begin, _colour, pale, _length in QUEUES:
        sheet.line([_bend(begin, step / 60) for step in range(61)], pale, 50)
    sheet.line([(800, 450), (1700, 450)], "#bccff6", 58)
    for begin, colour, _pale, length in QUEUES:
        for number in range(length):
            sheet.disc(_bend(begin, 0.66 - number * 0.062), 18, colour)
    sheet.bar(790, 320, 26, 260, INK, 13)
    for number in range(13):
        sheet.disc((876 + number * 60, 450), 20, QUEUES[number % 4][1])


def _rack(sheet: Sheet, chance: random.Random) -> None:
    """Draw a rack of pigeonholes; what came back lies in a few of them."""
    sheet.ground("#122250", "#274fb8")
    for row in range(4):
        for column in range(7):
            left, top = 90 + column * 206, 62 + row * 198
            sheet.bar(left, top, 186, 176, "#0b1634", 14)
            sheet.bar(left, top + 14, 186, 162, "#1b3274", 14)
            place = row * 7 + column
            if place in (3, 8, 18, 26):
                sheet.envelope((left + 93, top + 112), 140, chance.uniform(-9, 9), "#fff3da", INK)
                sheet.disc((left + 140, top + 74), 17, CORAL)
            elif chance.random() < 0.55:
                for letter in range(chance.randint(1, 3)):
                    sheet.envelope((left + 93 + letter * 5, top + 124 - letter * 14), 134, chance.uniform(-4, 4))


DRAWINGS: dict[str, Callable[[Sheet, random.Random], None]] = {
    "ledger": _ledger,
    "away": _away,
    "clocks": _clocks,
    "hours": _hours,
    "copies": _copies,
    "million": _million,
    "switches": _switches,
    "limits": _limits,
    "backoff": _backoff,
    "turns": _turns,
    "rack": _rack,
}
