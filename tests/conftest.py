"""For all tests: coroutine tests run by themselves, and a process has one set of servers."""

import asyncio
import inspect
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.engines.makers import Servers

pytest.register_assert_rewrite("tidemill.testing")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def test_…` to its end on an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    given = {name: value for name, value in pyfuncitem.funcargs.items() if name in wanted}
    with asyncio.Runner() as runner:
        runner.run(pyfuncitem.obj(**given))
    return True


def pytest_configure() -> None:
    """Let interrupts interrupt: a shell ignores them in the background, and children inherit it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Three processes on two cores: of its time the suite spends more than half on waiting."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


@pytest.fixture(autouse=True)
def _process_as_it_was(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test tells its process is of no other test.

    That are variables, the import path, its own modules, how lines are logged. Many tests have an
    application `shop` in a folder of theirs: the next one must not find theirs. Commands that serve
    set up logging for the rest of their process, and some run in this one.
    """
    environment, path, modules = dict(os.environ), list(sys.path), set(sys.modules)
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    for each in set(root.handlers) - set(handlers):
        if not type(each).__module__.startswith("_pytest."):
            root.removeHandler(each)
    if (structlog := sys.modules.get("structlog")) is not None:
        structlog.reset_defaults()
    for name in set(os.environ) - set(environment) - {"PYTEST_CURRENT_TEST"}:
        del os.environ[name]
    os.environ.update({**environment, "PYTEST_CURRENT_TEST": os.environ["PYTEST_CURRENT_TEST"]})
    sys.path[:] = path
    made_here = tmp_path_factory.getbasetemp()
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and made_here in Path(file).parents:
            del sys.modules[name]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Servers"]:
    """The servers of this process, which start when they are first asked for."""
    from tests.engines.makers import Servers  # for those who ask: most tests need no engine

    started = Servers(tmp_path_factory.mktemp("servers"))
    yield started
    started.close()
