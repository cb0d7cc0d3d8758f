"""What `@app.task` takes, fills in and refuses."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from tidemill import (
    Context,
    DeclarationError,
    Defaults,
    Retention,
    RetryPolicy,
    Tidemill,
    Unique,
    UnknownTaskType,
    fixed,
)

MINUTE = timedelta(minutes=1)


async def plain(to: str) -> str:
    return to


def ordinary(to: str) -> str:
    return to


def refused(app: Tidemill, function: Callable[..., Any] = plain, **said: Any) -> str:
    with pytest.raises(DeclarationError) as caught:
        app.task(**said)(function)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_task_type_is_named_after_its_module_and_function(app: Tidemill) -> None:
    assert app.task(plain).name == f"{__name__}.plain"


def test_a_function_inside_a_function_has_a_name_that_is_a_name(app: Tidemill) -> None:
    @app.task
    async def inner() -> None: ...

    assert inner.name.endswith("test_a_function_inside_a_function_has_a_name_that_is_a_name.inner")


def test_a_given_name_is_the_name(app: Tidemill) -> None:
    assert app.task(name="mail.send")(plain).name == "mail.send"
    assert list(app.task_types) == ["mail.send"]


def test_one_name_cannot_be_declared_twice(app: Tidemill) -> None:
    app.task(name="mail")(plain)
    assert "mail is declared twice" in refused(app, ordinary, name="mail")
    assert app.task_types["mail"].function is plain


def test_a_task_type_is_found_by_its_name(app: Tidemill) -> None:
    app.task(name="mail")(plain)
    assert app.function("mail").function is plain
    with pytest.raises(UnknownTaskType, match=r"no task type is called 'post' .declared: mail."):
        app.function("post")
    with pytest.raises(UnknownTaskType):
        app.queue_of("post")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"name": "send mail"}, "cannot name a task type"),
        ({"queue": "a/b"}, "'a/b' cannot name a queue"),
        ({"priority": 11}, "priority 11 is not within 0..10"),
        ({"priority": -1}, "priority -1 is not within 0..10"),
        ({"max_attempts": 0}, "max_attempts counts the first attempt too: 0 < 1"),
        ({"timeout": 0}, "timeout 0:00:00 must be above 0"),
        ({"soft_timeout": -1}, "soft_timeout .* must be above 0"),
        ({"expires": 0}, "expires 0:00:00 must be above 0"),
        ({"timeout": 5, "soft_timeout": 5}, "the soft timeout 0:00:05 must be below the timeout"),
        ({"isolation": "thread"}, "is async: it runs on the loop, or isolated in a process"),
        ({"isolation": "procss"}, "'procss' is none of loop, thread, process"),
        ({"steps": {"parse": 0}}, "the weight of each step must be above 0"),
    ],
)
def test_a_wrong_option_is_refused_where_it_is_written(
    app: Tidemill, said: dict[str, Any], told: str
) -> None:
    import re

    assert re.search(told, refused(app, **said))
    assert not app.task_types


def test_tags_given_as_one_text_are_refused(app: Tidemill) -> None:
    with pytest.raises(Exception, match=r"tags are a list of names: write \['mail'\]"):
        app.task(tags="mail")(plain)


def test_an_ordinary_function_runs_on_a_thread_and_never_on_the_loop(app: Tidemill) -> None:
    assert app.task(name="a")(ordinary).task_type.isolation == "thread"
    assert "would block the loop" in refused(app, ordinary, isolation="loop")


def test_an_async_function_runs_on_the_loop(app: Tidemill) -> None:
    assert app.task(name="a")(plain).task_type.isolation == "loop"


@pytest.mark.parametrize("function", [plain, ordinary])
def test_any_function_can_be_isolated_in_a_process(
    app: Tidemill, function: Callable[..., Any]
) -> None:
    assert app.task(isolation="process")(function).task_type.isolation == "process"


def test_arguments_without_names_are_refused(app: Tidemill) -> None:
    def unnamed(*to: str) -> None: ...

    assert "takes *to, which has no names" in refused(app, unnamed)


def test_a_context_that_does_not_come_first_is_refused(app: Tidemill) -> None:
    async def late(to: str, ctx: Context) -> None: ...

    assert "it must come first" in refused(app, late)


def test_a_function_that_yields_is_refused(app: Tidemill) -> None:
    def one() -> Iterator[int]:
        yield 1

    async def other() -> AsyncIterator[int]:
        yield 1

    assert "yields: a task function returns its result" in refused(app, one)
    assert "yields: a task function returns its result" in refused(app, other)


def test_what_is_no_function_is_refused(app: Tidemill) -> None:
    declared: Any = app.task(name="a")(plain)
    assert "a task is one function, declared once" in refused(app, declared, name="b")
    partial = functools.partial(ordinary, to="x")
    assert "a task is one function, declared once" in refused(app, partial, name="b")


def test_what_a_task_type_does_not_say_is_filled_in_from_the_defaults(
    make_app: Callable[..., Tidemill],
) -> None:
    retention = Retention(MINUTE, MINUTE, MINUTE)
    defaults = Defaults(
        queue="slow",
        priority=2,
        max_attempts=7,
        timeout=2 * MINUTE,
        soft_timeout=MINUTE,
        retention=retention,
    )
    app = make_app(defaults=defaults)
    declared = app.task(name="a")(plain).task_type
    assert declared.queue is None
    assert app.queue_of("a") == "slow"
    assert declared.priority == 2
    assert declared.max_attempts == 7
    assert declared.timeout == 2 * MINUTE
    assert declared.soft_timeout == MINUTE
    assert declared.retention == retention


def test_what_a_task_type_says_wins_over_the_defaults(make_app: Callable[..., Tidemill]) -> None:
    app = make_app(defaults=Defaults(queue="slow", priority=2, max_attempts=7, timeout=MINUTE))
    declared = app.task(
        name="a", queue="fast", priority=0, max_attempts=1, timeout=5, retention=MINUTE
    )(plain).task_type
    assert app.queue_of("a") == "fast"
    assert declared.priority == 0
    assert declared.max_attempts == 1
    assert declared.timeout == timedelta(seconds=5)
    assert declared.retention == Retention(MINUTE, MINUTE, MINUTE)


def test_a_default_soft_timeout_gives_way_to_a_shorter_timeout(
    make_app: Callable[..., Tidemill],
) -> None:
    app = make_app(defaults=Defaults(soft_timeout=MINUTE))
    declared = app.task(name="a", timeout=5)(plain).task_type
    assert (declared.timeout, declared.soft_timeout) == (timedelta(seconds=5), None)


def test_a_soft_timeout_above_the_default_timeout_is_refused(
    make_app: Callable[..., Tidemill],
) -> None:
    app = make_app(defaults=Defaults(timeout=MINUTE))
    assert "must be below the application's timeout" in refused(app, soft_timeout=90)


def test_the_attempts_of_the_retry_policy_are_those_of_the_task_type(app: Tidemill) -> None:
    declared = app.task(name="a", retry=RetryPolicy(9, fixed(1)))(plain).task_type
    assert declared.max_attempts == 9


def test_one_decorator_can_declare_several_functions(app: Tidemill) -> None:
    mail = app.task(queue="mail", timeout=5, unique="k:{to}", retention=MINUTE, tags=["x"])
    first, second = mail(plain), mail(ordinary)
    assert first.task_type.timeout == second.task_type.timeout == timedelta(seconds=5)
    assert first.task_type.unique == second.task_type.unique == Unique("k:{to}")
    assert first.task_type.tags == second.task_type.tags == ("x",)


def test_the_declared_function_can_be_called_in_place(app: Tidemill) -> None:
    assert app.task(name="a")(ordinary).function("x") == "x"
