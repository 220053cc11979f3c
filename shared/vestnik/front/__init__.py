"""What visitors see first, and its copies: the home page's figures, and the pages of which nginx holds copies."""
