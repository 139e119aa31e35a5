"""Networks that encode feature rows as vectors, several networks at once, for the deep surrogates.

Modules:
    base: ``Trunk`` and its layers.
    perceptron, convolution, transformer, graph: the forms of networks.
    encoding: chooses the form for a layout of rows.
    reverse_complement: the other strand of DNA and RNA.
"""
