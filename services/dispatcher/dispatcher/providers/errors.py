"""What can go wrong between us and the service: one tree, whatever the service speaks.

What is not a letter's fault is raised:

    ProviderError
    ├── Unavailable               the service cannot be reached or takes no letters now: try again later
    │   └── Crowded               it refused one more connection, perhaps because there are too many of ours
    ├── Misconfigured             the service is there, but not with these settings: a person must act
    │   └── LoginRefused          user and password: who tries that again and again is shut out
    └── ConnectionLimitReached    all connections that our processes may have are taken: it is our turn later

What became of one letter is never raised; it is the `Outcome` of its receipt (base.py): `TEMPORARY`, `PERMANENT`,
`UNKNOWN`, or `RETURNED`, which goes with one of the errors above. Each kind of provider translates the errors of its
libraries at one place (`smtp/dial.py`, `http/faults.py`), and tests/providers/test_faults.py goes through all of them.
"""


class ProviderError(Exception):
    """No letter can be handed over; `str(error)` is one sentence for a person, without any password."""


class Unavailable(ProviderError):
    """No connection: refused, not found, timed out, TLS failed, or the greeting or EHLO was refused."""


class Misconfigured(ProviderError):
    """Login refused or not offered, certificate not trusted, STARTTLS wanted and not offered; over HTTP a redirect."""


class Crowded(Unavailable):
    """No further connection: refused outright, or with a text about their number.

    If we have others, the service has no room for more; if we have none, it is away.
    """


class LoginRefused(Misconfigured):
    """User and password, or the token, were refused."""


class ConnectionLimitReached(ProviderError):
    """Every connection that all processes together may have is in use."""
