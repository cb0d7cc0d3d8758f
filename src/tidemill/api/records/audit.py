"""The audit, and what of a change it tells."""

from collections.abc import Iterable
from typing import Any

import msgspec

from tidemill.app.audit import AuditEntry
from tidemill.interface.audit import AuditRecord, AuditRecords


def audit_records(found: Iterable[AuditEntry]) -> AuditRecords:
    """Entries of the audit."""
    return AuditRecords(tuple(AuditRecord(**msgspec.structs.asdict(each)) for each in found))


def difference(
    before: msgspec.Struct, after: msgspec.Struct, fields: Iterable[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Those of the fields that differ between two records, as they were and as they are."""
    differ = [name for name in fields if getattr(before, name) != getattr(after, name)]
    return _plain(before, differ), _plain(after, differ)


def _plain(record: msgspec.Struct, fields: Iterable[str]) -> dict[str, Any]:
    return {name: msgspec.to_builtins(getattr(record, name)) for name in fields}
