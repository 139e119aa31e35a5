"""How people take part in a campaign: ask, tell, review."""
