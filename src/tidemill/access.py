"""Who asks, what they may do, and whose tasks they see."""

from enum import StrEnum
from typing import Final

import msgspec

from tidemill.rates import Rate


class Scope(StrEnum):
    """One thing that a caller of the HTTP interface may do.

    `view` reads tasks, queues, schedules and statistics; `submit` submits tasks and workflows;
    `operate` changes what is there: cancel, retry, pause, queues, schedules; `admin` handles keys,
    webhooks and the audit, and purges. `payloads` shows payloads and results, to whoever may see
    their task. `admin` contains `operate` and `submit`, and each of these three contains `view`.
    """

    VIEW = "view"
    SUBMIT = "submit"
    OPERATE = "operate"
    ADMIN = "admin"
    PAYLOADS = "payloads"


_CONTAINS: Final = {
    Scope.SUBMIT: frozenset({Scope.VIEW}),
    Scope.OPERATE: frozenset({Scope.VIEW}),
    Scope.ADMIN: frozenset({Scope.OPERATE, Scope.SUBMIT, Scope.VIEW}),
}


class Tenant(msgspec.Struct, frozen=True):
    """Whose tasks: those of a user, of a project, or of a user in a project.

    One that names neither owns everything.
    """

    user_id: str | None = None
    project_id: str | None = None

    @property
    def everything(self) -> bool:
        """Whether it restricts nothing."""
        return self.user_id is None and self.project_id is None

    def owns(self, user_id: str | None, project_id: str | None) -> bool:
        """Whether something of this user and this project belongs to the tenant."""
        return self.user_id in {None, user_id} and self.project_id in {None, project_id}


EVERYONE: Final = Tenant()


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller proved.

    `who` is how the audit names them, such as `key:mailer` or `user:ana`. `subject` names the
    credential, for counting: requests of one subject share its `rate`.
    """

    who: str
    subject: str
    scopes: frozenset[Scope]
    tenant: Tenant = EVERYONE
    rate: Rate | None = None

    def may(self, scope: Scope) -> bool:
        """Whether the scope was given, by itself or inside another one."""
        return scope in self.scopes or any(scope in _CONTAINS.get(each, ()) for each in self.scopes)


FULL: Final = frozenset({Scope.ADMIN, Scope.PAYLOADS})
"""Everything that a scope can allow."""
