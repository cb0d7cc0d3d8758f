"""Tidemill's values as what clients read (`tidemill.interface`).

The only files that map Tidemill's words to them: a state is a `status`, attempts after the first
are retries, durations are seconds, an error's text is `error_message`.
"""
