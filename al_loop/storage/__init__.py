"""Files and databases of a run besides its ledger.

- ``files``: write a file as a whole, retry a write, lock a folder (standard library only).
- ``checkpoints``: the learner's state after each round, in a folder or an object store.
- ``artifacts``: files that the oracle returned with its answers.
- ``rescued``: answers that could not be committed before the campaign had to stop.
- ``cache``: answers shared between campaigns.
- ``outcome_json``: outcomes as JSON.

Import from these modules: the package itself loads nothing, so that writing a file never loads a database library.
"""
