"""Providers: what hands letters to the external service, one file or folder per kind.

`base` is the interface, `errors` what it raises, `url` makes a provider from its address, `memory` is the double.
"""
