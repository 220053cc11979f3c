"""What became of runs, mailings and accounts: only reads, none of which takes longer for more rows on a page."""

from vestnik.mailings.ledger.statistics.journal import Row, attempts, came_back, export, journal, last_attempts
from vestnik.mailings.ledger.statistics.progress import Progress, outage_sentence, progress
from vestnik.mailings.ledger.statistics.report import Part, Reason, Report, reasons, report
from vestnik.mailings.ledger.statistics.totals import Totals, of_mailings, of_runs

__all__ = [
    "Part",
    "Progress",
    "Reason",
    "Report",
    "Row",
    "Totals",
    "attempts",
    "came_back",
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
