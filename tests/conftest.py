"""For all tests of the project: coroutine tests run by themselves."""

import asyncio
import inspect

import pytest

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
