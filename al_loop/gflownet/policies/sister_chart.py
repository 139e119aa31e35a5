"""A policy that parses a sequence with a learned grammar whose rules depend on the left sister."""

from __future__ import annotations

from typing import ClassVar

from al_loop.gflownet.policies.chart import ChartPolicy


class SisterChartPolicy(ChartPolicy):
    """The policy ``chart`` with weights of rules that also depend on the label's left sister.

    Sums run over pairs of a label and a sister. The weights begin as those of a context-free grammar.

    Args:
        environment: forests from the root down, under conditions that have as many numbers for each word.
        hidden: width of the network.
        layers: number of layers of the recurrent network that reads the words.
        n_conditions: not supported, must be 0.
        heads: not supported, must be 1.

    Raises:
        ValueError: the environment is another one.
    """

    kind = "sister_chart"
    sees_sisters: ClassVar[bool] = True
