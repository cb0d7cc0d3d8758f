"""`tidemill workflow …` on workflows that a program has enqueued."""

from typing import Any

from tests.cli.conftest import Shop
from tidemill import Tidemill
from tidemill.app.workflows import WorkflowHandle
from tidemill.engine import ClaimRequest, Engine
from tidemill.ids import IdMaker
from tidemill.outcome import Completed, Failed, Settlement
from tidemill.testing.builders import BROKE


def _build(shop: Shop, *, fails: bool = False, run: int = 0) -> tuple[str, list[str]]:
    """A chord of three parts and a sum, some of its parts settled; its id and those of steps."""
    built: dict[str, Any] = {}

    async def build(engine: Engine) -> None:
        app = Tidemill(shop.url)
        app.use_engine(engine)

        @app.task(name="part", max_attempts=1)
        async def part(n: int) -> int:
            return n

        @app.task(name="sum")
        async def total(parts: list[int]) -> int:
            return sum(parts)

        flow = app.chord([part.call(n) for n in range(3)], total.partial(), name="sums")
        handle: WorkflowHandle[int] = await flow.enqueue()
        built["id"], built["steps"] = handle.id, [step.id for step in await handle.steps()]
        claims = await engine.claim(
            ClaimRequest(
                claim_id=IdMaker().make(),
                worker="w1",
                queues=None,
                task_types=frozenset({"part"}),
                limit=max(1, run),
            )
        )
        for claim in claims[:run]:
            outcome = Failed(BROKE) if fails and claim is claims[0] else Completed(b"\x01J\x001")
            await engine.settle([Settlement(claim.ref, outcome)])
        await app.close()

    shop.on_engine(build)
    return built["id"], built["steps"]


def test_workflows_are_listed_newest_first_with_their_share(shop: Shop) -> None:
    done, _ = _build(shop, run=3, fails=True)
    live, _ = _build(shop, run=2)
    records = shop.call("workflow", "ls", "-o", "json").json["workflows"]
    assert [(each["id"], each["state"], each["steps"]) for each in records] == [
        (live, "blocked", 4),
        (done, "failed", 4),
    ]
    assert [each["percent"] for each in records] == [50, 100]
    assert records[1]["problem"].startswith("UpstreamFailed: task ")
    lines = shop.call("workflow", "ls").out.splitlines()
    assert lines[0].split() == "ID NAME STATE PROGRESS STEPS ENQUEUED PROBLEM".split()
    assert lines[1].split()[:6] == [live, "sums", "blocked", "50", "%", "4"]
    only = shop.call("workflow", "ls", "--state", "failed", "-o", "jsonl")
    assert only.json["id"] == done


def test_a_page_of_workflows_tells_how_to_go_on(shop: Shop) -> None:
    older, _ = _build(shop)
    newer, _ = _build(shop)
    said = shop.call("workflow", "ls", "--limit", "1")
    assert newer in said.out
    cursor = said.err.removeprefix("there are more: --before ").strip()
    page = shop.call("workflow", "ls", "--before", cursor, "-o", "json").json["workflows"]
    assert [each["id"] for each in page] == [older]


def test_a_workflow_is_shown_with_its_steps_and_what_stopped_it(shop: Shop) -> None:
    workflow_id, steps = _build(shop, run=3, fails=True)
    out = shop.call("workflow", "show", workflow_id).out
    assert "\nprogress    100 %\n" in out
    assert "\nsteps       completed 2, failed 2\n" in out
    assert f"\nstopped by  1  part  {BROKE.type}: {BROKE.message}\n" in out
    heading, *rows = out.partition("\n\n")[2].splitlines()
    assert heading.split() == "STEP LEVEL TYPE STATE TOOK AFTER ID PROBLEM".split()
    assert [row.split()[:4] for row in rows] == [
        ["1", "0", "part", "failed"],
        ["2", "0", "part", "completed"],
        ["3", "0", "part", "completed"],
        ["4", "1", "sum", "failed"],
    ]
    assert f"  1-3    {steps[3]}  UpstreamFailed: task {steps[0]} failed" in rows[3]
    record = shop.call("workflow", "show", workflow_id, "-o", "json").json
    assert record["workflow"]["counts"] == {"completed": 2, "failed": 2}
    assert record["workflow"]["breakers"] == [steps[0]]
    assert [each["id"] for each in record["steps"]] == steps
    assert [each["after"] for each in record["steps"]] == [[], [], [], [1, 2, 3]]


def test_the_table_of_steps_is_cut_where_the_limit_says(shop: Shop) -> None:
    workflow_id, _ = _build(shop)
    said = shop.call("workflow", "show", workflow_id, "--limit", "2")
    assert len(said.out.partition("\n\n")[2].splitlines()) == 3
    assert said.err == "2 of 4 steps are shown: --limit says how many\n"
    assert len(shop.call("workflow", "show", workflow_id, "-o", "jsonl").out.splitlines()) == 4


def test_a_workflow_is_cancelled_and_retried_as_a_whole(shop: Shop) -> None:
    workflow_id, steps = _build(shop, run=1)
    said = shop.call("workflow", "cancel", workflow_id, "--reason", "no more", "-o", "json")
    assert said.json["workflows"] == [{"id": workflow_id, "state": "cancelled", "problem": None}]
    record = shop.call("workflow", "show", workflow_id, "-o", "json").json
    assert [each["state"] for each in record["steps"]] == ["completed"] + ["cancelled"] * 3
    assert record["steps"][3]["reason"] == "no more"
    assert shop.call("workflow", "ls", "-o", "json").json["workflows"][0]["percent"] is None
    said = shop.call("workflow", "retry", workflow_id, "-o", "json")
    assert said.json["workflows"][0]["state"] == "blocked"
    assert shop.call("task", "show", steps[1], "-o", "json").json["state"] == "pending"


def test_what_is_no_workflow_is_not_found(shop: Shop) -> None:
    (task,) = shop.enqueue(shop.new())
    for words in (["show", task], ["cancel", task], ["retry", task]):
        said = shop.call("workflow", *words)
        assert (said.code, said.err.startswith(f"error: there is no workflow {task}")) == (3, True)
    assert shop.call("workflow", "show", "x").code == 2
    workflow_id, _ = _build(shop)
    said = shop.call("workflow", "retry", workflow_id)
    assert (said.code, said.err.endswith("it is blocked\n")) == (1, True)


def test_a_step_is_shown_like_any_other_task(shop: Shop) -> None:
    workflow_id, steps = _build(shop)
    page = shop.call("task", "show", steps[3]).out
    assert f"parent                {workflow_id}\n" in page
    assert "waits for             3\n" in page
    assert "comes after" in page
    assert shop.call("workflow", "show", workflow_id, "--lang", "zh").out.count("blocked") == 2
