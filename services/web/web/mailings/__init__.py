"""Mailings: who gets which message, from when until when, how often; and the levers on a run."""
