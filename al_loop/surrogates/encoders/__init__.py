"""Networks that turn feature rows into vectors, several at once: what the deep surrogates are built of."""
