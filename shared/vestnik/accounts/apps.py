from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "vestnik.accounts"
    verbose_name = _("accounts")

    def ready(self) -> None:
        from vestnik.accounts import groups

        # By the signal of the last app of the core: the permissions of all of them are made by then.
        post_migrate.connect(groups.make, sender=apps.get_app_config("front"), dispatch_uid="vestnik.groups")
