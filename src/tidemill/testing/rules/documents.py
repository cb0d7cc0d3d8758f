"""Rules about documents: the seam, `get`, `put` and `documents`."""

from datetime import timedelta

from tidemill.engine import Document, Put
from tidemill.testing.lab import Lab


def _document(lab: Lab, kind: str, key: str, version: int, body: bytes) -> Document:
    """A document as it is answered when it was written now."""
    return Document(kind, key, version, body, lab.now())


async def a_document_is_read_as_it_was_written(lab: Lab) -> None:
    """`put` and `get`: bytes are bytes; versions count from 1."""
    body = b"\x00\xff" + "値".encode()
    assert await lab.engine.put([Put("note", "ключ/1", body)]) == [
        _document(lab, "note", "ключ/1", 1, body)
    ]
    assert await lab.engine.get("note", ["none", "ключ/1", "none"]) == [
        None,
        _document(lab, "note", "ключ/1", 1, body),
        None,
    ]


async def a_document_tells_when_it_was_written(lab: Lab) -> None:
    """`Document.at`: by the engine's clock; one that did not match changes nothing."""
    await lab.engine.put([Put("note", "old", b"a"), Put("note", "new", b"a")])
    written = lab.now()
    lab.clock.advance(timedelta(minutes=1))
    [again, refused] = await lab.engine.put(
        [Put("note", "new", b"a"), Put("note", "old", b"b", if_version=7)]
    )
    assert (again and again.at, refused) == (lab.now(), None)
    lab.clock.advance(timedelta(minutes=1))
    [new, old] = await lab.engine.documents("note")
    assert (new.at, old.at) == (lab.now() - timedelta(minutes=1), written)
    [gone] = await lab.engine.put([Put("note", "old", None)])
    assert gone is not None
    assert gone.at == lab.now()


async def every_change_raises_the_version_by_one(lab: Lab) -> None:
    """`Document.version`: also a change to the same body."""
    versions = []
    for body in (b"a", b"a", b"b"):
        [document] = await lab.engine.put([Put("note", "k", body)])
        assert document is not None
        versions.append(document.version)
    assert versions == [1, 2, 3]


async def a_document_changes_only_from_the_version_that_was_named(lab: Lab) -> None:
    """`Put.if_version`: None where it did not match; 0 means absent."""
    put = lab.engine.put
    assert await put([Put("note", "k", b"x", if_version=1)]) == [None]
    assert await put([Put("note", "k", b"a", if_version=0)]) == [
        _document(lab, "note", "k", 1, b"a")
    ]
    assert await put([Put("note", "k", b"b", if_version=0)]) == [None]
    assert await put([Put("note", "k", b"b", if_version=1)]) == [
        _document(lab, "note", "k", 2, b"b")
    ]
    assert await put([Put("note", "k", b"c", if_version=1)]) == [None]
    assert await lab.engine.get("note", ["k"]) == [_document(lab, "note", "k", 2, b"b")]


async def puts_of_one_batch_are_made_in_order(lab: Lab) -> None:
    """`put`: one by one in order; one that did not match does not stop the others."""
    answers = await lab.engine.put(
        [
            Put("note", "k", b"a", if_version=0),
            Put("note", "k", b"b", if_version=1),
            Put("note", "k", b"c", if_version=1),
            Put("note", "k", b"d", if_version=2),
        ]
    )
    assert [each and each.version for each in answers] == [1, 2, None, 3]
    assert await lab.engine.get("note", ["k"]) == [_document(lab, "note", "k", 3, b"d")]


async def a_removed_document_is_gone(lab: Lab) -> None:
    """`put`: answered with an empty body and version 0; the next one counts from 1 again."""
    await lab.engine.put([Put("note", "k", b"a"), Put("note", "k", b"b")])
    assert await lab.engine.put([Put("note", "k", None, if_version=1)]) == [None]
    assert await lab.engine.put([Put("note", "k", None, if_version=2)]) == [
        _document(lab, "note", "k", 0, b"")
    ]
    assert await lab.engine.get("note", ["k"]) == [None]
    assert await lab.engine.documents("note") == []
    assert await lab.engine.put([Put("note", "k", b"c", if_version=0)]) == [
        _document(lab, "note", "k", 1, b"c")
    ]


async def removing_what_is_not_there_is_no_error(lab: Lab) -> None:
    """Section 11: safe to repeat."""
    assert await lab.engine.put([Put("note", "k", None)]) == [_document(lab, "note", "k", 0, b"")]


async def an_empty_body_is_a_document(lab: Lab) -> None:
    """`Put.body`: None removes, the empty text does not."""
    await lab.engine.put([Put("note", "k", b"")])
    assert await lab.engine.get("note", ["k"]) == [_document(lab, "note", "k", 1, b"")]


async def documents_of_a_kind_are_listed_by_key(lab: Lab) -> None:
    """`documents`: those of the kind whose key begins with the prefix; nothing is a wildcard."""
    keys = ["b/2", "a", "b/1", "b", "%", "_", "B/1", "b/ü"]
    await lab.engine.put([Put("note", key, key.encode()) for key in keys])
    await lab.engine.put([Put("other", "b/9", b"")])

    async def listed(prefix: str) -> list[str]:
        return [each.key for each in await lab.engine.documents("note", prefix)]

    assert await listed("") == sorted(keys)
    assert await listed("b/") == ["b/1", "b/2", "b/ü"]
    assert await listed("%") == ["%"]
    assert await listed("_") == ["_"]
    assert await listed("zz") == []
