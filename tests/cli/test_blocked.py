"""What the command line says of tasks that wait for their limit."""

import re

from tests.cli.conftest import Shop
from tidemill.task import Limit


def test_show_says_that_a_task_waits_for_its_limit(shop: Shop) -> None:
    limit = Limit("user:7", 1)
    _, blocked = shop.enqueue(shop.new(limit=limit), shop.new(limit=limit))
    told = shop.call("task", "show", blocked).out
    assert re.search(r"^blocked on +limit$", told, re.MULTILINE)
    assert re.search(r'^limit +{"key":"user:7","at_most":1}$', told, re.MULTILINE)
