"""Error types, by who must act on them, and what others have to say."""


class AlLoopError(Exception):
    """Base of every error that al-loop raises on purpose; its text is one clear line for the user."""


class ConfigError(AlLoopError):
    """The user's input is wrong: a config, a path, a ledger of another campaign. Exit code 2."""


class CampaignError(AlLoopError):
    """The campaign cannot go on although the input was right (exit code 1); nothing measured is lost."""


def first_line(error: object) -> str:
    """What an error (of a database: the one behind it) says in its first line; its type where it says nothing."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines()
    return lines[0][:300] if lines else type(cause).__name__
