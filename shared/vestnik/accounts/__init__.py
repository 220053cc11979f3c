"""People, their groups and sessions, and the letters that Vestnik itself writes them."""
