"""Create a mailing: a door to the core's verbs."""

import sys
import zoneinfo
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS
from django.core.management import BaseCommand
from django.db import models, transaction

from vestnik import addresses, clock, fields
from vestnik.accounts.models import User
from vestnik.clients.models import Client, ClientList
from vestnik.command_line import bad_usage, find_owner, refusals
from vestnik.mailings import calendar, notices, verbs
from vestnik.mailings.models import Mailing

LARGEST_FILE = 10_000_000
NAME_LENGTH = 200
OPTIONS = {"periodicity": "--every", "time_zone": "--timezone", "lists": "--list", "clients": "--client"} | {
    field: f"--{field.replace('_', '-')}"
    for field in ("subject", "text", "html", "name", "start", "end", "sender_name")
}


class Command(BaseCommand):
    help = (
        "Create a message and a mailing that sends it, and print the mailing's id. It is launched at once if its"
        " start has come. Moments are ISO 8601 (2030-01-31T09:00), in the mailing's time zone unless they carry an"
        " offset. Exit code 2 and a sentence: nothing was created."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--owner", metavar="EMAIL", required=True)
        parser.add_argument("--subject", metavar="S", required=True)
        parser.add_argument("--text", metavar="FILE", help="the plain text, in UTF-8; - reads standard input")
        parser.add_argument("--html", metavar="FILE", help="the HTML, in UTF-8; either or both of the two")
        parser.add_argument("--list", metavar="NAME", action="append", default=[], help="repeatable")
        parser.add_argument("--client", metavar="EMAIL", action="append", default=[], help="repeatable")
        parser.add_argument("--name", metavar="N", help="the mailing's name; the subject if not given")
        parser.add_argument("--start", metavar="T", help="now if not given")
        parser.add_argument(
            "--end", metavar="T", help="a day after the start if not given; a periodic mailing wants it"
        )
        parser.add_argument("--every", choices=Mailing.Periodicity.values, default="once")
        parser.add_argument("--timezone", metavar="Z", help="an IANA name; the owner's time zone if not given")
        parser.add_argument("--sender-name", metavar="NAME", default="", help="the owner's name if not given")

    def handle(self, *_args: Any, **options: Any) -> str:
        owner = find_owner(options["owner"])
        with refusals(OPTIONS):
            mailing = _create(owner, options)
        for notice in notices.of_texts(mailing.message) + notices.of_clients(mailing.message, owner.pk):
            self.stderr.write(notice)
        return str(mailing.pk)


@transaction.atomic
def _create(owner: User, options: dict[str, Any]) -> Mailing:
    if not (options["list"] or options["client"]):
        raise bad_usage("Who is to get it? At least one --list or --client is wanted.")
    time_zone = options["timezone"] or owner.time_zone
    start, end = _span(options, time_zone)
    lists = _found(ClientList.objects.filter(owner=owner), "name", [name.strip() for name in options["list"]], "--list")
    clients = _found(Client.objects.filter(owner=owner), "email", _normal(options["client"]), "--client")
    html, text = _bodies(options)
    message = verbs.create_message(owner, options["subject"], html=html, text=text)
    return verbs.create_mailing(
        owner,
        message=message,
        lists=lists,
        clients=clients,
        name=options["subject"][:NAME_LENGTH] if options["name"] is None else options["name"],
        sender_name=options["sender_name"],
        start=start.instant,
        start_moved=int(start.moved.total_seconds()),
        end=end,
        periodicity=options["every"],
        time_zone=time_zone,
    )


def _span(options: dict[str, Any], time_zone: str) -> tuple[calendar.Moment, datetime]:
    with refusals({NON_FIELD_ERRORS: "--timezone"}):
        fields.validate_time_zone(time_zone)
    zone = zoneinfo.ZoneInfo(time_zone)
    now = options["start"] is None
    start = calendar.Moment(clock.now(), timedelta(0)) if now else _moment(options["start"], zone, "--start")
    if options["end"] is not None:
        return start, _moment(options["end"], zone, "--end").instant
    if options["every"] != Mailing.Periodicity.ONCE:
        raise bad_usage(f"A mailing that repeats ({options['every']}) wants to know when to stop.", "--end")
    try:
        return start, start.instant + timedelta(days=1)
    except OverflowError:
        raise bad_usage("The day after it is beyond the calendar.", "--start") from None


def _moment(text: str, zone: zoneinfo.ZoneInfo, option: str) -> calendar.Moment:
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.utcoffset() is None:
            return calendar.of_wall(moment, zone)
        return calendar.Moment(moment.astimezone(UTC), timedelta(0))
    except (ValueError, OverflowError):
        raise bad_usage(f"“{text}” is not a date and time; wanted is one like 2030-01-31T09:00.", option) from None


def _normal(given: list[str]) -> list[str]:
    try:
        return [addresses.normalise(address) for address in given]
    except addresses.InvalidAddress as error:
        raise bad_usage(str(error), "--client") from None


def _found(queryset: "models.QuerySet[Any]", field: str, wanted: list[str], option: str) -> list[Any]:
    """Return all of `queryset` whose `field` is wanted. Raises `bad_usage`, which names those that are not there."""
    found = {getattr(found, field): found for found in queryset.filter(**{f"{field}__in": wanted})}
    if missing := [value for value in wanted if value not in found]:
        raise bad_usage(f"The owner has no {', '.join(missing)}.", option)
    return list(found.values())


def _bodies(options: dict[str, Any]) -> tuple[str, str]:
    if not (options["html"] or options["text"]):
        raise bad_usage("What is to be sent? --text FILE or --html FILE is wanted.")
    if options["html"] == options["text"] == "-":
        raise bad_usage("Only one of --text and --html can be read from standard input.")
    return _read(options["html"], "--html"), _read(options["text"], "--text")


def _read(name: str | None, option: str) -> str:
    """Return the text in a file; empty if none is named."""
    if name is None:
        return ""
    try:
        if name == "-":
            content = sys.stdin.buffer.read(LARGEST_FILE + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise bad_usage(f"{name}: {error.strerror}.", option) from None
    if len(content) > LARGEST_FILE:
        raise bad_usage(f"{name} is larger than {LARGEST_FILE // 1_000_000} MB.", option)
    if b"\0" in content:
        raise bad_usage(f"{name} is a binary file; a text is wanted.", option)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise bad_usage(f"{name} is not text in UTF-8.", option) from None
