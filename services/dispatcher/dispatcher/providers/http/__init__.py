"""HTTP: one POST per letter, as docs/http_api.md describes it."""

from dispatcher.providers.http.provider import HttpProvider

__all__ = ["HttpProvider"]
