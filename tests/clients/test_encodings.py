"""In which encoding a file is read: rightly, or with somebody asked, but never wrongly without a word."""

import io
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.timing import in_time
from vestnik.clients import csv_files, encodings, plausibility
from vestnik.clients.csv_files import EncodingInDoubt, ImportRefused
from vestnik.clients.encodings import ENCODINGS
from vestnik.clients.importing import import_clients
from vestnik.clients.models import Client

COULD_BE_UTF8 = ["Её Ян", "Іі", "Пё", "Ёж", "Её", "Ю№", "Ўў", "ґ", "Ия", "Аё"]
NAMES = {
    "Russian": "Иван Петров|Мария Сидорова|Анна Морозова|Пётр Щукин|Юрий Жданов|Эльвира Хасанова|Зоя|ООО Роза|Казань",
    "Ukrainian": "Іван Шевченко|Ганна Їжакевич|Євген Ґонта|Юлія Бойко|Київ|Львів|Тарас Мельник|Оксана Ткаченко",
    "Polish": "Łukasz Wójcik|Zofia Dąbrowska|Małgorzata Żak|Paweł Świątek|Grzegorz Brzęczyk|Łódź|Wiśniewska|Kraków",
    "Czech": "Jiří Novák|Tomáš Dvořák|Lucie Černá|Zdeněk Šťastný|Růžena Malá|Plzeň|Markéta Ďurišová|Ondřej Žižka",
    "Hungarian": "László Szűcs|Erzsébet Kovács|Győző Nagy|Zoltán Tóth|Kőrösi Béla|Gyürk Árpád",
    "German": "Jürgen Müller|Björn Groß|Käthe Schäfer|Günther Öztürk|Renate Höß|München|Köln",
    "French": "Hélène Lefèvre|François Côté|Benoît Garçon|Zoé Gaël|André Rougé|Éloïse Forêt",
    "Spanish": "José Muñoz|María Núñez|Íñigo López|Sofía Ibáñez|Begoña Martínez|Raúl Gómez",
    "Portuguese": "João Gonçalves|Conceição Araújo|Inês Simões|Antônio Brandão|São Paulo|Brasília",
    "Swedish": "Åsa Öberg|Göran Sjöström|Märta Ångström|Björn Åkesson|Malmö",
    "Kazakh": "Өмірбек Жұмағали|Қайрат Әбдіров|Гүлнар Сұлтанқызы|Ғани Мұратов|Айгүл Бөкенова|Жәнібек|Шыңғыс|Ақтөбе",
    "Serbian": "Ђорђе Јовановић|Љиљана Њежић|Ћосић Џон|Београд|Никола Петровић",
    "Romanian": "Ștefan Popescu|Țepeș Răzvan|Ioana Brătianu|Mihăiță Șerban|București|Iași|Constanța",
    "Estonian": "Jüri Mägi|Õnne Pärn|Tõnu Kõiv|Šura Žukov|Põlva",
    "Latvian": "Jānis Bērziņš|Līga Kalniņa|Ģirts Ķeniņš|Rēzekne|Āris Šķēle",
    "Danish": "Søren Kjær|Åse Østergård|Næstved|Jørgen Bøgh",
    "with dashes": "Казань|№ 5 – склад|Санкт-Петербург|Анна — мама|«Роза»|Иванов–Петров",
    "Turkish": "Ayşe Yılmaz|Gülşen Çağrı|Oğuz Şahin|Çiğdem Öztürk|Işıl Güneş|Iğdır",
    "Lithuanian": "Jūratė Žukauskienė|Šarūnas Čepaitis|Rūta Ąžuolas|Gintarė Vaičiūnaitė",
    "Greek": "Γιώργος Παπαδόπουλος|Ελένη Νικολάου|Αθήνα|Δημήτρης Αντωνίου",
    "Hebrew": "דוד כהן|שרה לוי|יעקב מזרחי|משה פרץ|חיפה",
    "Arabic": "محمد علي|فاطمة الزهراء|أحمد حسن|القاهرة",
    "Thai": "สมชาย ใจดี|กรุงเทพ|สมหญิง|เชียงใหม่|นภา",
    "Chinese": "李小龙|王伟|张敏|刘洋|陈静|上海|北京",
    "Japanese": "田中太郎|山田花子|さとう|スズキ|東京|鈴木一郎",
    "Korean": "김철수|박영희|이민호|홍길동|서울",
}
PAGES = {
    "cp1251": ("Russian", "Ukrainian", "Serbian", "with dashes"),
    "kz1048": ("Kazakh", "Russian"),
    "ptcp154": ("Kazakh",),
    "cp1125": ("Russian", "Ukrainian"),
    "cp855": ("Russian", "Serbian"),
    "iso8859-4": ("Latvian", "Estonian", "Lithuanian"),
    "iso8859-13": ("Latvian", "Lithuanian"),
    "iso8859-15": ("French", "German", "Estonian"),
    "iso8859-16": ("Romanian", "Polish", "Hungarian"),
    "mac-romanian": ("Romanian",),
    "mac-croatian": ("Danish",),
    "cp737": ("Greek",),
    "mac-greek": ("Greek",),
    "cp862": ("Hebrew",),
    "iso8859-6": ("Arabic",),
    "iso2022-jp": ("Japanese",),
    "iso2022-kr": ("Korean",),
    "hz": ("Chinese",),
    "johab": ("Russian", "Korean"),
    "shift-jis-2004": ("French", "Danish"),
    "koi8-r": ("Russian",),
    "koi8-u": ("Ukrainian",),
    "cp866": ("Russian",),
    "mac-cyrillic": ("Russian", "Ukrainian", "with dashes"),
    "iso8859-5": ("Russian",),
    "cp1250": ("Polish", "Czech", "Hungarian", "German"),
    "iso8859-2": ("Polish", "Czech", "Hungarian"),
    "mac-latin2": ("Polish", "Czech"),
    "cp852": ("Polish", "Czech", "Hungarian"),
    "cp1252": ("German", "French", "Spanish", "Portuguese", "Swedish"),
    "mac-roman": ("German", "French", "Spanish", "Portuguese", "Swedish"),
    "cp850": ("German", "French", "Spanish", "Portuguese", "Swedish"),
    "cp1254": ("Turkish",),
    "cp1257": ("Lithuanian",),
    "cp1253": ("Greek",),
    "iso8859-7": ("Greek",),
    "cp1255": ("Hebrew",),
    "cp1256": ("Arabic",),
    "cp874": ("Thai",),
    "gb18030": ("Chinese",),
    "big5": (),
    "cp932": ("Japanese",),
    "euc-jp": ("Japanese",),
    "cp949": ("Korean",),
    "utf-8": tuple(NAMES),
    "utf-16-le": tuple(NAMES),
    "utf-16-be": tuple(NAMES),
}
WRITTEN = [(page, language) for page, languages in PAGES.items() for language in languages]


def table(names: list[str]) -> str:
    return "email;full name\r\n" + "".join(f"c{number}@example.org;{name}\r\n" for number, name in enumerate(names))


def names_read(content: bytes, encoding: str = "") -> list[str]:
    with csv_files.opened(io.BytesIO(content), encoding) as sheet:
        return [row.cells[1] for row in sheet.rows()]


# Never wrong without a word


@settings(max_examples=400, deadline=None)
@given(data=st.data(), written=st.sampled_from(WRITTEN))
def test_a_file_of_names_is_read_rightly_or_asked_about(data, written):
    page, language = written
    names = data.draw(st.lists(st.sampled_from(NAMES[language].split("|")), min_size=1, max_size=8))
    content = table(names).encode(page)
    found = encodings.find(io.BytesIO(content))
    assert found.encoding in ENCODINGS
    assert found.is_certain or page not in ("utf-8", "utf-16-le", "utf-16-be")
    if found.is_certain or page in ENCODINGS:
        assert names_read(content, "" if found.is_certain else page) == names


@pytest.mark.parametrize(
    ("page", "language"),
    [
        *(("cp1251", "Russian"), ("koi8-r", "Russian"), ("cp866", "Russian"), ("mac-cyrillic", "Russian")),
        *(("iso8859-5", "Russian"), ("cp1251", "Ukrainian"), ("cp1250", "Polish"), ("cp1250", "Czech")),
        *(("iso8859-2", "Polish"), ("cp1252", "German"), ("cp1252", "French"), ("cp1252", "Spanish")),
        *(("cp1252", "Portuguese"), ("mac-roman", "French"), ("cp850", "German"), ("cp1257", "Lithuanian")),
        *(("cp1253", "Greek"), ("cp1256", "Arabic"), ("utf-8", "Korean"), ("utf-16-le", "Russian")),
    ],
)
def test_where_there_are_some_names_there_is_no_doubt(page, language):
    names = NAMES[language].split("|")
    assert names_read(table(names).encode(page)) == names


@pytest.mark.parametrize("page", list(ENCODINGS))
def test_a_page_that_was_asked_for_is_believed(page):
    with suppress(UnicodeEncodeError):
        for language in NAMES:
            names = NAMES[language].split("|")
            assert names_read(table(names).encode(page), page) == names


def test_one_letter_is_not_enough_to_be_certain_of_anything():
    with pytest.raises(EncodingInDoubt):
        names_read(table(["Muñoz"]).encode("cp1252"))


def test_plain_ascii_is_certain():
    assert names_read(table(["Anna", "Bob"]).encode()) == ["Anna", "Bob"]


@pytest.mark.parametrize(
    ("page", "mark"),
    [
        *(("utf-16-le", "\ufeff"), ("utf-16-be", "\ufeff"), ("utf-32-le", "\ufeff"), ("utf-32-be", "\ufeff")),
        *(("utf-16-le", ""), ("utf-16-be", "")),
    ],
)
def test_wide_characters_are_seen_by_their_mark_or_by_their_zeros(page, mark):
    content = mark + table(["Анна", "Łukasz", "Bob"])
    assert names_read(content.encode(page)) == ["Анна", "Łukasz", "Bob"]


def test_names_are_known_however_they_are_written():
    assert [encodings.known(name) for name in ("windows-1251", "CP-1251", "1251", "KOI8_R", "latin2", "sjis")] == [
        *("cp1251", "", "cp1251", "koi8-r", "iso8859-2", ""),
    ]
    assert [encodings.known(name) for name in ("", "rot13", "idna", "x" * 10_000, "a\0b", "ü")] == [""] * 6


@pytest.mark.parametrize("page", ["koi8-r", "cp866", "mac-cyrillic", "utf-8"])
@pytest.mark.parametrize(("first", "second"), [(11, 1), (10, 10), (2_000, 1), (2_000, 2_000), (30_000, 2)])
def test_a_file_in_two_encodings_is_asked_about(page, first, second):
    names = NAMES["Russian"].split("|")
    content = table((names * 4_000)[:first]).encode("cp1251")
    content += "".join(f"d{number}@example.org;Анна Ким\r\n" for number in range(second)).encode(page)
    found = encodings.find(io.BytesIO(content))
    assert not found.is_certain


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "cp1252", "cp866", "mac-cyrillic"])
def test_a_line_in_utf_8_is_not_read_in_a_code_page_even_where_that_was_said(alice, encoding):
    import_clients(alice, io.BytesIO(table(["Анна Ким"]).encode()))
    names = NAMES["German" if encoding == "cp1252" else "Russian"].split("|")
    content = table(["Bob", *names]).encode(encoding) + "c0@example.org;Анна Ли\r\n".encode()
    refused = []
    report = import_clients(alice, io.BytesIO(content), encoding=encoding, on_refused=lambda *row: refused.append(row))
    assert (report.refused, refused[0][0]) == (1, len(names) + 3)
    assert "UTF-8" in refused[0][2] or encoding == "cp1252"  # in which some of the bytes are no letters at all
    assert Client.objects.get(email="c1@example.org").full_name == names[0]


@settings(max_examples=200, deadline=None)
@given(names=st.lists(st.sampled_from(COULD_BE_UTF8), min_size=1, max_size=4))
def test_what_was_said_is_believed_of_words_that_could_be_utf_8_as_well(names):
    assert names_read(table(names).encode("cp1251"), "cp1251") == names


# Bytes that mean nothing


def test_one_bad_byte_in_utf_8_spoils_its_row_alone_and_overwrites_nothing(alice):
    import_clients(alice, io.BytesIO(table(["Анна Мороз", "Борис Орлов"]).encode()))
    refused = []
    names = table(["Анна Морозова", "Борис Орлов", "Пётр"]).encode()
    broken = names.replace("Борис".encode(), "Бори".encode() + b"\xd1")
    report = import_clients(alice, io.BytesIO(broken), on_refused=lambda *row: refused.append(row))
    assert (report.created, report.updated, report.refused) == (1, 1, 1)
    [(line, cells, reason)] = refused
    assert (line, cells[0]) == (3, "c1@example.org")
    assert "UTF-8" in reason
    assert "“Бори\ufffd Орлов”" in reason
    assert Client.objects.get(email="c1@example.org").full_name == "Борис Орлов"


def test_the_spoilt_row_left_as_it_is_does_not_overwrite_a_good_name_either(alice):
    import_clients(alice, io.BytesIO(table(["Борис"]).encode()))
    report = import_clients(alice, io.BytesIO(table(["Бори\ufffd"]).encode()))
    assert (report.updated, report.refused) == (0, 1)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "iso2022-jp", "utf-8"])
@pytest.mark.parametrize("column", ["full name", "comment", "city"])
def test_letters_that_are_lost_overwrite_nothing_wherever_they_stood(alice, encoding, column):
    good, bad, marked = (
        f"email;{column}\nc0@example.org;{text}\nc1@example.org;B\n" for text in ("佐藤", "佐@藤", "佐\ufffd藤")
    )
    import_clients(alice, io.BytesIO(good.encode()))
    before = list(Client.objects.order_by("email").values("full_name", "comment", "attributes"))
    if encoding.startswith("utf"):
        cut = bad.encode(encoding).replace("@藤".encode(encoding), _half(encoding) + "藤".encode(encoding))
    else:
        cut = bad.encode(encoding).replace("@藤".encode(encoding), b"\x1b$B\x7f\x7f\x1b(B")
    for content, said in ((cut, encoding), (marked.encode(), "utf-8")):
        report = import_clients(alice, io.BytesIO(content), encoding=said)
        assert (report.refused, report.unchanged) == (1, 1)
    assert list(Client.objects.order_by("email").values("full_name", "comment", "attributes")) == before


def _half(encoding: str) -> bytes:
    """What no character is written as."""
    return {"utf-16-le": b"\x00\xdc", "utf-16-be": b"\xdc\x00", "utf-32-le": b"\x00\x00\x11\x00"}.get(encoding, b"\xff")


@settings(max_examples=100, deadline=None)
@given(
    bad=st.integers(0x80, 0xFF),
    row=st.integers(0, 8),
    place=st.floats(0, 1),
)
def test_a_bad_byte_anywhere_leaves_every_other_row_as_it_was(bad, row, place):
    names = NAMES["Russian"].split("|")
    lines = table(names).encode().split(b"\r\n")
    at = round(place * len(lines[row + 1]))
    lines[row + 1] = lines[row + 1][:at] + bytes([bad]) + lines[row + 1][at:]
    with csv_files.opened(io.BytesIO(b"\r\n".join(lines))) as sheet:
        found = list(sheet.rows())
    assert sheet.found.encoding == "utf-8"
    for number, read in enumerate(found):
        if number != row:
            assert read.cells[1] == names[number]
            assert not read.fault
    assert found[row].fault


@settings(max_examples=300, deadline=None)
@given(
    content=st.binary(max_size=80), encoding=st.sampled_from(["", *ENCODINGS]), start=st.sampled_from([b"", b"email\n"])
)
def test_no_bytes_make_the_reader_fail_in_any_encoding(content, encoding, start):
    with suppress(ImportRefused), csv_files.opened(io.BytesIO(start + content), encoding) as sheet:
        for row in sheet.rows():
            "".join(row.cells).encode()


def test_half_a_file_in_another_encoding_is_not_read_over():
    good, other = table(NAMES["Russian"].split("|")), table(NAMES["Russian"].split("|")).partition("\r\n")[2]
    content = good.encode() + other.encode("cp1251")
    with csv_files.opened(io.BytesIO(content), "utf-8") as sheet:
        rows = list(sheet.rows())
    assert [bool(row.fault) for row in rows] == [False] * 9 + [True] * 9


# At length


@pytest.mark.parametrize("filler", ["я", "Ы", "é", "ü ", "ж;"])
def test_a_file_without_measure_takes_no_longer_than_some_of_usual_ones(filler):
    encoding, name = ("cp1251", "Иван Петров") if filler.strip(" ;") in "яЫж" else ("cp1252", "José Müller")
    content = (filler * 20_000 + "\n").encode(encoding) * 200
    usual = f"{name};name@example.org\n".encode(encoding)
    in_time(seconds_of(content), 25 * seconds_of(usual * (len(content) // len(usual))))


def seconds_of(content):
    """Return the processor's seconds that a look at the file takes."""
    began = time.process_time()
    with suppress(EncodingInDoubt):
        encodings.find(io.BytesIO(content))
    return time.process_time() - began


def test_words_cost_more_the_stranger_they_are():
    costs = [plausibility.cost(words.split()) for words in ("Łukasz Wójcik", "£ukasz Wуjcik", "Јukasz Wуjcik")]
    assert costs == sorted(costs)
    assert costs[0] < costs[1]
