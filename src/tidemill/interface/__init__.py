"""What the HTTP interface answers, as values: the server writes them, the client reads them.

Instants are UTC and durations are seconds. The names are those of the OpenAPI document. A reader
leaves out the fields that it does not know, so that a newer server may say more.
"""
