"""Providers: what hands letters to the external service, one file or folder per kind.

`base` is the interface, `errors` what it raises; `url` reads addresses, `registry` makes providers of them; `memory` is
the double. docs/adding_a_provider.md shows how one more kind is added.
"""
