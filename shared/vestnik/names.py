"""Names that people give, such as those of clients' attributes: when two spellings are one name."""

import re
import unicodedata

# What nobody sees: soft hyphens, zero-width spaces and joiners, marks of direction, byte order marks, variation
# selectors, fillers. Programs leave them behind; a name reads the same without them.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def same(name: str) -> str:
    """Return the key by which names are compared: two spellings are one name if their keys are equal.

    Case, composition, width and other compatibility forms (NFKC, Unicode Annex 15) make no difference, nor do
    characters that cannot be seen, nor how much space stands around or between the words. The key is for comparing, not
    for showing; the key of a key is the key itself. Callers bound the name's length: the work grows with it.
    """
    before, key = name, _folded(name)
    while key != before:  # few characters change more than once
        before, key = key, _folded(key)
    return key


def _folded(name: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", name).casefold())
    return " ".join(_UNSEEN.sub("", folded).split())
