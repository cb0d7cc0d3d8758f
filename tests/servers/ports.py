"""Numbers of loopback ports, reserved across processes."""

import random
import socket
from typing import Self

# Below the range from which kernels take the ports of outgoing connections (Linux: 32768 and up),
# so that a server that restarts finds its own number free. A cluster's bus listens 10,000 above.
_LOWEST, _HIGHEST, BUS = 12_000, 21_999, 10_000


class Port:
    """A port that no other `Port` of this machine has, also while nobody listens on it.

    The reservation is a UDP socket of the same number: it binds once, and goes with its process.
    """

    def __init__(self, number: int, twin: socket.socket) -> None:
        self.number = number
        self._twin = twin

    @classmethod
    def free(cls) -> Self:
        """One that nobody uses."""
        for number in random.sample(range(_LOWEST, _HIGHEST + 1), 200):
            port = cls.at(number)
            if port is not None:
                return port
        raise RuntimeError(f"No free port between {_LOWEST} and {_HIGHEST} in 200 attempts")

    @classmethod
    def at(cls, number: int) -> Self | None:
        """This one; None when it is reserved or in use."""
        twin = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            twin.bind(("127.0.0.1", number))
            for used in (number, number + BUS):
                _try(used)
        except OSError:
            twin.close()
            return None
        return cls(number, twin)

    def close(self) -> None:
        """Give the number back."""
        self._twin.close()


def _try(number: int) -> None:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(("127.0.0.1", number))
