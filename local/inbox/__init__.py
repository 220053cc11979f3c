"""The inbox: plays the external mail service, and shows on a page what was handed over to it.

Like a real service it does not take every letter: recipients at `refused.example` are refused for good (550 5.1.1), at
`busy.example` for now (451 4.3.0), every time. And like a real one it takes letters that come back
later (returning.py).
"""
