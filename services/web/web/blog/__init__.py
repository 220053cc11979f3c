"""The blog: its pages, its feed, and what search engines are told of them."""
