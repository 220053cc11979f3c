"""Sending: from an owner's turn to a receipt in the ledger. `slices.py` is a letter's way on one screen."""
