"""HTTP: one POST per letter, as docs/http_api.md describes it or in the dialect of a mail service (dialects/)."""

from dispatcher.providers.http.provider import HttpProvider

__all__ = ["HttpProvider"]
