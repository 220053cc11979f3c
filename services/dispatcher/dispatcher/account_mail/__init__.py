"""Account mail: what Django's mail backend stored (`vestnik.accounts.mail`), handed over one job at a time."""
