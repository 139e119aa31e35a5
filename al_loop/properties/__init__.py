"""Properties: cheap facts of an object, computed and never paid for, that a campaign's constraints bound."""
