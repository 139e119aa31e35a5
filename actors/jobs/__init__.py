"""Campaigns as jobs of a Ray cluster, and stopping them.

- ``submit``: the job server of a cluster: submit, find, follow and stop jobs
- ``states``: jobs as the server reports them
- ``package``: the files and modules that travel with a job
- ``contents``: the files of a folder that travel, and their archives
- ``runtime_env``: the environment of a job
- ``refusals``: configurations that would disclose a secret or lose results
- ``stop``: stop a campaign or a sweep on this machine
"""
