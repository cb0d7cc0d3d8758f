"""The error tree: what programs and people rely on."""

import inspect
import pickle
import re
from datetime import timedelta

import pytest

from tidemill import errors
from tidemill.errors import TidemillError

CLASSES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, TidemillError)
]

SAMPLES = [
    errors.ConfigError("poll_interval must be positive"),
    errors.PayloadInvalid("expected int, got str", field="n", task_type="mail.send"),
    errors.PayloadTooLarge(2_000_000, 1_000_000, task_type="mail.send"),
    errors.PayloadUndecodable("not an envelope"),
    errors.ResultInvalid("mail.send", "expected int, got str"),
    errors.UnknownTaskType("mail.sned", ["mail.send"]),
    errors.TaskNotFound("0190"),
    errors.QueueNotFound("mail"),
    errors.ScheduleNotFound("nightly"),
    errors.ScheduleExists("nightly"),
    errors.ChangedMeanwhile("the queue 'mail'"),
    errors.InvalidSchedule("hour 25 is not in 0..23", field="hour", column=2),
    errors.DuplicateUniqueKey("user:1", "0190"),
    errors.TaskNotFinished("0190", "running"),
    errors.InvalidTransition("0190", "running", "retry"),
    errors.SchemaTooNew(9, 3),
    errors.ResultTimeout(),
    errors.TaskFailedError("0190", error_type="builtins.ValueError", message="odd", traceback="Tr"),
    errors.TaskCancelledError("0190", "expired"),
    errors.SoftTimeout(),
    errors.Permanent("no such user", code="user-gone"),
    errors.Retry(timedelta(seconds=5), "rate limited"),
]


def test_the_tree_is_drawn_as_it_is() -> None:
    drawn = {}
    ancestors = [""]
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│├└─ ]*)([A-Z]\w+)", line)
        if match:
            depth = len(match[1]) // 4
            ancestors[depth:] = [match[2]]
            drawn[match[2]] = ancestors[depth - 1] if depth else "Exception"
    assert drawn == {each.__name__: each.__bases__[0].__name__ for each in CLASSES}


def test_every_class_has_a_slug_of_its_own() -> None:
    slugs = [each.__dict__["slug"] for each in CLASSES]
    assert len(set(slugs)) == len(slugs)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", slug) for slug in slugs)


def test_every_exit_code_is_one_of_the_documented_ones() -> None:
    assert {each.exit_code for each in CLASSES} == {1, 2, 3, 4}
    assert errors.EngineUnavailable.exit_code == 4
    assert errors.TaskNotFound.exit_code == 3
    assert errors.PayloadInvalid.exit_code == 2


def test_an_error_without_a_message_says_the_first_line_of_its_docstring() -> None:
    assert str(errors.EngineFull()) == "The engine has no room left for another task."


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_survives_the_way_out_of_a_child_process(error: TidemillError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_a_message_is_one_line(error: TidemillError) -> None:
    assert str(error)
    assert "\n" not in str(error)


def test_a_payload_error_names_the_field_and_the_task_type() -> None:
    error = errors.PayloadInvalid("expected int, got str", field="n", task_type="mail.send")
    assert str(error) == "the payload of mail.send is not valid at n: expected int, got str"


@pytest.mark.parametrize("error", [errors.SoftTimeout(), errors.ResultTimeout()])
def test_timeouts_are_caught_as_the_built_in_one(error: TidemillError) -> None:
    assert isinstance(error, TimeoutError)


@pytest.mark.parametrize("after", [90, 90.0, timedelta(seconds=90)])
def test_a_retry_takes_seconds_or_a_timedelta(after: timedelta | float) -> None:
    assert errors.Retry(after).after == timedelta(seconds=90)
    assert errors.Retry().after is None


def test_a_retry_in_the_past_is_refused() -> None:
    with pytest.raises(ValueError, match="in the past"):
        errors.Retry(-1)
