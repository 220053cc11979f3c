from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class InstallationConfig(AppConfig):
    name = "vestnik.installation"
    label = "installation"

    def ready(self) -> None:
        from vestnik.installation import real_use

        pre_migrate.connect(real_use.refuse_a_trial, sender=self, dispatch_uid="vestnik.real_use.refuse")
        post_migrate.connect(real_use.note, sender=self, dispatch_uid="vestnik.real_use.note")
