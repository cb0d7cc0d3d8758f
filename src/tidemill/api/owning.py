"""Whose things are whose: what a tenant may name, what is found for it, and under which keys.

A tenant never learns what others have. What it asks for by a foreign id is not there; what it makes
bears its user and project; and where a name is one for all, a mark of the tenant is a part of it,
so that nobody's names are in the way of another's.
"""

import hashlib
from typing import Final

import msgspec

from tidemill.access import Access, Tenant
from tidemill.api.problems import Refused, refused
from tidemill.app import Options
from tidemill.app.audit import SUBMITTED_BY
from tidemill.engine import TaskQuery
from tidemill.ids import is_name

_MARK_BYTES: Final = 10


def mark_of(tenant: Tenant) -> str:
    """What stands for a tenant in names: 20 digits, the same at all times."""
    told = msgspec.json.encode([tenant.user_id, tenant.project_id])
    return hashlib.blake2b(told, digest_size=_MARK_BYTES).hexdigest()


def submitted(access: Access) -> Options:
    """What the tasks of a caller have besides what it says: its name, and keys of its own.

    The keys of everybody else begin with the name of a task type, which has no `~`.
    """
    return Options(headers={SUBMITTED_BY: access.who}, keyspace=_keyspace(access.tenant))


def _keyspace(tenant: Tenant) -> str | None:
    return None if tenant.everything else f"~{mark_of(tenant)}/"


def name_for(tenant: Tenant, name: str) -> str:
    """The name under which a tenant's thing is kept where names are one for all tenants."""
    if tenant.everything or name.startswith(begin := f"t-{mark_of(tenant)}:") or not is_name(name):
        return name
    return begin + name


def owner_for(
    tenant: Tenant, user_id: str | None, project_id: str | None
) -> tuple[str | None, str | None]:
    """The user and the project of what a caller makes: what it says, in the place of its own.

    Raises `Refused` when a tenant names somebody else.
    """
    made = tenant.user_id or user_id, tenant.project_id or project_id
    if made != (user_id or tenant.user_id, project_id or tenant.project_id):
        raise outside()
    return made


def narrowed(query: TaskQuery, tenant: Tenant) -> TaskQuery | None:
    """A query for those of the tasks that the tenant owns; None where there can be none."""
    if tenant.everything:
        return query
    user_id = query.user_id or tenant.user_id
    project_id = query.project_id or tenant.project_id
    if not tenant.owns(user_id, project_id):
        return None
    return msgspec.structs.replace(query, user_id=user_id, project_id=project_id)


def outside() -> Refused:
    """The error for what a tenant may not do, whatever there is."""
    return refused(
        "forbidden",
        403,
        "The credentials are valid, and do not allow this.",
        "these credentials act for one user or project: this is about others, or about all",
    )


def id_taken(task_id: str) -> Refused:
    """The error for an id of a client's choice that it cannot have; whose it is, is not said."""
    return refused(
        "task-id-taken",
        409,
        "The id cannot be used.",
        f"the id {task_id} cannot be used for a new task: choose another, or leave it out",
    )
