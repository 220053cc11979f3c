"""The demo's posts: what the blog says of Vestnik itself. Their texts are in articles/, their pictures are drawn."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from io import BytesIO

from vestnik import clock
from vestnik.blog import images, verbs
from vestnik.blog.models import Picture, Post
from vestnik.demo import drawings


@dataclass(frozen=True, slots=True)
class Article:
    """A post; when it appears, from the making of the demo; the drawing that is its image, and what that shows."""

    slug: str
    language: str
    title: str
    excerpt: str
    after: timedelta
    drawing: str = ""
    alt: str = ""
    draft: bool = False


ARTICLES = (
    Article(
        "pervaya-minuta",
        "ru",
        "Первая минута: одна команда и ни одной настройки",
        "База данных, очередь и почтовый ящик приезжают вместе с программой. Что можно увидеть за минуту, не отправив"
        " наружу ни одного письма.",
        -timedelta(days=41, hours=2, minutes=25),
    ),
    Article(
        "nobody-is-forgotten",
        "en",
        "Nobody is forgotten",
        "Most mailing programs keep a bookmark: so many thousand of so many. Vestnik keeps a ledger with a row for"
        " every letter. What that changes on the day a machine dies.",
        -timedelta(days=36, hours=5, minutes=10),
        "ledger",
        "A list of letters, one to a row, with marks behind each for its tries and what became of it.",
    ),
    Article(
        "million-strok",
        "ru",
        "Миллион строк из чужой таблицы",
        "Кодировки, разделители, триста испорченных строк и повторная загрузка: как импорт обходится с таблицей,"
        " которую правили вчетвером.",
        -timedelta(days=30, hours=1, minutes=40),
        "million",
        "Россыпь точек слева собирается справа в ровные ряды.",
    ),
    Article(
        "nine-oclock-is-not-an-instant",
        "en",
        "Nine o'clock is not an instant",
        "“Every Monday at nine” sounds simple. Then one Sunday in March there is no half past two, and in October there"
        " are two of them.",
        -timedelta(days=24, hours=7, minutes=55),
        "clocks",
        "Three clocks that show different times over a globe's meridians.",
    ),
    Article(
        "chto-mozhet-menedzher",
        "ru",
        "Что может менеджер, и чего он не может",
        "Увидеть любую рассылку и остановить её за две секунды — да. Исправить в ней запятую или прочесть адрес клиента"
        " — нет. И ничего — незаметно.",
        -timedelta(days=17, hours=3, minutes=5),
        "switches",
        "Пять строк с переключателями; средний выключен.",
    ),
    Article(
        "when-the-mail-service-is-away",
        "en",
        "When the mail service is away",
        "It will happen on the evening of the sale, with forty thousand letters to go. Who pays for the outage, how one"
        " letter goes ahead, and why nobody has to press anything afterwards.",
        -timedelta(days=11, hours=6, minutes=30),
        "away",
        "Envelopes float on a dark sea like boats; one has gone ahead towards the rising sun.",
    ),
    Article(
        "pyatdesyat-v-sekundu",
        "ru",
        "Пятьдесят писем в секунду — и ни одним больше",
        "Счётчик, который обнуляют каждую секунду, пропускает вдвое больше, чем обещал. Как считать так, чтобы почтовая"
        " служба была того же мнения.",
        -timedelta(days=5, hours=4, minutes=15),
        "limits",
        "Столбики разной высоты под жёлтой чертой; выше неё не поднимается ни один.",
    ),
    Article(
        "this-page-is-a-copy",
        "en",
        "This page is a copy",
        "It was made some seconds ago for somebody else, knows nothing of you, and would be here if the program behind"
        " it were switched off. How this blog is kept, and how it still counts you once.",
        -timedelta(days=1, hours=2, minutes=50),
        "copies",
        "A page with a picture, and behind it to both sides the same page again and again, ever smaller.",
    ),
    Article(
        "letters-that-came-back",
        "en",
        "Letters that came back",
        "“37 bounced” is a true number from which nothing follows. Letters sorted by what went wrong are a list of"
        " questions.",
        -timedelta(hours=20),
        "rack",
        "A rack of pigeonholes full of envelopes; four of them are marked with a red dot.",
        draft=True,
    ),
    Article(
        "ochered-bez-tolkotni",
        "ru",
        "Очередь, в которой не толкаются",
        "У одного миллион писем, у другого десять, и оба нажали «Отправить» в одну минуту. Кто когда закончит, и почему"
        " рассылку бесполезно резать на части.",
        timedelta(days=2, hours=1),
        "turns",
        "Четыре цветные очереди разной длины сходятся к одним воротам и выходят из них вперемежку.",
    ),
)

WIDTH = drawings.WIDTH
"""Pixels: of the pictures."""

DRAWN = re.compile(r'<img src="([a-z]+)"')


def are_there() -> bool:
    """Say whether they were made here, and not all of them deleted since."""
    return Post.objects.filter(slug__in=[article.slug for article in ARTICLES]).exists()


def make() -> None:
    """Make them all: eight that can be read, a draft, and one that waits for its day."""
    now = clock.now()
    for article in ARTICLES:
        _make(article, now)


def _make(article: Article, now: datetime) -> None:
    def drawn(img: re.Match[str]) -> str:
        picture = _picture(img[1])
        return f'<img src="{picture.address(picture.width)}"'

    text = files("vestnik.demo").joinpath("articles", f"{article.slug}.html").read_text("utf-8")
    post = Post(
        title=article.title,
        slug=article.slug,
        language=article.language,
        excerpt=article.excerpt,
        content=DRAWN.sub(drawn, text),
        picture=_picture(article.drawing, article.alt) if article.drawing else None,
        draft=article.draft,
        publish_at=now + article.after,
    )
    verbs.save_post(post)


def _picture(name: str, alt: str = "") -> Picture:
    file = BytesIO()
    drawings.draw(name, WIDTH).save(file, "PNG", compress_level=1)
    picture = images.store(file)
    if alt and not picture.alt:
        picture.alt = alt
        picture.save(update_fields=["alt"])
    return picture
