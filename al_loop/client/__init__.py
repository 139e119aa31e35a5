"""Campaigns from Python and notebooks: ``al_loop.campaign(config, oracle=function)``.

- ``opening``: the function ``campaign``, which builds a config from a file or mapping and a Python function.
- ``client``: the class ``CampaignClient``, with run, ask, tell, suggest and best.
- ``reporter``: the lines that a notebook shows.

Importing it loads neither torch nor ray.
"""

from al_loop.client.client import CampaignClient
from al_loop.client.opening import campaign

__all__ = ["CampaignClient", "campaign"]
