"""Limits on how many letters are handed over in a second, a minute, an hour, a day; shared by all processes.

rules.py     what the settings say
limiter.py   `Limits`: tokens for letters, and when a domain takes the next; one per process
windows.py   the counting, in Redis
refill.py    what the ledger knows, where Redis has forgotten
"""

from dispatcher.pace.limits.limiter import Permit, RateLimits

__all__ = ["Permit", "RateLimits"]
