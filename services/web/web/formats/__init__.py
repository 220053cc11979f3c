"""How dates are written where Django chooses the form (the blog, the admin site): as everywhere else here."""
