from tests.cli.conftest import Shop
from tidemill.outcome import Cancelled, Completed, Failed
from tidemill.testing.builders import BROKE


def _states(shop: Shop) -> list[str]:
    return sorted(task["state"] for task in shop.call("task", "ls", "-o", "json").json["tasks"])


def _fill(shop: Shop) -> None:
    shop.end(shop.new(), shop.new(task_type="mail"), outcome=Completed())
    shop.end(shop.new(), outcome=Failed(BROKE))
    shop.end(shop.new(), outcome=Cancelled("no need"))
    shop.enqueue(shop.new())


def test_pruning_counts_first_and_changes_nothing_without_a_yes(shop: Shop) -> None:
    _fill(shop)
    dry = shop.call("prune", "--older-than", "0s", "--dry-run", "-o", "json")
    assert dry.json == {"found": 4, "pruned": 0, "dry_run": True}
    said = shop.program("prune", "--older-than", "0s", "--engine", shop.url)
    assert said.code == 2
    assert said.err == (
        "4 tasks that ended more than 0s ago will be removed for good.\n"
        "error: nobody is there to ask: repeat the command with --yes\n"
    )
    assert len(_states(shop)) == 5


def test_only_final_tasks_of_that_age_go(shop: Shop) -> None:
    _fill(shop)
    young = shop.call("prune", "--older-than", "30d", "-o", "json")
    assert young.json == {"found": 0, "pruned": 0, "dry_run": False}
    said = shop.call("prune", "--older-than", "0s", "--yes", "-o", "json")
    assert said.json == {"found": 4, "pruned": 4, "dry_run": False}
    assert said.err.splitlines()[-1] == "removing: 4 of 4"
    assert _states(shop) == ["pending"]
    assert shop.call("stats", "-o", "json").json["total"] == 4


def test_states_and_types_narrow_what_goes(shop: Shop) -> None:
    _fill(shop)
    words = ["prune", "--older-than", "0s", "--yes"]
    assert shop.call(*words, "--type", "mail", "-o", "json").json["pruned"] == 1
    both = shop.call(*words, "--state", "failed", "--state", "cancelled", "-o", "json")
    assert both.json["pruned"] == 2
    assert _states(shop) == ["completed", "pending"]


def test_more_than_a_page_goes_too(shop: Shop) -> None:
    shop.end(*(shop.new() for _ in range(1_201)), outcome=Completed())
    said = shop.call("prune", "--older-than", "0s", "--yes", "-o", "json")
    assert said.json["pruned"] == 1_201
    assert "looking: 1,000\n" in said.err
    assert said.err.splitlines()[-1] == "removing: 1,201 of 1,201"
    assert _states(shop) == []


def test_live_tasks_cannot_be_pruned(shop: Shop) -> None:
    said = shop.call("prune", "--older-than", "0s", "--state", "running", "--state", "failed")
    assert said.code == 2
    assert said.err == "error: running tasks cannot be pruned: only final ones can be removed\n"
    assert shop.call("prune", "--older-than", "old").code == 2
    assert shop.call("prune").code == 2
