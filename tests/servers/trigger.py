"""The fault that is set, how often it struck, and waiting for that."""

import asyncio
import contextlib

from tests.servers.faults import CutAfter, CutBefore, Fault, ResetAfter


class Trigger:
    """What the connections of one proxy share."""

    def __init__(self) -> None:
        self.strikes = 0
        self._fault: Fault | None = None
        self._changed = asyncio.Event()

    @property
    def fault(self) -> Fault | None:
        """The fault that is set and may still strike."""
        match self._fault:
            case CutBefore(times=times) | CutAfter(times=times) | ResetAfter(times=times):
                return self._fault if self.strikes < times else None
            case fault:
                return fault

    def set(self, fault: Fault | None) -> None:
        """Let it strike from now on, counted from 0; None keeps the count of the last."""
        self._fault = fault
        if fault is not None:
            self.strikes = 0
        self._tell()

    def strike(self) -> None:
        """Count one strike of the fault that is set."""
        self.strikes += 1
        self._tell()

    async def struck(self, times: int) -> None:
        """Return when the fault has struck that often."""
        while self.strikes < times:
            await self._changed.wait()

    async def until_healed(self, fault: Fault, seconds: float) -> None:
        """Return after so many seconds, or as soon as the fault is not set any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._fault is fault:
                    await self._changed.wait()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
