"""The groups of an installation: migrate makes them, with exactly these permissions."""

from typing import Any

from django.apps import apps as installed

MANAGERS = "managers"
CONTENT_MANAGERS = "content managers"

PERMISSIONS: dict[str, frozenset[str]] = {
    MANAGERS: frozenset(
        {
            "accounts.view_user",
            "accounts.block_user",
            "mailings.view_mailing",
            "mailings.view_message",
            "mailings.view_run",
            "mailings.switch_mailing",
        }
    ),
    CONTENT_MANAGERS: frozenset(
        f"blog.{action}_{model}" for model in ("post", "picture") for action in ("view", "add", "change", "delete")
    ),
}


def make(apps: Any = installed, using: str = "default", **_signal: Any) -> None:
    """Make the groups, and give each its permissions and no other. Idempotent; called after every migrate."""
    group, permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    known = {
        f"{app_label}.{codename}": pk
        for pk, app_label, codename in permission.objects.using(using).values_list(
            "pk", "content_type__app_label", "codename"
        )
    }
    for name, wanted in PERMISSIONS.items():
        made, _new = group.objects.using(using).get_or_create(name=name)
        made.permissions.set([known[permission] for permission in wanted if permission in known])
