"""The roles of a campaign as actors of a Ray cluster.

- ``connect``: the connection to a cluster
- ``executor``: the executor that places all roles, and the surrogate's actor
- ``learner``: the learner's actor
- ``samplers``: the samplers' actors, below the learner
- ``oracles``: the oracles' actors
- ``slots``: how many oracle actors there may be, so that they never take the search's place
- ``placement``: which roles fit on which nodes
- ``roles``: the common parts of all actors, and the restart of those that die
- ``metrics``: a campaign's numbers as Ray's metrics
"""
