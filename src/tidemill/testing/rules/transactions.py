"""Rules about transactions, for engines that have them: the seam, `tx`."""

from tidemill.engine import Enqueued, Transaction
from tidemill.outcome import Completed, Settlement
from tidemill.task import State
from tidemill.testing.lab import Lab


class _ChangedMind(Exception):
    """Not an error: how these rules leave a transaction."""


async def _own_table(lab: Lab) -> None:
    async with lab.engine.transaction() as tx:
        await tx.execute("CREATE TABLE books_of_the_application (title TEXT)")


async def _titles(lab: Lab) -> list[object]:
    async with lab.engine.transaction() as tx:
        rows = await tx.execute("SELECT title FROM books_of_the_application ORDER BY title")
    return [row[0] for row in rows]


async def _write(tx: Transaction, title: str) -> None:
    await tx.execute(f"INSERT INTO books_of_the_application VALUES ('{title}')")  # noqa: S608  # how parameters are marked differs between databases


async def a_task_enqueued_in_a_transaction_exists_once_it_commits(lab: Lab) -> None:
    """`enqueue`: with the application's own rows."""
    await _own_table(lab)
    task = lab.new()
    async with lab.engine.transaction() as tx:
        await _write(tx, "kept")
        assert await lab.engine.enqueue([task], tx=tx) == [Enqueued(task.id)]
    assert await lab.state(task.id) is State.PENDING
    assert await _titles(lab) == ["kept"]


async def a_task_enqueued_in_a_transaction_is_gone_when_it_rolls_back(lab: Lab) -> None:
    """`enqueue`: no task, no feed, no count, no row."""
    await _own_table(lab)
    try:
        async with lab.engine.transaction() as tx:
            await _write(tx, "dropped")
            await lab.engine.enqueue([lab.new()], tx=tx)
            raise _ChangedMind
    except _ChangedMind:
        pass
    assert await lab.found() == []
    assert await lab.feed() == []
    assert (await lab.engine.stats()).counts == ()
    assert await _titles(lab) == []


async def a_settlement_and_the_applications_rows_commit_together(lab: Lab) -> None:
    """`settle`: exactly-once effects."""
    await _own_table(lab)
    claim = await lab.start()
    async with lab.engine.transaction() as tx:
        await _write(tx, "effect")
        answer = await lab.engine.settle([Settlement(claim.ref, Completed(b"x"))], tx=tx)
        assert answer == [State.COMPLETED]
    assert await lab.state(claim.ref.task_id) is State.COMPLETED
    assert await _titles(lab) == ["effect"]


async def a_settlement_and_the_applications_rows_roll_back_together(lab: Lab) -> None:
    """`settle`: the claim is held as before, and can be settled again."""
    await _own_table(lab)
    claim = await lab.start()
    before, feed = await lab.task(claim.ref.task_id), await lab.feed()
    child = lab.new()
    try:
        async with lab.engine.transaction() as tx:
            await _write(tx, "effect")
            await lab.engine.settle([Settlement(claim.ref, Completed(), enqueue=(child,))], tx=tx)
            raise _ChangedMind
    except _ChangedMind:
        pass
    assert await lab.task(claim.ref.task_id) == before
    assert await lab.feed() == feed
    assert await lab.state(child.id) is None
    assert await _titles(lab) == []
    assert await lab.settle(claim, Completed()) is State.COMPLETED


async def a_stale_settlement_in_a_transaction_is_answered_so(lab: Lab) -> None:
    """`settle`: the caller rolls its own rows back."""
    claim = await lab.start()
    await lab.lose(claim)
    async with lab.engine.transaction() as tx:
        assert await lab.engine.settle([Settlement(claim.ref, Completed())], tx=tx) == [None]
    assert await lab.state(claim.ref.task_id) is State.PENDING


async def statements_take_parameters_and_answer_rows(lab: Lab) -> None:
    """`Transaction.execute`: by position and by name; answers all rows."""
    await _own_table(lab)
    async with lab.engine.transaction() as tx:
        await _write(tx, "a")
        await _write(tx, "b")
        rows = await tx.execute("SELECT title FROM books_of_the_application ORDER BY title DESC")
    assert [tuple(row) for row in rows] == [("b",), ("a",)]
