"""Real Redis and Valkey servers for the tests, and a proxy that breaks connections to them.

- process.py: a program that cannot outlive the one that started it
- ports.py: numbers of loopback ports, reserved across processes
- certificates.py: a certificate authority of our own, for TLS on 127.0.0.1
- client.py: one command over a plain socket
- waiting.py: waiting for what a server is about to say
- server.py: one server: start, stop, kill, freeze, restart
- cluster.py: primaries that share the slots
- guarded.py: a primary, its replicas and the sentinels that watch them
- proxy.py: breaks connections on demand
- faults.py: what can go wrong on a connection
- trigger.py: the fault that is set, how often it struck, waiting for that
- connection.py: what a fault does to a connection
- side.py: one end of a connection
- resp.py: where a message of the protocol ends
"""
