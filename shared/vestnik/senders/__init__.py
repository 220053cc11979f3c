"""Who may send in whose name: what the DNS has to say of a domain, and what it says."""
