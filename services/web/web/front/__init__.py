"""Public pages, of which nginx keeps copies: the same for everybody who is not signed in."""
