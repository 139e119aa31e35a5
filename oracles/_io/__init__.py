"""Input and output of oracles that call programs and services.

Modules:
    row_format: rows of names and values, read into Outcomes; idempotency keys.
    subprocess_runner: child processes, bounded in time and in size.
    http_client: POST requests with retries, idempotency keys and a secret token.
"""
