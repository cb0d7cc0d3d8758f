"""Mistakes that a type checker must report, each with the code that it reports.

Only read, never run. An ignore beside a line that is not reported is an error itself, so that none
of these can pass unseen.
"""

from datetime import timedelta

from tests.typing.uses import (
    Visit,
    app,
    ordinary,
    ordinary_with_context,
    plain,
    recorded,
    with_context,
)
from tidemill import Context, Handle, Options, TaskCompleted, TaskFailed, Tidemill, Unique


async def wrong_arguments() -> None:
    await plain.enqueue(5)  # type: ignore[arg-type]  # not a str
    await plain.enqueue()  # type: ignore[call-arg]  # `to` is missing
    await plain.enqueue("a", 2, 3)  # type: ignore[call-arg]  # too many
    await plain.enqueue("a", size=2)  # type: ignore[call-arg]  # no such argument
    await ordinary.enqueue("a")  # type: ignore[arg-type]  # not an int
    await with_context.enqueue(5)  # type: ignore[arg-type]  # the context is not an argument
    await ordinary_with_context.enqueue()  # type: ignore[call-arg]  # `number` is missing
    plain.delay(5)  # type: ignore[arg-type]  # not a str
    plain.call(5)  # type: ignore[arg-type]  # not a str
    await plain.options(priority=9).enqueue(5)  # type: ignore[arg-type]  # options keep types


async def wrong_results() -> None:
    handle: Handle[int] = await plain.enqueue("a")  # type: ignore[assignment]  # a Handle[str]
    number: int = await (await plain.enqueue("a")).result()  # type: ignore[assignment]  # a str
    late: int = plain.delay("a").result()  # type: ignore[assignment]  # a str
    print(handle, number, late)


async def wrong_options() -> None:
    plain.options(priority="high")  # type: ignore[arg-type]  # not an int
    plain.options(prio=9)  # type: ignore[call-arg]  # no such option
    await plain.enqueue("a", delay=5)  # type: ignore[call-arg]  # options stand before it
    Options(delay=5)  # type: ignore[arg-type]  # a timedelta there
    await plain.enqueue_many(["a"])  # type: ignore[list-item]  # mappings of arguments


async def wrong_workflows() -> None:
    flow = app.workflow("w")
    step = flow.add(ordinary.call(1))
    flow.add(plain.call(step.result))  # type: ignore[arg-type]  # a float, not a str
    flow.add(plain.partial())  # type: ignore[arg-type]  # only chains know whose result it takes
    flow.add(plain.call("a"), on_failure="stop")  # type: ignore[arg-type]  # no such rule
    app.group(plain.partial())  # type: ignore[arg-type]  # nothing comes before
    number: int = await (await app.chord([], plain.partial()).enqueue()).result()  # type: ignore[assignment]  # a str
    print(number)


async def wrong_gathering(ctx: Context) -> None:
    await ctx.gather(plain)  # type: ignore[call-overload]  # a call of it
    numbers: list[int] = await ctx.gather(plain.call("a"))  # type: ignore[arg-type]  # strings
    sure: list[str] = await ctx.gather(plain.call("a"), fail=False)  # type: ignore[assignment]  # or None
    print(numbers, sure)


async def function() -> None: ...


app.task(isolation="fork")(function)  # type: ignore[call-overload]  # no such isolation
app.task(retries=5)(function)  # type: ignore[call-overload]  # no such option
app.task(timeout="5s")(function)  # type: ignore[call-overload]  # seconds or a timedelta
Unique("k", on_conflict="error")  # type: ignore[arg-type]  # no such rule
Unique("k", until=5)  # type: ignore[arg-type]  # a timedelta
Tidemill(routes={"*": timedelta()})  # type: ignore[dict-item]  # a queue's name


@app.batch(Visit, size=5, within=1)  # type: ignore[arg-type]  # a list of others
async def of_other_items(items: list[int]) -> None: ...


@app.batch(Visit, size=5, within=1)  # type: ignore[arg-type]  # one value for all
async def one_for_all(items: list[Visit]) -> int:
    return len(items)


async def wrong_items() -> None:
    await recorded.enqueue(path=5)  # type: ignore[arg-type]  # not a str
    await recorded.enqueue(pth="/")  # type: ignore[call-arg]  # no such field
    app.batch(Visit, size=5)  # type: ignore[call-arg]  # `within` is missing
    app.batch(Visit, size=5, within=1, steps={})  # type: ignore[call-arg]  # no such option


@app.on(TaskCompleted)  # type: ignore[arg-type]  # of another event
def of_another_event(event: TaskFailed) -> None: ...


@app.resource  # type: ignore[arg-type]  # not a generator
async def not_a_generator() -> int:
    return 1
