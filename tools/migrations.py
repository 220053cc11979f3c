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
from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import connection, migrations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import NOT_PROVIDED, CheckConstraint, Value
from django.db.models.functions import Now

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

HARMLESS = (
    *(migrations.AlterModelOptions, migrations.AlterModelManagers, migrations.AlterModelTableComment),
    *(migrations.RenameIndex, ValidateConstraint),
)
"""Operations that neither the version before nor those who wait for a lock notice."""

REFUSES = "the version before may write what it refuses, and it reads the whole table under a lock"
GONE = "the version before still asks for it; first a version that does not, then this one"
UNKNOWN = "whether the version before can live with it, and how long it locks what, only you know"


def faults(app: str, operations: Sequence[Operation], state: ProjectState) -> Iterator[str]:
    """Say what would hurt the version before, or lock a large table for long, in sentences.

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
        case migrations.AddField(name=name):
            return _of_new_field(_after(app, model, name, operation, state), is_large)
        case migrations.AlterField(name=name):
            old = state.apps.get_model(app, model)._meta.get_field(name)
            return _of_other_field(old, _after(app, model, name, operation, state), is_large)
        case (
            migrations.RemoveField()
            | migrations.DeleteModel()
            | migrations.RenameField()
            | migrations.RenameModel()
            | migrations.AlterModelTable()
        ):
            return GONE
        case migrations.AddConstraint() | migrations.AlterUniqueTogether() | migrations.AlterIndexTogether():
            return REFUSES
        case migrations.RemoveConstraint():
            removed = state.models[app, model].get_constraint_by_name(vars(operation)["name"])
            return "" if isinstance(removed, CheckConstraint) else "the version before may write ON CONFLICT by it"
        case AddIndexConcurrently():
            return ""
        case migrations.AddIndex():
            meanwhile = "this table is large, and nobody could write to it meanwhile: AddIndexConcurrently"
            return meanwhile if is_large else ""
        case migrations.RemoveIndex():
            return "this table is large, and the version before may walk it" if is_large else ""
    return "" if isinstance(operation, HARMLESS) else UNKNOWN


def _after(app: str, model: str, name: str, operation: Operation, state: ProjectState) -> Any:
    """Return the field as it is then, bound to its model: what it is in the database is known of such alone."""
    then = state.clone()
    operation.state_forwards(app, then)
    return then.apps.get_model(app, model)._meta.get_field(name)


def _of_new_field(field: Any, is_large: bool) -> str:
    if field.many_to_many:
        return ""
    if not field.null and field.db_default is NOT_PROVIDED:
        return "the version before writes rows without it: null=True or db_default"
    is_worked_out = hasattr(field.db_default, "resolve_expression") and not isinstance(field.db_default, (Value, Now))
    if is_large and (is_worked_out or field.db_check(connection)):
        return "this table is large, and all of it is read or rewritten under a lock"
    return _of_its_index(field, is_large)


def _of_other_field(old: Any, new: Any, is_large: bool) -> str:
    if old.null and not new.null:
        return "the version before writes rows without it"
    if old.column != new.column:
        return GONE
    if (new.unique and not old.unique) or _refers(new) not in (None, _refers(old)):
        return REFUSES
    if new.db_check(connection) not in (None, old.db_check(connection)):
        return REFUSES
    if _kind(old) != _kind(new) or _length(new) < _length(old):
        return "the version before writes what it was, and the whole table is rewritten under a lock"
    if old.db_default is not NOT_PROVIDED and new.db_default is NOT_PROVIDED and not new.null:
        return "the version before may write rows without it"
    return "" if old.unique or old.db_index else _of_its_index(new, is_large)


def _of_its_index(field: Any, is_large: bool) -> str:
    if is_large and (field.unique or field.db_index):
        return "this table is large, and its index is made under a lock: db_index=False, and AddIndexConcurrently"
    return ""


def _refers(field: Any) -> str | None:
    """Say to which table the field refers; None where it does not, or the database does not mind."""
    return field.related_model._meta.db_table if field.is_relation and field.db_constraint else None


def _kind(field: Any) -> str:
    kind = re.sub(r"\(\d+\)", "", field.db_type(connection) or "")
    return f"{kind} {field.db_parameters(connection).get('collation') or ''}"


def _length(field: Any) -> float:
    found = re.search(r"\((\d+)\)", field.db_type(connection) or "")
    return int(found[1]) if found else float("inf")


def found() -> Iterator[str]:
    """Yield the faults of all migrations that are to be looked at."""
    loader = MigrationLoader(None)
    for (app, name), migration in sorted(loader.disk_migrations.items()):
        if not type(migration).__module__.startswith("vestnik.") or name <= FIRST.get(app, ""):
            continue
        if getattr(migration, "safe_because", "").strip():
            continue
        for fault in faults(app, migration.operations, loader.project_state((app, name), at_end=False)):
            yield f"{app} {name}: {fault}"


def main() -> int:
    """Say what is dangerous; return the exit status."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "web.settings")
    django.setup()
    said = list(found())
    sys.stderr.write("".join(f"{fault}\n" for fault in said))
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
