"""The form that letters of every kind have on the wire: Internet Message Format (RFC 5322)."""
