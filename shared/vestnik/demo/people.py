"""Three hundred invented people: names, addresses and attributes, the same in every installation."""

from collections.abc import Iterator

from vestnik.accounts.models import User
from vestnik.clients.models import Client, name_key

NUMBER = 300
REFUSED, BUSY = 5, 4  # the last of them; the inbox takes nothing for their domains
BOUNCED, COMPLAINED = 2, 1  # before those; the inbox takes their letters, and something comes back of them
UNSURE = REFUSED + BUSY + BOUNCED + COMPLAINED

MEN = (
    "Александр", "Алексей", "Андрей", "Антон", "Борис", "Виктор", "Глеб", "Дмитрий", "Евгений", "Иван", "Илья",
    "Кирилл", "Максим", "Михаил", "Николай", "Олег", "Павел", "Пётр", "Сергей", "Фёдор",
)  # fmt: skip
WOMEN = (
    "Алина", "Анна", "Валентина", "Вера", "Галина", "Дарья", "Екатерина", "Елена", "Ирина", "Ксения", "Людмила",
    "Марина", "Мария", "Наталья", "Ольга", "Полина", "Светлана", "Татьяна", "Юлия", "Яна",
)  # fmt: skip
PATRONYMICS = (
    ("Александрович", "Александровна"), ("Алексеевич", "Алексеевна"), ("Андреевич", "Андреевна"),
    ("Борисович", "Борисовна"), ("Викторович", "Викторовна"), ("Дмитриевич", "Дмитриевна"), ("Ильич", "Ильинична"),
    ("Львович", "Львовна"), ("Николаевич", "Николаевна"), ("Павлович", "Павловна"), ("Петрович", "Петровна"),
    ("Сергеевич", "Сергеевна"), ("Фёдорович", "Фёдоровна"),
)  # fmt: skip
SURNAMES = (
    "Алёхин", "Белов", "Беляев", "Воронцов", "Гусев", "Дмитриевский", "Ершов", "Жуков", "Зайцев", "Ильинский",
    "Калинин", "Ким", "Ковалёв", "Кузнецов", "Лебедев", "Макаренко", "Морозов", "Никитин", "Орлов", "Островский",
    "Павлов", "Рогожин", "Савельев", "Соколов", "Тарасов", "Титов", "Трубецкой", "Ушаков", "Фомин", "Хохлов", "Царёв",
    "Черных", "Шевченко", "Щербаков", "Юдин", "Яковлев", "Ярцев",
)  # fmt: skip
CITIES = ("Москва", "Санкт-Петербург", "Казань", "Новосибирск", "Екатеринбург", "Самара", "Пермь", "Томск", "Тверь")
COMPANIES = ("ООО «Липа»", "Типография № 4", "АО «Северный ветер»", "Кофейня «Зерно»", "ИП", "НИИ картографии")
NOTES = ("Просит писать не чаще раза в неделю.", "Познакомились на выставке.", "Пишет «ё» и любит, когда её пишут все.")

FIRST_NAMES = (
    "Alice", "Amara", "Arthur", "Beatrice", "Clara", "David", "Edith", "Felix", "Grace", "Hannah", "Hugo", "Imogen",
    "Jonas", "Kwame", "Laura", "Liam", "Maya", "Nadia", "Oscar", "Priya", "Quentin", "Rosa", "Samuel", "Tessa",
    "Ursula", "Victor", "Wanda", "Xavier", "Yusuf", "Zoe",
)  # fmt: skip
LAST_NAMES = (
    "Abbott", "Bennett", "Carver", "Dalton", "Ellis", "Farrow", "Greene", "Hartley", "Ivers", "Jensen", "Keller",
    "Lindqvist", "Marchand", "Nakamura", "O’Neill", "Okafor", "Parker", "Quinn", "Rivera", "Schneider", "Thorne",
    "Underwood", "Vance", "Weber", "Yilmaz", "Zeller", "Ashworth", "Brandt", "Costa", "Duarte", "Eriksen",
)  # fmt: skip
TOWNS = ("London", "Leeds", "Bristol", "Dublin", "Toronto", "Berlin", "Lisbon", "Nairobi", "Boston", "Auckland")
FIRMS = ("Linden & Sons", "North Wind Ltd", "Map Office", "Grain Coffee", "Harbour Books", "Field Studio")
REMARKS = ("Prefers a telephone call.", "Met at the spring fair.", "Asked for the invoice twice; be quick.")

LATIN = {
    "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ё": "yo", "ж": "zh", "з": "z", "и": "i", "й": "y",
    "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t", "у": "u", "ф": "f",
    "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ы": "y", "ь": "", "э": "e", "ю": "yu",
    "я": "ya", "’": "",
}  # fmt: skip


def feminine(surname: str) -> str:
    """Return a Russian surname as a woman bears it: Белов, Белова; Островский, Островская; Ким and Черных stay."""
    if surname.endswith(("ов", "ев", "ёв", "ин", "ын")):
        return surname + "а"
    if surname.endswith(("ий", "ый", "ой")):
        return surname[:-2] + "ая"
    return surname


def transliterated(word: str) -> str:
    """Return the word in the letters of an address."""
    return "".join(LATIN.get(letter, letter) for letter in word.lower())


def is_russian(number: int) -> bool:
    """Say whether the person of that number is Russian: three of five are."""
    return number % 5 in (0, 2, 4)


def clients(owner: User) -> Iterator[Client]:
    """Yield the people as clients of the owner's, not yet saved; in an order that `is_russian` knows."""
    for number in range(NUMBER):
        names = _russian(number) if is_russian(number) else _english(number)
        full_name = " ".join(names)
        attributes = {"city": (CITIES if is_russian(number) else TOWNS)[number % 9]}
        if number % 3:
            attributes["company"] = (COMPANIES if is_russian(number) else FIRMS)[number % 6]
        notes = NOTES if is_russian(number) else REMARKS
        yield Client(
            owner=owner,
            email=f"{transliterated(names[0])}.{transliterated(names[-1])}@{_domain(number)}",
            full_name=full_name,
            name_key=name_key(full_name),
            comment=notes[number % 3] if number % 8 == 0 else "",
            attributes=attributes,
        )


def _russian(number: int) -> tuple[str, str, str]:
    woman = number % 4 < 2
    surname = SURNAMES[number * 7 % len(SURNAMES)]
    patronymic = PATRONYMICS[number * 5 % len(PATRONYMICS)][woman]
    first = (WOMEN if woman else MEN)[(number * 3 + number // 20) % 20]
    return first, patronymic, feminine(surname) if woman else surname


def _english(number: int) -> tuple[str, str]:
    return FIRST_NAMES[(number * 7 + number // 30) % len(FIRST_NAMES)], LAST_NAMES[number * 11 % len(LAST_NAMES)]


def _domain(number: int) -> str:
    if number >= NUMBER - BUSY:
        return "busy.example"
    if number >= NUMBER - BUSY - REFUSED:
        return "refused.example"
    if number >= NUMBER - BUSY - REFUSED - BOUNCED:
        return "bounced.example"
    if number >= NUMBER - BUSY - REFUSED - BOUNCED - COMPLAINED:
        return "complained.example"
    return "example.com" if number % 3 == 0 else "example.org"
