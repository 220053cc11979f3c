"""Imports in the background: taken, done, refused, and begun again after whatever happened."""

import csv
import io
import sys
import tracemalloc
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError
from django.urls import reverse
from django.utils import timezone

from vestnik import jobs
from vestnik.accounts.models import User
from vestnik.clients import import_jobs, importing, uploads, verbs
from vestnik.clients.import_jobs import begin_import, run_import, take_file
from vestnik.clients.models import Client, ClientImport, ClientList, ImportPiece
from vestnik.clients.uploads import PIECE, PieceKind
from vestnik.testing.factories import make_import

GOOD = "email;ФИО;Город\nann@example.org;Анна;Осло\nbob@example.org;Борис;\n"
MB = 1 << 20


def upload(owner, text=GOOD, encoding="utf-8", **options):
    return make_import(owner, [text.encode(encoding)], "clients.csv", **options)


def imported(owner, text=GOOD, encoding="utf-8", **options):
    work = upload(owner, text, encoding, **options)
    run_import(work.pk)
    work.refresh_from_db()
    return work


def refused_as_a_whole(owner):
    """An import that nobody said the encoding of, as the version before took them, and that is none for certain."""
    work = make_import(owner, ["email;name\nlukasz@example.org;Łukasz\n".encode("cp1250")])
    ClientImport.objects.filter(pk=work.pk).update(encoding="", delimiter="")
    run_import(work.pk)
    work.refresh_from_db()
    return work


def counts(work):
    return (work.created, work.updated, work.unchanged, work.refused, work.listed)


def refused_rows(work):
    content = b"".join(uploads.read(work, PieceKind.REFUSED))
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=";"))


def addresses(owner):
    return sorted(Client.objects.filter(owner=owner).values_list("email", flat=True))


# Files in pieces


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 17])
def test_a_file_comes_back_as_it_was(alice, size):
    content = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    work = upload(alice)
    chunks = [content[start : start + 700_001] for start in range(0, size, 700_001)]
    assert uploads.store(work, PieceKind.REFUSED, chunks) == size
    assert b"".join(uploads.read(work, PieceKind.REFUSED)) == content
    assert max([len(piece) for piece in uploads.read(work, PieceKind.REFUSED)], default=0) <= PIECE
    with uploads.opened(work, PieceKind.REFUSED) as file:
        assert file.read() == content
        file.seek(0)
        assert file.read(10) == content[:10]


@pytest.mark.skipif(sys.platform != "linux", reason="where a file lies is told by /proc")
def test_files_wait_where_there_is_room_for_them(alice, settings, tmp_path):
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    with uploads.opened(upload(alice), PieceKind.SOURCE) as file:
        assert Path(f"/proc/self/fd/{file.fileno()}").readlink().parent == tmp_path
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        imported(alice)


def test_no_file_is_in_memory_as_a_whole(alice):
    work = upload(alice)
    tracemalloc.start()
    try:
        uploads.store(work, PieceKind.REFUSED, (bytes(PIECE) for _number in range(30)))
        with uploads.opened(work, PieceKind.REFUSED) as file:
            assert file.seek(0, io.SEEK_END) == 30 * PIECE
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * PIECE


# Taking a file


def test_an_upload_waits_with_its_name_and_size(alice, django_capture_on_commit_callbacks, monkeypatch):
    hints = []
    monkeypatch.setattr(jobs.Job, "enqueue", lambda job, *args, **_kwargs: hints.append((job.name, *args)))
    with django_capture_on_commit_callbacks(execute=True):
        work = make_import(alice, SimpleUploadedFile("клиенты.csv", GOOD.encode()), "клиенты\n.csv")
    assert (work.state, work.file_name, work.size) == ("queued", "клиенты.csv", len(GOOD.encode()))
    assert work.created_at is not None
    assert b"".join(uploads.read(work, PieceKind.SOURCE)) == GOOD.encode()
    assert hints == [("import_clients", work.pk)]
    assert not Client.objects.exists()


def test_of_a_long_file_name_the_end_is_kept(alice):
    work = make_import(alice, [b"email\n"], "я" * 300 + ".csv")
    assert len(work.file_name) == 200
    assert work.file_name.endswith("я.csv")


@pytest.mark.parametrize(
    ("uploaded", "sentence"),
    [
        (SimpleUploadedFile("a.csv", b"x" * (2 * MB + 1)), "The file has 3 MB; at most 2 MB can be imported at once."),
        ([b"x" * MB, b"x" * MB, b"x"], "The file is too large; at most 2 MB can be imported at once."),
        (SimpleUploadedFile("a.csv", b""), "The file is empty."),
        ([], "The file is empty."),
    ],
)
def test_a_file_without_or_beyond_measure_is_refused_and_not_kept(alice, settings, uploaded, sentence):
    settings.IMPORT_LIMIT_BYTES = 2 * MB
    with pytest.raises(ValidationError) as refusal:
        make_import(alice, uploaded, "a.csv")
    assert refusal.value.message_dict == {"file": [sentence]}
    assert not ClientImport.objects.exists()
    assert not ImportPiece.objects.exists()


def test_a_file_may_be_as_large_as_the_limit(alice, settings):
    settings.IMPORT_LIMIT_BYTES = 2 * MB
    half = b"email\n" + b"x" * (MB - 7) + b"\n"
    assert take_file(alice, [half, half], "a.csv").size == 2 * MB
    assert take_file(alice, SimpleUploadedFile("a.csv", 2 * half), "a.csv").size == 2 * MB


@pytest.mark.parametrize("name", ["a" * 201, "a\nb"])
def test_a_name_that_no_list_can_have_is_refused_at_once(alice, name):
    with pytest.raises(ValidationError) as refusal:
        upload(alice, list_name=name)
    assert list(refusal.value.message_dict) == ["list_name"]


def test_a_list_is_the_owners_and_is_either_chosen_or_named(alice, bob):
    with pytest.raises(ValidationError) as refusal:
        upload(alice, client_list=verbs.create_list(bob, "Foes"))
    assert list(refusal.value.message_dict) == ["client_list"]
    with pytest.raises(ValidationError) as refusal:
        upload(alice, client_list=verbs.create_list(alice, "Friends"), list_name="More friends")
    assert list(refusal.value.message_dict) == ["list_name"]


# Doing it


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
def test_a_file_becomes_clients_on_a_new_list(alice, encoding):
    work = imported(alice, encoding=encoding, list_name=" Friends ")
    assert (work.state, work.reason, counts(work)) == ("done", "", (2, 0, 0, 0, 2))
    assert addresses(alice) == ["ann@example.org", "bob@example.org"]
    assert Client.objects.get(email="ann@example.org").full_name == "Анна"
    assert (work.client_list.name, work.client_list.clients.count()) == ("Friends", 2)
    assert alice.has_perm("clients.change_clientlist", work.client_list)
    assert work.finished_at >= work.created_at
    assert not work.pieces.exists()


def test_a_list_of_that_name_is_used(alice):
    friends = verbs.create_list(alice, "Friends")
    assert imported(alice, list_name="Friends").client_list == friends
    assert friends.clients.count() == 2


def test_the_chosen_list_is_filled(alice):
    friends = verbs.create_list(alice, "Friends")
    verbs.create_client(alice, "ann@example.org", [friends])
    work = imported(alice, client_list=friends)
    assert (work.client_list, counts(work)) == (friends, (1, 1, 0, 0, 1))


def test_a_chosen_list_that_was_deleted_meanwhile_costs_no_client(alice):
    friends = verbs.create_list(alice, "Friends")
    work = upload(alice, client_list=friends)
    friends.delete()
    run_import(work.pk)
    work.refresh_from_db()
    assert (work.state, work.client_list, counts(work)) == ("done", None, (2, 0, 0, 0, 0))


def test_refused_rows_are_kept_as_a_file_without_formulas(alice):
    work = imported(alice, GOOD + 'nobody;"=cmd|calc";Осло\n+7 999;@x;\t-1\n')
    assert (work.state, counts(work)) == ("done", (2, 0, 0, 2, 0))
    header, first, second = refused_rows(work)
    assert header == ["refused line", "refused because", "email", "ФИО", "Город"]
    assert first[0] == "4"
    assert "@" in first[1]
    assert first[2:] == ["nobody", "'=cmd|calc", "Осло"]
    assert second[2:] == ["'+7 999", "'@x", "'\t'-1"]
    assert b"".join(uploads.read(work, PieceKind.REFUSED)).startswith(b"\xef\xbb\xbf")


def test_refused_rows_are_told_of_in_their_owners_language_and_read_again_in_any(alice):
    alice.language = "ru"
    alice.save()
    work = imported(alice, GOOD + "cat.example.org;Cat;Oslo\n")
    header, _row = refused_rows(work)
    assert header[:2] == ["отклонённая строка", "причина отказа"]
    alice.language = "en"
    alice.save()
    mended = b"".join(uploads.read(work, PieceKind.REFUSED)).replace(b"cat.", b"cat@").decode("utf-8-sig")
    imported(alice, mended)
    assert Client.objects.get(email="cat@example.org").attributes == {"Город": "Oslo"}


def test_the_refused_rows_mended_can_be_imported(alice):
    work = imported(alice, GOOD + "cat.example.org;=Cat;Oslo\n")
    mended = b"".join(uploads.read(work, PieceKind.REFUSED)).replace(b"cat.", b"cat@")
    again = make_import(alice, [mended], "mended.csv")
    run_import(again.pk)
    client = Client.objects.get(email="cat@example.org")
    assert (client.full_name, client.attributes) == ("=Cat", {"Город": "Oslo"})


def test_refused_rows_of_many_pieces_are_all_kept(alice):
    rows = "".join(f"nobody{n};{'x' * 1000};\n" for n in range(2500))
    work = imported(alice, GOOD + rows)
    assert work.pieces.count() == 3
    assert [row[2] for row in refused_rows(work)[1:]] == [f"nobody{n}" for n in range(2500)]


def test_a_file_of_refused_rows_only_is_done_and_makes_no_list(alice):
    work = imported(alice, "email;x\nbad;\nworse;\n", list_name="Friends")
    assert (work.state, work.client_list, counts(work)) == ("done", None, (0, 0, 0, 2, 0))
    assert len(refused_rows(work)) == 3
    assert not ClientList.objects.exists()


def test_a_file_of_a_header_only_is_done(alice):
    work = imported(alice, "email\n", list_name="Friends")
    assert (work.state, counts(work)) == ("done", (0, 0, 0, 0, 0))
    assert not ClientList.objects.exists()
    assert not ImportPiece.objects.exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\n \r\n", "empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "binary"),
        (b"email\nann@example.org\n" + b"x" * 3_000_000, "longer than a megabyte"),
    ],
)
def test_what_is_no_table_is_refused_at_once_and_not_kept(alice, content, sentence):
    with pytest.raises(ValidationError) as refusal:
        take_file(alice, [content], "a.csv", list_name="Friends")
    [said] = refusal.value.message_dict["file"]
    assert sentence in said
    assert not ClientImport.objects.exists()
    assert not ImportPiece.objects.exists()


def test_a_file_waits_for_its_owners_word_and_nothing_is_imported_before(alice):
    work = take_file(alice, [GOOD.encode()], "a.csv")
    assert (work.state, work.encoding, work.delimiter, work.in_doubt) == ("asked", "utf-8", ";", False)
    run_import(work.pk)
    assert not Client.objects.exists()
    begin_import(work, "utf-8", ";")
    begin_import(work, "utf-8", ";")
    run_import(work.pk)
    assert Client.objects.count() == 2
    begin_import(work, "utf-8", ";")
    work.refresh_from_db()
    assert work.state == "done"


def test_a_file_is_read_as_its_owner_says(alice):
    work = take_file(alice, ["email|name\nlukasz@example.org|Łukasz;Wójcik\n".encode("cp1250")], "a.csv")
    assert (work.in_doubt, work.delimiter) == (True, "|")
    begin_import(work, "cp1250", "|")
    run_import(work.pk)
    assert Client.objects.get().full_name == "Łukasz;Wójcik"


@pytest.mark.parametrize(
    ("encoding", "delimiter", "field"),
    [
        *(("", ";", "encoding"), ("rot13", ";", "encoding"), ("utf-8", "x", "delimiter")),
        *(("utf-16-le", "", "encoding"), ("utf-32-be", "", "encoding")),
    ],
)
def test_a_file_cannot_be_read_just_anyhow(alice, encoding, delimiter, field):
    work = take_file(alice, [GOOD.encode()], "a.csv")
    with pytest.raises(ValidationError) as refusal:
        begin_import(work, encoding, delimiter)
    assert list(refusal.value.message_dict) == [field]
    work.refresh_from_db()
    assert work.state == "asked"


def test_a_file_without_a_column_of_addresses_is_kept_to_be_read_otherwise(alice):
    work = take_file(alice, [b"name,city\nAnn,Oslo\n"], "a.csv")
    assert (work.state, work.delimiter) == ("asked", "")
    with pytest.raises(ValidationError, match="“name”, “city”"):
        import_jobs.first_look(work, "utf-8", "")


def test_a_file_that_was_not_confirmed_can_be_forgotten_and_one_that_was_cannot(alice):
    work, begun = take_file(alice, [GOOD.encode()], "a.csv"), make_import(alice, [GOOD.encode()])
    import_jobs.drop_file(work)
    import_jobs.drop_file(work)
    with pytest.raises(ValidationError, match="is not forgotten"):
        import_jobs.drop_file(begun)
    assert list(ClientImport.objects.all()) == [begun]


def test_files_that_nobody_confirms_are_kept_for_a_day(alice):
    old, new = (take_file(alice, [GOOD.encode()], "a.csv") for _number in range(2))
    day = timedelta(days=1)
    ClientImport.objects.filter(pk=old.pk).update(created_at=timezone.now() - day - timedelta(minutes=1))
    ClientImport.objects.filter(pk=new.pk).update(created_at=timezone.now() - day + timedelta(minutes=1))
    import_jobs.prune_files()
    assert list(ClientImport.objects.all()) == [new]


@pytest.mark.parametrize("size", [PIECE - 20, PIECE, PIECE + 20, 2 * PIECE + 20])
def test_a_look_at_a_long_file_takes_its_beginning_alone(alice, size):
    line = "ann@example.org,Анна\n".encode()
    work = take_file(alice, [b"email,name\n" + line * (size // len(line))], "a.csv")
    beginning = uploads.beginning(work, PieceKind.SOURCE)
    assert len(beginning) <= PIECE
    assert beginning.endswith(b"\n")
    assert len(import_jobs.first_look(work, "utf-8", ",").rows) == 10


def test_an_import_that_the_version_before_took_is_not_guessed_at(alice):
    work = refused_as_a_whole(alice)
    assert (work.state, "not certain" in work.reason) == ("refused", True)
    assert not Client.objects.exists()


def test_what_is_to_be_known_of_an_import_is_kept_with_it(alice):
    work = imported(alice, "email;status\nann@example.org;active\nANN@example.org;unsubscribed\n")
    assert (work.created, work.repeated) == (1, 1)
    assert "“status”" in work.remarks


def test_what_a_blocked_owner_or_a_manager_uploaded_is_refused(alice, maria):
    waiting = upload(alice), upload(maria)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    for work in waiting:
        run_import(work.pk)
        work.refresh_from_db()
        assert work.state == "refused"
        assert "may own nothing" in work.reason
    assert not Client.objects.exists()
    assert not ImportPiece.objects.exists()


# Once, whatever happens


def test_an_import_that_is_over_is_not_done_again(alice):
    work = imported(alice)
    Client.objects.all().delete()
    run_import(work.pk)
    assert not Client.objects.exists()
    refused = refused_as_a_whole(alice)
    run_import(refused.pk)
    refused.refresh_from_db()
    assert refused.tries == 1


def test_an_import_that_is_gone_is_nobodys_business(alice):
    work = upload(alice)
    ClientImport.objects.all().delete()
    run_import(work.pk)
    assert not Client.objects.exists()


def test_a_failure_leaves_nothing_and_the_next_try_does_it_all(alice, monkeypatch):
    work = upload(alice, GOOD + "bad;;\n", list_name="Friends")
    with monkeypatch.context() as patch:
        patch.setattr(importing, "MERGE_MEMBERSHIPS", "SELECT 1 / (%s - %s) FROM nowhere")
        with pytest.raises(DatabaseError, match="nowhere"):
            run_import(work.pk)
    work.refresh_from_db()
    assert (work.state, counts(work)) == ("running", (0, 0, 0, 0, 0))
    assert not Client.objects.exists()
    assert not ClientList.objects.exists()
    assert not work.pieces.filter(kind="refused").exists()
    run_import(work.pk)
    work.refresh_from_db()
    assert (work.state, counts(work)) == ("done", (2, 0, 0, 1, 2))
    assert len(refused_rows(work)) == 2


def test_an_import_that_breaks_off_every_time_is_given_up(alice, monkeypatch):
    work = upload(alice)
    monkeypatch.setattr(importing, "MERGE_CLIENTS", "SELECT %s FROM nowhere")
    for _try in range(import_jobs.TRIES):
        with pytest.raises(DatabaseError):
            run_import(work.pk)
    run_import(work.pk)
    work.refresh_from_db()
    assert (work.state, work.reason) == ("refused", "The import was broken off 3 times.")
    assert not ImportPiece.objects.exists()


def test_where_no_file_can_be_put_nothing_is_imported(alice, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    work = upload(alice, GOOD + "bad;;\n")
    monkeypatch.setattr(import_jobs.Rejected, "add", full)  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="No space"):
        run_import(work.pk)
    assert not Client.objects.exists()


# Progress


def test_progress_tells_how_many_rows_were_read(alice, valkey):
    work = upload(alice, "email\n" + "".join(f"c{n}@example.org\n" for n in range(12_000)))
    assert import_jobs.progress(work.pk) is None
    run_import(work.pk)
    assert import_jobs.progress(work.pk) == 10_000


def test_a_cache_that_is_away_breaks_neither_the_import_nor_the_page(alice, settings):
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:9/0"}}
    work = imported(alice, "email\n" + "".join(f"c{n}@example.org\n" for n in range(12_000)))
    assert (work.state, work.created) == ("done", 12_000)
    assert import_jobs.progress(work.pk) is None


# What is kept, and who sees it


def test_refused_rows_are_kept_for_a_week_and_what_an_import_did_for_ever(alice):
    old, new = (imported(alice, f"email\nann{n}@example.org\nbad\n") for n in range(2))
    waiting = upload(alice)
    week = timedelta(days=7)
    ClientImport.objects.filter(pk=old.pk).update(finished_at=timezone.now() - week - timedelta(minutes=1))
    ClientImport.objects.filter(pk=new.pk).update(finished_at=timezone.now() - week + timedelta(minutes=1))
    import_jobs.prune_files()
    assert not old.pieces.exists()
    assert new.pieces.exists()
    assert waiting.pieces.exists()
    old.refresh_from_db()
    assert counts(old) == (1, 0, 0, 1, 0)


def test_an_import_is_seen_by_its_owner_only(alice, bob, maria):
    work = upload(alice)
    assert list(ClientImport.objects.visible_to(alice)) == [work]
    assert not ClientImport.objects.visible_to(bob).exists()
    assert not ClientImport.objects.visible_to(maria).exists()


def test_imports_go_with_their_owner(alice):
    imported(alice, GOOD + "bad;;\n")
    upload(alice)
    alice.delete()
    assert not ClientImport.objects.exists()
    assert not ImportPiece.objects.exists()


def test_the_admin_site_shows_imports_and_changes_none(alice, client):
    works = [imported(alice, GOOD + "bad;;\n"), refused_as_a_whole(alice), upload(alice)]
    client.force_login(User.objects.create_superuser("root@example.org", "a long password"))
    listing = reverse("admin:clients_clientimport_changelist")
    assert client.get(listing).context["cl"].result_count == 3
    for work in works:
        page = client.get(reverse("admin:clients_clientimport_change", args=[work.pk]))
        assert page.status_code == 200
        assert "_save" not in page.content.decode()
    assert client.get(reverse("admin:clients_clientimport_add")).status_code == 403
    assert client.post(reverse("admin:clients_clientimport_delete", args=[works[0].pk])).status_code == 403
