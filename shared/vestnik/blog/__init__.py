"""The blog that promotes the service: posts, their pictures, and how often they were read."""
