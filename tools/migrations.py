"""Migrations that the version before can live with, for it serves while they run: `python -m tools.migrations`.

Looks at the operations of every migration that came after those an installation first started with; asks no database.
What is dangerous in general and safe here says why, in its class: ``safe_because = "…"``. Exit code 1 for a fault.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import django
from django.db import connection, migrations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import NOT_PROVIDED

FIRST = {
    "accounts": "0005_audit_of_jobs",
    "blog": "0001_initial",
    "clients": "0002_imports",
    "front": "0001_initial",
    "mailings": "0005_dead_letters_by_run",
}
"""The last migrations before the first version that anybody upgrades from."""

LARGE = {
    *(("clients", "client"), ("clients", "membership"), ("mailings", "delivery"), ("mailings", "attempt")),
    ("mailings", "tally"),
}
"""Tables of millions of rows: what reads all of them under a lock keeps letters waiting."""

GONE = "the version before still asks for it; first a version that does not, then this one"
UNKNOWN = "whether the version before can live with it, and how long it locks what, only you know"


def faults(app: str, operations: Sequence[Operation], state: ProjectState) -> Iterator[str]:
    """What would hurt the version before, or lock a large table for long, in sentences.

    `state`: the models before the operations; after them when this is through.
    """
    made: set[str] = set()
    for operation in operations:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from faults(app, operation.database_operations, state.clone())
        else:
            name = str(getattr(operation, "model_name", getattr(operation, "name", ""))).lower()
            if isinstance(operation, migrations.CreateModel):
                made.add(name)
            elif name not in made and (fault := _fault(app, name, operation, state)):
                yield f"{operation.describe()}: {fault}."
        operation.state_forwards(app, state)


def _fault(app: str, model: str, operation: Operation, state: ProjectState) -> str:
    is_large = (app, model) in LARGE
    match operation:
        case migrations.AddField(field=field):
            return _of_new_field(field, is_large)
        case migrations.AlterField(name=name, field=field):
            return _of_other_field(state.models[app, model].get_field(name), field, is_large)
        case (
            migrations.RemoveField()
            | migrations.DeleteModel()
            | migrations.RenameField()
            | migrations.RenameModel()
            | migrations.AlterModelTable()
        ):
            return GONE
        case migrations.AddConstraint() | migrations.AlterUniqueTogether() | migrations.AlterIndexTogether():
            return "the version before may write what it refuses, and it reads the whole table under a lock"
        case migrations.AddIndex() if is_large and type(operation) is migrations.AddIndex:
            return "this table is large, and nobody could write to it meanwhile: AddIndexConcurrently"
        case migrations.RunSQL() | migrations.RunPython():
            return UNKNOWN
    return ""


def _of_new_field(field: Any, is_large: bool) -> str:
    if field.many_to_many:
        return ""
    if not field.null and field.db_default is NOT_PROVIDED:
        return "the version before writes rows without it: null=True or db_default"
    return _of_its_index(field, is_large)


def _of_other_field(old: Any, new: Any, is_large: bool) -> str:
    if old.null and not new.null:
        return "the version before writes rows without it"
    if _kind(old) != _kind(new) or _length(new) < _length(old):
        return "the version before writes what it was, and the whole table is written anew under a lock"
    if old.db_default is not NOT_PROVIDED and new.db_default is NOT_PROVIDED and not new.null:
        return "the version before may write rows without it"
    return "" if old.unique or old.db_index else _of_its_index(new, is_large)


def _of_its_index(field: Any, is_large: bool) -> str:
    if is_large and (field.unique or field.db_index):
        return "this table is large, and its index is made under a lock: db_index=False, and AddIndexConcurrently"
    return ""


def _kind(field: Any) -> str:
    return re.sub(r"\(\d+\)", "", field.db_type(connection) or "")


def _length(field: Any) -> float:
    found = re.search(r"\((\d+)\)", field.db_type(connection) or "")
    return int(found[1]) if found else float("inf")


def found() -> Iterator[str]:
    """The faults of all migrations that are to be looked at."""
    loader = MigrationLoader(None)
    for (app, name), migration in sorted(loader.disk_migrations.items()):
        if not type(migration).__module__.startswith("vestnik.") or name <= FIRST.get(app, ""):
            continue
        if getattr(migration, "safe_because", "").strip():
            continue
        if name.startswith("0001_"):
            continue  # a new app's tables are nobody's yet
        for fault in faults(app, migration.operations, loader.project_state((app, name), at_end=False)):
            yield f"{app} {name}: {fault}"


def main() -> int:
    """Says what is dangerous; returns the exit status."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "web.settings")
    django.setup()
    said = list(found())
    sys.stderr.write("".join(f"{fault}\n" for fault in said))
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
