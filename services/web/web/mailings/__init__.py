"""Mailings: who gets which message, from when until when, how often; and what can be done with a run."""
