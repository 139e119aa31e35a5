"""The exceptions of al-loop, by who has to act on them, and the words that messages are made of."""

from collections.abc import Iterable

from al_loop.outgoing import one_line, printable, redact


class AlLoopError(Exception):
    """Base class of the errors that al-loop raises on purpose. The message is one clear line, without secrets."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(printable(redact(arg)) if isinstance(arg, str) else arg for arg in args))


class ConfigError(AlLoopError):
    """The user's input is wrong: a config, a path, or a ledger of another campaign. Exit code 2."""


class CampaignError(AlLoopError):
    """The campaign cannot continue although the input was valid; no measurement is lost. Exit code 1."""


class ReplicaLost(CampaignError):  # noqa: N818  it is an event more than an error
    """A process of the learner has died, and the training cannot go on; a restart repeats it from its checkpoint."""


def summary(error: object, *, max_length: int = 300) -> str:
    """Return the first line of an error's message, or the name of its type if the message is empty.

    For an error of SQLAlchemy, the message of the underlying driver's error is used.

    Args:
        error: an exception, or the text of one.
        max_length: maximum length of the summary, in characters.
    """
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines()
    return one_line(redact(lines[0]))[:max_length] if lines else type(cause).__name__


def counted(n: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, such as "1 answer" and "2 answers".

    Args:
        n: the number.
        noun: the noun in the singular.
        plural: its plural, if that is not the noun and an s.
    """
    return f"{n} {noun if n == 1 else plural or noun + 's'}"


def not_one_of(value: object, names: Iterable[object]) -> str:
    """Return ``'gpp' is not one of gp, deep_kernel; did you mean 'gp'?``, for an error message.

    Args:
        value: the unknown name.
        names: the valid names.
    """
    valid = [str(name) for name in names]
    return f"{value!r:.80} is not one of {', '.join(valid)}{suggestion(str(value), valid)}"


def suggestion(name: str, names: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` with the most similar name, or an empty text if none is similar.

    Args:
        name: the unknown name.
        names: the valid names.
    """
    from difflib import get_close_matches

    by_lower_case = {valid.casefold(): valid for valid in names}
    nearest = get_close_matches(name.casefold(), by_lower_case, n=1)
    return f"; did you mean {by_lower_case[nearest[0]]!r}?" if nearest else ""
