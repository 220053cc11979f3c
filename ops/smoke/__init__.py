"""`make smoke`: a whole installation in containers of its own, tried by what people and accidents do to it."""
