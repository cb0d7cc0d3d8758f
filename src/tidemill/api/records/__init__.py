"""What clients read: tasks and all else in the words of the HTTP interface.

The only files that map Tidemill's words to them: a state is a `status`, attempts after the first
are retries, durations are seconds, an error's text is `error_message`.
"""
