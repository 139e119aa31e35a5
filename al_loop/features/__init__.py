"""Features: objects -> vectors for the surrogate, with the similarity that belongs to them."""
