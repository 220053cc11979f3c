"""How likely it is that people wrote a text: this tells a code page from another that can be read as well.

Costs are bits, roughly: of two readings of the same bytes, one that costs a bit less is twice as likely. Only words
with letters beyond ASCII say anything. Whole words count, for confused code pages put letters of two scripts into one
word, capitals into its middle, or signs that nobody puts there.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from math import log2

MAX_WORDS, LONGEST = 250, 60
"""Different words that are looked at, and letters of each."""

# What stands between words of a table, and in addresses and numbers.
_WORD = re.compile(r"[^\s!-&(-,./:-@\[-`{-~0-9]*[^\x00-\x7f][^\s!-&(-,./:-@\[-`{-~0-9]*")
_BEFORE = "«»„“”‘‚‹›№\xa0\u3000\uff08"
_BEHIND = "«»“”’‘‹›…\xa0\u3000\u3001\u3002\uff0c\uff09"
_MARKS_OF_TRADE = "®™"
_INSIDE = "’–—"
_ALONE = "–—−•·…№§©®™°"

_STRANGE = 12.0
"""Cost of what nobody writes: a control character, a frame or a currency sign in a word, two scripts in one, or a
letter that a language of a script other than Latin does not have.
"""
_UNUSUAL = 8.0
"""Cost of a capital behind a small letter, or a letter that the language does not have."""
_RARE = 4.0
"""Cost of a letter beyond ASCII in a language of the Latin script; of a word in another language than the rest."""
_SIGN = 3.0
"""Cost of a quotation mark or the like at a word's end."""

_MARKS = ("Mn", "Mc")

# Small letters of languages, the frequent first: all of those in other scripts, only those beyond ASCII in the Latin.
_LATIN = {
    "es": "óíáéñúü",
    "pt": "ãáçéíóêõâúàôü",
    "fr": "éèàêçôîûâëïùœÿæ",
    "de": "üäöß",
    "it": "èàòùéìó",
    "ca": "àóèéçíúòïü",
    "nl": "ëéïèüöó",
    "sv": "äöåéü",
    "da": "øåæéöü",
    "is": "ðáíóéþæúýö",
    "pl": "łąęóżśćźń",
    "cs": "íáéěřýčžšůúňťďó",
    "sk": "áíéčýžšľúťňôďäóĺŕ",
    "hu": "áéóöőíüúű",
    "ro": "ăîâșțşţ",
    "hr": "čžšćđ",
    "tr": "ıüşöğçiâî",
    "lt": "ėšžįųūąčę",
    "lv": "āīēšūņļģžķčō",
    "et": "äõüöšž",
    "sq": "ëç",
}
_OTHER = {
    "CYRILLIC": {
        "ru": "оаеинтрсвлкмдпуяьыгзбчйхжшюцщэфъё",
        "uk": "оанивтрелсідкмупязьгбчхйжцїшєюфщґ",
        "be": "анекіорслтыпдўмуязбьвчгхйшцжюэёф",
        "bg": "аоеинтрсвлпдзмкугъбчщцйяхжшюфь",
        "sr": "аиоенрстујкдвлпмгзбшчцжћњљђхфџ",
        "mk": "аоеитнрсвкдјлпмугзбшчцњжќхѓфљѕџ",
        "kk": "аеныіотлрсдмқкпүғұжөшңзбуйгявхиһчцюфёщъьэ",
    },
    "GREEK": {"el": "αοιετσνηυρπκμλςάίγδόχέήωθφβύώζξψϊϋΐΰ"},
    "HEBREW": {"he": "יוהלאמרתבשנעדקחםפטכןגסזצךץף"},
    "ARABIC": {"ar": "ايلمنورتبةعدسفهكقحجأشصىخطذضزثئغءإظآؤ", "fa": "ایرنمدهوتبسشکزگلفعقجخچپصحطظضغثذژآئ"},
}

# Letters in places where these languages never have them. Kazakh has others there, in a code page that differs in a
# few: гү reads as гї, нұ as нў.
_CONSONANT = "[бвгґджзйклмнпрстфхцчшщ]"
_NEVER = {
    language: re.compile(pattern, re.IGNORECASE)
    for language, pattern in {
        "uk": f"{_CONSONANT}ї|ґ[бгґджзйкмпстфхцчшщь]|є[аоуиіы]",
        "be": f"(?:^|{_CONSONANT})ў",
        "sr": f"(?:^|{_CONSONANT})ј{_CONSONANT}",
        "mk": f"(?:^|{_CONSONANT})ј{_CONSONANT}",
    }.items()
}


def words(text: str) -> list[str]:
    """Return the different words of a text that have letters beyond ASCII, MAX_WORDS at most."""
    found = dict.fromkeys(match[0][:LONGEST] for match in _WORD.finditer(text))
    return list(found)[:MAX_WORDS]


def cost(found: Iterable[str]) -> float:
    """Return how unlikely it is that people wrote these words, in bits. They are in few languages, mostly in one."""
    readings = [_readings(word) for word in found]
    totals: dict[str, float] = {}
    for by_language, _cheapest in readings:
        for language in by_language:
            totals.setdefault(language, 0.0)
    for language in totals:
        totals[language] = sum(min(by.get(language, 1e9), cheapest + _RARE) for by, cheapest in readings)
    return min(totals.values(), default=sum(cheapest for _by, cheapest in readings))


@lru_cache(maxsize=20_000)
def _readings(word: str) -> tuple[dict[str, float], float]:
    """Return what the word costs in each language that it could be of, and what it costs at least."""
    core = word.lstrip(_BEFORE + "'-").rstrip(_BEHIND + "'-")
    always = _SIGN * (len(word) - len(core))
    letters = [letter for letter in core if not letter.isascii()]
    if not letters or all(letter in _ALONE for letter in core):
        return {}, always + _SIGN * len(letters)
    scripts = {_script(letter) for letter in core if letter.isalpha() or unicodedata.category(letter) in _MARKS}
    scripts.discard("COMBINING")
    always += _STRANGE * max(0, len(scripts) - 1) + _of_case(core)
    always += sum(_of_sign(letter) for letter in letters if not letter.isalpha())
    by_language = {}
    for script in scripts & _OTHER.keys():
        for language, alphabet in _OTHER[script].items():
            by_language[language] = always + _of_letters(letters, alphabet, 0.0)
    for language in by_language.keys() & _NEVER.keys():
        by_language[language] += _UNUSUAL * len(_NEVER[language].findall(core))
    if not by_language and "LATIN" in scripts:
        neighbours = sum(not a.isascii() and not b.isascii() for a, b in pairwise(core))
        for language, alphabet in _LATIN.items():
            by_language[language] = always + _of_letters(letters, alphabet, _RARE) + _RARE * neighbours
    if not by_language:
        always += sum(_of_ideograph(letter) for letter in letters if letter.isalpha())
    return by_language, min(by_language.values(), default=always)


def _of_letters(letters: list[str], alphabet: str, each: float) -> float:
    ranks = _ranks(alphabet)
    unknown = _UNUSUAL + each if each else _STRANGE
    return sum(ranks.get(letter.lower(), unknown - each) + each for letter in letters if letter.isalpha())


@lru_cache(maxsize=64)
def _ranks(alphabet: str) -> dict[str, float]:
    """Return the bits of each letter: the second is about half as frequent as the first, and so on, flatter."""
    weights = [1 / (rank + 4) for rank in range(len(alphabet))]
    return {letter: log2(sum(weights) / weight) for letter, weight in zip(alphabet, weights, strict=True)}


def _of_case(word: str) -> float:
    """Return the cost of capitals behind small letters, where one of the two is beyond ASCII."""
    pairs = pairwise(word)
    return _UNUSUAL * sum(a.islower() and b.isupper() and not (a.isascii() and b.isascii()) for a, b in pairs)


def _of_sign(sign: str) -> float:
    if sign in _INSIDE:
        return _RARE
    if sign in _MARKS_OF_TRADE:
        return _UNUSUAL
    if unicodedata.category(sign) in _MARKS:
        return _RARE if _script(sign) in ("THAI", "DEVANAGARI", "ARABIC", "HEBREW") else _UNUSUAL
    return _STRANGE


def _of_ideograph(letter: str) -> float:
    """Return the cost of a letter of scripts without an alphabet here, by the room that they take in the code pages."""
    match _script(letter):
        case "HIRAGANA" | "KATAKANA" | "THAI":
            return 6.0
        case "HANGUL":
            return 11.0
        case "CJK":
            return 11.0 if letter in _common_ideographs() else 17.0
    return _STRANGE


@lru_cache(maxsize=1)
def _common_ideographs() -> frozenset[str]:
    """Return the first level of GB 2312, and what Big5 has as frequent."""
    simplified = bytes(byte for lead in range(0xB0, 0xD8) for low in range(0xA1, 0xFF) for byte in (lead, low))
    lows = (*range(0x40, 0x7F), *range(0xA1, 0xFF))
    traditional = bytes(byte for lead in range(0xA4, 0xC6) for low in lows for byte in (lead, low))
    return frozenset(simplified.decode("gb2312", "ignore") + traditional.decode("big5", "ignore"))


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    """Return how the character's name begins: LATIN, CYRILLIC, CJK …"""
    name = unicodedata.name(letter, "")
    if name.startswith("HALFWIDTH"):
        return "HALFWIDTH"
    return name.split(" ", 1)[0].split("-", 1)[0]
