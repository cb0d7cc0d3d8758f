"""A server that speaks OpenAI's HTTP API and fails when it is told to, for tests and demos.

It answers from the offline `TextAI`, always the same to the same request. What it speaks is held
against OpenAI's own client by the tests.

    python -m tidemill_apps.services.llmsim --port 8123 --faults '[{"kind": "status"}]'

wire      what is asked and answered, as frozen values
answers   what it says to a chat, made from the offline `TextAI`
faults    what goes wrong, and how often
server    the routes: /v1/chat/completions, /v1/embeddings, /v1/models, /faults
running   the server in a thread of a test or a demo
"""
