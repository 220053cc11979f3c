"""What became of runs, mailings and accounts: reads only, none of which takes longer for more rows on a page."""

from vestnik.mailings.statistics.counting import Totals, of_mailings, of_runs
from vestnik.mailings.statistics.progressing import Progress, outage_sentence, progress
from vestnik.mailings.statistics.reading import Row, attempts, export, journal, last_attempts
from vestnik.mailings.statistics.reporting import Part, Reason, Report, reasons, report

__all__ = [
    "Part",
    "Progress",
    "Reason",
    "Report",
    "Row",
    "Totals",
    "attempts",
    "export",
    "journal",
    "last_attempts",
    "of_mailings",
    "of_runs",
    "outage_sentence",
    "progress",
    "reasons",
    "report",
]
