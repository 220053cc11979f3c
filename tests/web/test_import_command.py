"""`import_clients`, the command: what it prints, what it leaves beside the file, how it ends."""

import csv
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.core.management import CommandError, call_command

from vestnik.clients import verbs
from vestnik.clients.models import Client, ClientList

GOOD = "email;ФИО;Город\nann@example.org;Анна;Осло\nbob@example.org;Борис;\n"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "clients.csv"


def run(file, *options, owner="alice@example.org"):
    return call_command("import_clients", str(file), "--owner", owner, *options)


def rejected(file):
    with file.with_suffix(".rejected.csv").open(encoding="utf-8-sig", newline="") as found:
        return list(csv.reader(found, delimiter=";"))


def test_clients_are_imported_and_counted(alice, file, capsys):
    file.write_text(GOOD, "cp1251")
    run(file)
    assert set(Client.objects.values_list("owner", "email")) == {
        (alice.pk, "ann@example.org"),
        (alice.pk, "bob@example.org"),
    }
    assert capsys.readouterr().out == "2 created, 0 updated, 0 unchanged.\n"
    assert [path.name for path in file.parent.iterdir()] == ["clients.csv"]


def test_what_was_read_is_said(alice, file, capsys):
    file.write_text("email;ФИО;Город;status\nann@example.org;Анна;Осло;active\nANN@example.org;;;\n", "utf-8")
    run(file)
    said = capsys.readouterr()
    for words in (
        "Read as utf-8, separated by ;",
        "ФИО: full name",
        "attribute Город",
        "ann@example.org | Анна",
    ):
        assert words in said.err
    assert "Rows whose address another row has, too: 1." in said.out
    assert "“status”" in said.out


def test_in_doubt_about_the_encoding_nothing_is_imported_until_it_is_said(alice, file, capsys):
    file.write_text("email;name\nlukasz@example.org;Łukasz Wójcik\n", "cp1250")
    with pytest.raises(CommandError, match="--encoding cp1250") as failure:
        run(file)
    assert failure.value.returncode == 2
    assert not Client.objects.exists()
    assert "Łukasz Wójcik" in capsys.readouterr().err
    run(file, "--encoding", "Windows-1250")
    assert Client.objects.get().full_name == "Łukasz Wójcik"


@pytest.mark.parametrize(("separator", "between"), [("|", "|"), ("tab", "\t"), ("\\t", "\t"), (";", ";")])
def test_the_separator_can_be_said(alice, file, separator, between):
    file.write_text(f"email{between}name\nann@example.org{between}A,B\n")
    run(file, "--separator", separator)
    assert Client.objects.get().full_name == "A,B"


def test_the_owner_is_found_however_the_address_is_written(alice, file):
    file.write_text(GOOD)
    run(file, owner=" ALICE@Example.org")
    assert Client.objects.filter(owner=alice).count() == 2


def test_the_list_is_made_if_there_is_none_and_used_if_there_is(alice, bob, file, capsys):
    verbs.create_list(bob, "Friends")
    file.write_text(GOOD)
    run(file, "--list", " Friends ")
    run(file, "--list", "Friends")
    assert ClientList.objects.get(owner=alice).clients.count() == 2
    assert "2 put on the list “Friends”" in capsys.readouterr().out


def test_refused_rows_go_with_their_reasons_to_a_file_beside_the_input(alice, file, capsys):
    file.write_text(GOOD + 'nobody;"=cmd|calc"\n+7 999;@x;\t-1\n')
    run(file)
    header, first, second = rejected(file)
    assert header == ["refused line", "refused because", "email", "ФИО", "Город"]
    assert first[0] == "4"
    assert "@" in first[1]
    assert first[2:] == ["nobody", "'=cmd|calc"]
    assert second[2:] == ["'+7 999", "'@x", "'\t'-1"]
    assert "Rows refused: 2; see" in capsys.readouterr().out


def test_the_file_of_refused_rows_mended_can_be_imported(alice, file):
    file.write_text(GOOD + "cat.example.org;=Cat;Oslo\n")
    run(file)
    mended = file.with_suffix(".rejected.csv")
    mended.write_text(mended.read_text("utf-8-sig").replace("cat.", "cat@"), "utf-8-sig")
    run(mended)
    client = Client.objects.get(email="cat@example.org")
    assert (client.full_name, client.attributes) == ("=Cat", {"Город": "Oslo"})


def test_an_older_file_of_refused_rows_goes_when_all_is_well(alice, file):
    file.write_text(GOOD + "bad;;\n")
    run(file)
    file.write_text(GOOD)
    run(file)
    assert [path.name for path in file.parent.iterdir()] == ["clients.csv"]


def test_when_every_row_is_refused_the_command_fails_and_makes_no_list(alice, file):
    file.write_text("email\nbad\nworse\n")
    with pytest.raises(CommandError, match="Every row was refused") as failure:
        run(file, "--list", "Friends")
    assert failure.value.returncode == 1
    assert not ClientList.objects.exists()
    assert len(list(file.parent.iterdir())) == 2


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        (None, [], "There is no file"),
        (b"", [], "empty"),
        (b"\x89PNG\0\0", [], "binary"),
        (b"name\nAnn\n", [], "“name”"),
        (GOOD.encode(), ["--owner", "nobody@example.org"], "There is no user nobody@example.org"),
        (GOOD.encode(), ["--encoding", "rot13"], "--encoding: No encoding 'rot13'"),
        (GOOD.encode(), ["--separator", "x"], "--separator: "),
        (GOOD.encode(), ["--owner", "nobody"], "There is no user nobody"),
        (GOOD.encode(), ["--list", " "], "--list: "),
        (GOOD.encode(), ["--list", "a\nb"], "--list: Line breaks"),
        (GOOD.encode(), ["--list", "a" * 201], "--list: "),
    ],
)
def test_bad_usage_is_a_sentence_and_changes_nothing(alice, file, content, options, sentence):
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CommandError, match=sentence) as failure:
        run(file, *options)
    assert failure.value.returncode == 2
    assert not Client.objects.exists()
    assert not ClientList.objects.exists()


def test_a_directory_is_no_file(alice, tmp_path):
    with pytest.raises(CommandError, match="There is no file"):
        run(tmp_path)


def test_a_manager_may_own_nothing(maria, file):
    file.write_text(GOOD)
    with pytest.raises(CommandError, match="may own nothing"):
        run(file, owner="maria@example.org")


def test_where_no_file_can_be_put_nothing_is_imported(alice, file, monkeypatch):
    file.write_text(GOOD + "bad;;\n")
    monkeypatch.setattr("web.management.commands.import_clients.Rejected.add", full)
    with pytest.raises(CommandError, match=r"No space left.*"):
        run(file)
    assert not Client.objects.exists()


def full(*_args):
    raise OSError(28, "No space left on device")


def pipe(text, monkeypatch, *options):
    """The command with this on its standard input, which cannot be read twice."""
    reading, writing = os.pipe()

    def write():
        with suppress(BrokenPipeError), os.fdopen(writing, "wb") as into:
            into.write(text.encode())

    with ThreadPoolExecutor(1) as thread, os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        thread.submit(write)
        run("-", *options)


def test_a_file_comes_by_standard_input_and_its_refused_rows_go_to_standard_error(alice, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    pipe(GOOD + "nobody;Без адреса;\n", monkeypatch, "--list", "Friends")
    said = capsys.readouterr()
    assert said.out.startswith("Read as utf-8, separated by ;\n")
    assert said.out.splitlines()[-3:] == [
        "2 created, 0 updated, 0 unchanged.",
        "2 put on the list “Friends”.",
        "Rows refused: 1; see standard error.",
    ]
    header, row = csv.reader(said.err.splitlines(), delimiter=";")
    assert header == ["refused line", "refused because", "email", "ФИО", "Город"]
    assert (row[0], row[2:]) == ("4", ["nobody", "Без адреса", ""])
    assert ClientList.objects.get(owner=alice).clients.count() == 2
    assert not list(tmp_path.iterdir())
    pipe(said.err.replace("nobody", "cat@example.org"), monkeypatch)
    assert Client.objects.get(email="cat@example.org").full_name == "Без адреса"


def test_of_a_good_file_nothing_goes_to_standard_error(alice, monkeypatch, capsys):
    pipe(GOOD, monkeypatch)
    assert capsys.readouterr().err == ""


def test_standard_input_has_a_bound(alice, monkeypatch, settings):
    settings.IMPORT_LIMIT_BYTES = 1 << 20
    with pytest.raises(CommandError, match=r"larger than 1 MB \(IMPORT_LIMIT_MB\)") as refusal:
        pipe(GOOD * 20_000, monkeypatch)
    assert refusal.value.returncode == 2
    assert not Client.objects.exists()


def test_where_all_rows_of_standard_input_are_refused_they_are_there_to_see(alice, monkeypatch, capsys):
    with pytest.raises(CommandError, match=r"^Every row was refused \(1\); see standard error\."):
        pipe("email\nnobody\n", monkeypatch)
    assert "nobody" in capsys.readouterr().err
