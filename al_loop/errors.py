"""The exceptions of al-loop, by who has to act on them, and the words that messages are made of."""


class AlLoopError(Exception):
    """Base class of the errors that al-loop raises on purpose. The message is one clear line for the user."""


class ConfigError(AlLoopError):
    """The user's input is wrong: a config, a path, or a ledger of another campaign. Exit code 2."""


class CampaignError(AlLoopError):
    """The campaign cannot continue although the input was valid; no measurement is lost. Exit code 1."""


def summary(error: object, *, max_length: int = 300) -> str:
    """Return the first line of an error's message, or the name of its type if the message is empty.

    For an error of SQLAlchemy, the message of the underlying driver's error is used.

    Args:
        error: an exception, or the text of one.
        max_length: maximum length of the summary, in characters.
    """
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines()
    return lines[0][:max_length] if lines else type(cause).__name__


def counted(n: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, such as "1 answer" and "2 answers".

    Args:
        n: the number.
        noun: the noun in the singular.
        plural: its plural, if that is not the noun and an s.
    """
    return f"{n} {noun if n == 1 else plural or noun + 's'}"
