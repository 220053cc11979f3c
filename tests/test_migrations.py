"""A migration runs while the version before still serves: what that could not live with is refused."""

import pytest
from django.contrib.postgres.functions import RandomUUID
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently, TrigramExtension
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models.functions import Now

from tools.migrations import FIRST, LARGE, faults, found


def field(model: str, *options: object, **kwargs: object) -> Operation:
    kind = options[0] if options else models.IntegerField
    return migrations.AddField(model, "extra", kind(**kwargs))  # type: ignore[operator]


def index(model: str) -> Operation:
    return migrations.AddIndex(model, models.Index(fields=["id"], name="an_index"))


def said(*operations: Operation) -> list[str]:
    loader = MigrationLoader(None)
    return list(faults("mailings", operations, loader.project_state(("mailings", FIRST["mailings"]))))


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (field("mailing"), "without it"),
        (field("mailing", default=1), "without it"),
        (field("delivery", null=True, db_index=True), "AddIndexConcurrently"),
        (field("delivery", models.UUIDField, null=True, unique=True), "AddIndexConcurrently"),
        (index("delivery"), "AddIndexConcurrently"),
        (migrations.RemoveField("mailing", "name"), "still asks for it"),
        (migrations.RenameField("mailing", "name", "label"), "still asks for it"),
        (migrations.RenameModel("Mailing", "Post"), "still asks for it"),
        (migrations.DeleteModel("Tally"), "still asks for it"),
        (migrations.AlterField("run", "filled_at", models.DateTimeField()), "without it"),
        (migrations.AlterField("mailing", "name", models.CharField(max_length=3)), "what it was"),
        (migrations.AlterField("mailing", "name", models.IntegerField()), "what it was"),
        (migrations.AlterField("mailing", "name", models.CharField(max_length=4000, db_collation="C")), "what it was"),
        (migrations.AlterField("mailing", "name", models.CharField(max_length=4000, unique=True)), "what it refuses"),
        (migrations.AlterField("tally", "sent", models.PositiveIntegerField(db_default=0)), "what it refuses"),
        (migrations.AlterField("run", "filled_at", models.DateTimeField(null=True, db_column="at")), "still asks for"),
        (
            migrations.AlterField("run", "mailing", models.ForeignKey("clients.Client", models.CASCADE, null=True)),
            "what it refuses",
        ),
        (field("delivery", models.PositiveIntegerField, null=True), "read or rewritten"),
        (field("delivery", models.UUIDField, db_default=RandomUUID()), "read or rewritten"),
        (migrations.RemoveConstraint("tally", "tally_once_per_hour"), "ON CONFLICT"),
        (migrations.RemoveIndex("delivery", "delivery_queued"), "may walk it"),
        (RemoveIndexConcurrently("delivery", "delivery_queued"), "may walk it"),
        (migrations.AlterOrderWithRespectTo("run", "mailing"), "only you know"),
        (TrigramExtension(), "only you know"),
        (
            migrations.AddConstraint("run", models.CheckConstraint(condition=models.Q(id__gt=0), name="positive")),
            "what it refuses",
        ),
        (migrations.RunSQL("SELECT 1"), "only you know"),
        (migrations.RunPython(lambda apps, editor: None), "only you know"),
        (migrations.SeparateDatabaseAndState([migrations.RunSQL("SELECT 1")]), "only you know"),
    ],
)
def test_what_the_version_before_could_not_live_with_is_refused(operation: Operation, why: str) -> None:
    (fault,) = said(operation)
    assert why in fault


@pytest.mark.parametrize(
    "operation",
    [
        field("delivery", null=True),
        field("delivery", db_default=0),
        field("run", null=True, db_index=True),
        field("run", models.ManyToManyField, to="clients.Client"),
        index("run"),
        AddIndexConcurrently("delivery", models.Index(fields=["id"], name="an_index")),
        migrations.AlterField("mailing", "name", models.CharField(max_length=4000)),
        migrations.AlterField("run", "filled_at", models.DateTimeField(null=True, help_text="When.")),
        migrations.AlterField("run", "mailing", models.ForeignKey("mailings.Mailing", models.CASCADE, null=True)),
        migrations.AlterField(
            "delivery", "worker", models.ForeignKey("mailings.Worker", models.CASCADE, null=True, db_index=False)
        ),
        field("delivery", models.DateTimeField, db_default=Now()),
        field("run", models.PositiveIntegerField, null=True),
        migrations.RemoveConstraint("run", "run_state"),
        migrations.RemoveIndex("run", "run_by_owner"),
        migrations.AlterModelOptions("run", {"ordering": ["id"]}),
    ],
)
def test_what_it_does_not_notice_is_let_through(operation: Operation) -> None:
    assert said(operation) == []


def test_a_new_table_may_be_made_as_one_likes() -> None:
    table = migrations.CreateModel("Fresh", [("id", models.BigAutoField(primary_key=True))])
    assert said(table, field("fresh"), index("fresh"), migrations.RemoveField("fresh", "extra")) == []


def test_every_migration_of_ours_is_safe_or_says_why() -> None:
    assert list(found()) == []


def test_migrations_that_say_nothing_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FIRST, "mailings", "0001_initial")
    assert any(fault.startswith("mailings 0003_remove_run_again_id: Remove field again_id") for fault in found())


def test_the_large_tables_are_there() -> None:
    from django.apps import apps

    assert {apps.get_model(*table)._meta.label_lower for table in LARGE} == {".".join(table) for table in LARGE}
    assert {app: MigrationLoader(None).get_migration(app, name).name for app, name in FIRST.items()} == FIRST
