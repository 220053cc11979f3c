"""Account mail: what Django's e-mail backend stored (`vestnik.accounts.mail`), handed over by one job at a time."""
