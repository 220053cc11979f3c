"""The panel: what managers see of everybody's mailings and people, their two levers, and the log of who pulled them."""
