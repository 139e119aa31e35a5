"""Language models with frozen weights: texts as tokens, and hidden states of prompts and their continuations.

- ``base``: the interface, ``LanguageModel``.
- ``tokenizers``: the interface of tokenizers, and one for a list of tokens.
- ``loading``: ``load_language_model``, which finds a model by its name or path, once in a process.
- ``huggingface``, ``annalog``, ``small``: the kinds of models.
"""
