"""The panel: what managers see of everybody's mailings and people, what they may do, and the log of who did it."""
