"""Error types, by who must act on them."""


class AlLoopError(Exception):
    """Base of every error that al-loop raises on purpose; its text is one clear line for the user."""


class ConfigError(AlLoopError):
    """The user's input is wrong: a config, a path, a ledger of another campaign. Exit code 2."""


class CampaignError(AlLoopError):
    """The campaign cannot go on although the input was right (exit code 1); nothing measured is lost."""
