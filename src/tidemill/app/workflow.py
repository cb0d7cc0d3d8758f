"""Building a workflow: steps, what each comes after, and whose results it takes."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, get_args

import msgspec

from tidemill.app.function import Call, Partial
from tidemill.app.workflows import WORKFLOW, BlockingWorkflowHandle, Root, WorkflowHandle
from tidemill.codec import DEFAULT_CODEC
from tidemill.errors import ConfigError
from tidemill.events import TaskEnqueued
from tidemill.ids import is_name
from tidemill.inputs import INPUTS, Placeholder, header_of
from tidemill.task import After, NewTask

if TYPE_CHECKING:
    from tidemill.app.tidemill import Tidemill

R = TypeVar("R")
S = TypeVar("S")

OnFailure = Literal["fail", "skip", "continue"]
Part = Call[Any] | Partial[Any]
Element = Part | Sequence[Part]


class Step(Generic[R]):
    """One task of a workflow that is being built."""

    def __init__(self, task: NewTask) -> None:
        self._task = task

    @property
    def id(self) -> str:
        """The id that its task will have."""
        return self._task.id

    @property
    def result(self) -> R:
        """What it will return, as an argument for later steps; there is no value to look at yet."""
        return cast("R", Placeholder(self.id))

    def __repr__(self) -> str:
        return f"<step {self._task.task_type} {self.id}>"


class Workflow(Generic[R]):
    """Steps, each enqueued with the others and run when those that it comes after are final.

    `on_failure` says what becomes of a step, and of the whole, after one that failed or was
    cancelled: it fails (or is cancelled) too, it is skipped, or it runs all the same. The whole
    has the queue, user and project of its first step.
    """

    def __init__(self, app: "Tidemill", name: str, on_failure: OnFailure) -> None:
        if not is_name(name):
            raise ConfigError(f"{name!r} cannot name a workflow: use 1-200 of A-Z a-z 0-9 _ . : -")
        self._app = app
        self._name = name
        self._on_failure = _checked(on_failure)
        self._steps: dict[str, NewTask] = {}
        self._last: dict[str, None] = {}
        self._many = False
        self._root: NewTask | None = None

    def __repr__(self) -> str:
        return f"<workflow {self._name} of {len(self._steps)} steps>"

    def add(
        self,
        call: Call[S],
        *,
        after: Iterable[Step[Any]] = (),
        on_failure: OnFailure | None = None,
    ) -> Step[S]:
        """Add a step, which comes after those whose results it takes and those named in `after`.

        `on_failure` is its own rule instead of the workflow's. Under `continue`, it gets None for
        the result of a step that failed. It has no unique key. Raises `ConfigError`.
        """
        if self._root is not None:
            raise ConfigError(f"the workflow {self._name} was enqueued already: build another one")
        places = call.around.places if call.around else {}
        upstream = dict.fromkeys([*places.values(), *(step.id for step in after)])
        if not upstream.keys() <= self._steps.keys():
            raise ConfigError(
                f"{call.task_type.name} comes after a step that was added to another workflow than "
                f"this one, {self._name}: add both to one"
            )
        for name in places.values():
            source = self._steps[name].task_type
            if not self._app.task_types[source].keep_result:
                raise ConfigError(
                    f"{call.task_type.name} takes the result of {source}, which is declared with "
                    "keep_result=False and has none"
                )
        task = call.new_step()
        if task.id in self._steps:
            raise ConfigError(f"two steps of {self._name} have the id {task.id}: leave `id` out")
        if upstream:
            numbers = {name: number for number, name in enumerate(upstream)}
            header = header_of((place, numbers[name]) for place, name in places.items())
            task = msgspec.structs.replace(
                task,
                after=After(tuple(upstream), _checked(on_failure or self._on_failure)),
                headers=task.headers | {INPUTS: header} if places else task.headers,
            )
        self._steps[task.id] = task
        for name in upstream:
            self._last.pop(name, None)
        self._last[task.id] = None
        return Step(task)

    def new_tasks(self, *, parent_id: str | None = None) -> list[NewTask]:
        """The tasks of the steps, and behind them the one that stands for the whole.

        The same ones at each call; no step can be added after the first.
        """
        if not self._steps:
            raise ConfigError(f"the workflow {self._name} has no steps: add one")
        root = self._root or self._whole()
        self._root = root
        steps = [msgspec.structs.replace(each, parent_id=root.id) for each in self._steps.values()]
        tasks = [*steps, msgspec.structs.replace(root, parent_id=parent_id)]
        if parent_id is None:
            return tasks
        with self._app.sending(tasks) as children:  # their parent's settlement enqueues them
            return children

    def _whole(self) -> NewTask:
        first = next(iter(self._steps.values()))
        numbers = {name: number for number, name in enumerate(self._steps)}
        last = tuple(numbers[name] for name in self._last)
        return NewTask(
            id=self._app.new_id(first.queue),
            task_type=WORKFLOW,
            payload=DEFAULT_CODEC.encode(Root(self._name, last, self._many or len(last) > 1)),
            queue=first.queue,
            retention=self._app.settings.defaults.retention,
            after=After(tuple(self._steps), self._on_failure, joins=True),
            user_id=first.user_id,
            project_id=first.project_id,
        )

    async def enqueue(self, *, tx: Any = None) -> WorkflowHandle[R]:
        """Enqueue all steps in one call of the engine; repeating it is safe.

        `tx` is what `TaskFunction.options` says of it.
        """
        tasks = self.new_tasks()
        engine = await self._app.engine()
        with self._app.sending(tasks) as sent:
            answers = await engine.enqueue(sent, tx=tx)
        if self._app.bus.wanted(TaskEnqueued):
            for task, answer in zip(tasks, answers, strict=True):
                self._app.bus.emit(TaskEnqueued(task, answer.task_id, answer.duplicate))
        return WorkflowHandle(self._app, tasks[-1].id)

    def delay(self) -> BlockingWorkflowHandle[R]:
        """Enqueue from ordinary code and wait until the engine has accepted the workflow.

        On a running event loop it raises `ConfigError`: await `enqueue` there.
        """
        return self._app.run_blocking(self.enqueue()).blocking

    # the short forms

    def add_in_turn(self, elements: Iterable[Element]) -> None:
        """Add a chain: each element comes after the one before, and takes its result if partial.

        The calls of a list run side by side; what comes after them takes the list of results.
        """
        before: Step[Any] | list[Step[Any]] | None = None
        for element in elements:
            if isinstance(element, Call | Partial):
                before = self._add_after(element, before)
            elif isinstance(element, list | tuple):
                if not element:
                    raise ConfigError(f"{self._name} has an empty list of calls")
                before = [self._add_after(each, before) for each in element]
            else:
                raise _no_part(element)
        self._many = isinstance(before, list)

    def _add_after(self, part: Part, before: Step[Any] | list[Step[Any]] | None) -> Step[Any]:
        steps = before if isinstance(before, list) else [before] if before else []
        if isinstance(part, Call):
            return self.add(part, after=steps)
        if not isinstance(part, Partial):
            raise _no_part(part)
        if before is None:
            raise ConfigError(f"{part!r} has no step before it whose result it could take")
        result = [step.result for step in before] if isinstance(before, list) else before.result
        return self.add(part.with_result(result), after=steps)


def _no_part(element: object) -> ConfigError:
    return ConfigError(
        f"a workflow is made of calls, partial calls and lists of them, not of {element!r}"
    )


def _checked(on_failure: OnFailure) -> OnFailure:
    if on_failure not in get_args(OnFailure):
        raise ConfigError(f"on_failure={on_failure!r}: say fail, skip or continue")
    return on_failure
