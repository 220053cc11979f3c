"""What a provider raises: faults that are not a letter's.

ProviderError
├── Unavailable      the service cannot be reached or takes no letters now: try again later
└── Misconfigured    the service is there, but not with these settings: a person must act

A letter's own fate is never an exception; it is a `Receipt`.
"""


class ProviderError(Exception):
    """No letter can be handed over; `str(error)` is one sentence for a person, without any password."""


class Unavailable(ProviderError):
    """No connection: refused, not found, timed out, TLS failed, or the greeting or EHLO was refused."""


class Misconfigured(ProviderError):
    """Login refused or not offered, certificate not trusted, STARTTLS demanded and not offered."""
