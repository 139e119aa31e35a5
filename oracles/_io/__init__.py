"""Row formats, subprocesses and HTTP, shared by oracles."""
