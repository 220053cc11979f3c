"""What visitors see first, and what is kept of it: the home page's figures, and the pages nginx holds copies of."""
