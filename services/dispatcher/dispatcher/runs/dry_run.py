"""The dry run: who would get what. Reads, and nothing else."""

from collections.abc import Callable, Iterable, Iterator

from django.db import connection

from dispatcher.runs import ticking
from vestnik import addresses
from vestnik.clients import attributes
from vestnik.mailings import audience, rendering, stops
from vestnik.mailings.ledger.models import Run, RunState
from vestnik.mailings.models import Mailing

# What is queued, but to those who have stopped it since: claims leave them out.
LEFT = f"""
    SELECT d.address, run.subject FROM mailings_run run
    CROSS JOIN LATERAL (
        SELECT id, client_id, address FROM mailings_delivery WHERE run_id = run.id AND state = 'queued' OFFSET 0
    ) d
    LEFT JOIN LATERAL ({stops.OF_LETTER}) stop ON true
    WHERE run.mailing_id = %s AND run.state = 'open' AND stop.reason IS NULL ORDER BY d.id
"""


def tell(chosen: Iterable[Mailing] | None, *, now: bool, write: Callable[[str], object]) -> None:
    """Tell, line by line, the letters that sending would hand over: of what is due, or (`now`) of chosen mailings."""
    due = set(ticking.due_mailings())
    if chosen is None:
        open_too = Run.objects.filter(state=RunState.OPEN).values_list("mailing", flat=True)
        chosen = Mailing.objects.select_related("owner", "message").filter(pk__in={*due, *open_too}).order_by("pk")
    total = 0
    for mailing in chosen:
        if mailing.hold:
            write(f"Mailing {mailing.pk} “{mailing.name}”: nothing, it is held ({mailing.hold}).")
            continue
        letters = _new(mailing) if now or mailing.pk in due else _left(mailing)
        count = 0
        for line in letters:
            if not count:
                write(f"Mailing {mailing.pk} “{mailing.name}”:")
            write(f"  {line}")
            count += 1
        if not count:
            write(f"Mailing {mailing.pk} “{mailing.name}”: nobody, now.")
        total += count
    write(f"{total} letters would be sent." if total else "Nothing would be sent.")


def _new(mailing: Mailing) -> Iterator[str]:
    subject = rendering.CompiledMessage(
        rendering.Content(mailing.message.subject, "", "", mailing.owner.email, mailing.sender_name, ""),
        attributes.spellings(mailing.owner_id),
    )
    for client in audience.of(mailing).order_by("pk").iterator():
        address = addresses.shown(client.email)
        try:
            shown = subject.preview(address=client.email, full_name=client.full_name, attributes=client.attributes)
            yield f"{address}: {shown.subject}"
        except rendering.LetterTooLarge as error:
            yield f"{address}: cannot be written: {error}"


def _left(mailing: Mailing) -> Iterator[str]:
    with connection.chunked_cursor() as cursor:  # there may be a million
        cursor.execute(LEFT, [mailing.pk])
        for address, subject in cursor:
            yield f"{addresses.shown(address)}: {subject}"
