"""How forms are drawn."""

from django_bootstrap5 import renderers


class FieldRenderer(renderers.FieldRenderer):
    """Marks what is wrong; what is not is not praised: a password that is typed again was not found good."""

    def get_server_side_validation_classes(self) -> str:
        return "is-invalid" if self.field_errors else ""
