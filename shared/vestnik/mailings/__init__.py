"""Messages and mailings, and under `ledger` what became of them."""
