"""Participation of people in a campaign: measuring its candidates and reviewing its batches.

- ``ask``: hand out candidates as a table to fill in.
- ``predicted``: what was predicted for candidates.
- ``tell``: check a table of results against the ledger, and commit it.
- ``imports``: earlier measurements for a campaign that has begun.
- ``preview``: a description of the effect of a table of results.
- ``retry``: ask again for what failed.
- ``review``: veto, pin, replace and approve the candidates of a batch.
- ``campaign_of_ledger``: the config and the objects of a ledger's campaign.

None of them loads torch or ray when it is imported.
"""
