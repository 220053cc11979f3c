"""Figures that are counted beforehand, and pages whose copies are to be fetched again."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Figures(models.Model):
    """What the home page counts, as of `counted_at`. One row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    mailings = models.PositiveBigIntegerField(default=0)
    active_mailings = models.PositiveBigIntegerField(default=0)
    clients = models.PositiveBigIntegerField(default=0)  # by address, across owners
    counted_at = models.DateTimeField(null=True)
    seconds = models.FloatField(default=0)  # that counting took: what takes long is done less often

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="figures_are_one_row")]


class StalePage(models.Model):
    """A public page that changed. Written with the change itself; deleted when nginx has fetched the page again."""

    path = models.CharField(max_length=300)  # as vestnik.front.public_urls makes it
    since = models.DateTimeField(db_default=Now())
    fetched_at = models.DateTimeField(null=True)  # first; a second follows (vestnik.front.invalidation)
