"""The inbox: plays the external mail service, and shows on a page what was handed over to it."""
