"""Runs: what is due is found and launched, in the background or by hand."""
