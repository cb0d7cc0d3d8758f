"""Whose tasks are which: entries of the feed do not say it, tasks do, and it never changes."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Final

from tidemill.access import Tenant
from tidemill.api.joining import Joined
from tidemill.app import Tidemill
from tidemill.engine import TaskQuery

REMEMBERED: Final = 20_000
"""Tasks whose owners are kept in memory."""

Owner = tuple[str | None, str | None]
"""A user and a project."""


class Owners:
    """The owners of tasks, asked of the engine for many at once."""

    def __init__(self, app: Tidemill) -> None:
        self._app = app
        self._known: OrderedDict[str, Owner] = OrderedDict()
        self._asks: Joined[str, Owner | None] = Joined(self._found)

    async def owned(self, tenant: Tenant, ids: Collection[str]) -> frozenset[str]:
        """Those of the tasks that a tenant owns; what was removed from the engine is nobody's."""
        told = {each: self._known[each] for each in ids if each in self._known}
        unknown = [each for each in dict.fromkeys(ids) if each not in told]
        asked = await asyncio.gather(*(self._asks.call(each) for each in unknown))
        told |= {each: owner for each, owner in zip(unknown, asked, strict=True) if owner}
        return frozenset(each for each, owner in told.items() if tenant.owns(*owner))

    async def _found(self, ids: Sequence[str]) -> Sequence[Owner | None]:
        wanted = tuple(dict.fromkeys(ids))
        engine = await self._app.engine()
        page = await engine.find(TaskQuery(ids=wanted, limit=len(wanted)))
        found = {task.id: (task.user_id, task.project_id) for task in page.tasks}
        self._known |= found
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return [found.get(each) for each in ids]
