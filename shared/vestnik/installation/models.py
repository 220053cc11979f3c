"""What an installation knows of itself."""

from django.db import models
from django.db.models.functions import Now


class RealUse(models.Model):
    """Marks this database as in real use, since its first start with MODE=production. One row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    since = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="real_use_is_one_row")]
        default_permissions = ()
