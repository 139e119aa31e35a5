from al_loop.config.docstrings import argument_descriptions


class Base:
    """A base.

    Args:
        shared: explained by the base
            in two lines.
    """


class Part(Base):
    """A part: of something.

    More text, such as: a colon.

    Args:
        kappa: weight of ``x``; the larger: the more.
        *others: more of them.

    Raises:
        ValueError: never.
    """


class ByConstructor:
    def __init__(self, size):
        """Make one.

        Args:
            size (int): the size.
        """


def test_arguments_are_explained_by_the_class_its_bases_or_its_constructor():
    assert argument_descriptions(Part) == {
        "kappa": "weight of `x`; the larger: the more.",
        "others": "more of them.",
        "shared": "explained by the base in two lines.",
    }
    assert argument_descriptions(ByConstructor) == {"size": "the size."}
    assert argument_descriptions(len) == {}
