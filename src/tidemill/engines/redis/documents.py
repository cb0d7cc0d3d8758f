"""Named values, kept as `version:written at:body`."""

from collections.abc import Sequence

from tidemill.clock import from_micros
from tidemill.engine import Document, Put
from tidemill.engines.redis.arguments import Blobs
from tidemill.engines.redis.scripts import script
from tidemill.engines.redis.shard import Shard


async def get(shard: Shard, kind: str, keys: Sequence[str]) -> list[Document | None]:
    """Read documents by key."""
    found = await shard.call(script("documents", writes=False), [kind, keys])
    return [
        None if raw is None else _document(kind, key, raw)
        for key, raw in zip(keys, found, strict=True)
    ]


async def put(shard: Shard, puts: Sequence[Put]) -> list[Document | None]:
    """Write documents in order."""
    blobs = Blobs()
    arguments = [
        (
            each.kind,
            each.key,
            False if each.if_version is None else each.if_version,
            False if each.body is None else blobs.add(each.body),
        )
        for each in puts
    ]
    versions, sent, now = await shard.call(script("put", repeatable=False), arguments, blobs.all)
    shard.sent |= sent == 1
    at = from_micros(now)
    return [
        None if version < 0 else Document(each.kind, each.key, version, each.body or b"", at)
        for each, version in zip(puts, versions, strict=True)
    ]


async def documents(shard: Shard, kind: str, prefix: str) -> list[Document]:
    """All documents of a kind under a prefix, by key."""
    flat = await shard.call(script("documents", writes=False), [kind, False])
    found = [
        _document(kind, key.decode(), raw) for key, raw in zip(flat[::2], flat[1::2], strict=True)
    ]
    return sorted(
        (each for each in found if each.key.startswith(prefix)), key=lambda each: each.key
    )


def _document(kind: str, key: str, raw: bytes) -> Document:
    version, at, body = raw.split(b":", 2)
    return Document(kind, key, int(version), body, from_micros(int(at)))
