"""Acting on each of several things that were named, whatever becomes of the others."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec
import typer

from tidemill.app import Tidemill
from tidemill.cli.output import Listing, show
from tidemill.cli.session import Session
from tidemill.engine import Engine
from tidemill.errors import Conflict, NotFound, TidemillError


class Kind(msgspec.Struct, frozen=True):
    """What is acted on: its name in JSON, and the field by which each is told from the others."""

    plural: str
    key: str


def act_on_each(
    session: Session,
    kind: Kind,
    names: Sequence[str],
    act: Callable[[Tidemill, str], Awaitable[str]],
) -> None:
    """Act on each name, tell the state that every one is in, and end with the gravest problem.

    A problem with a single name is an error like any other.
    """

    async def run(app: Tidemill, _: Engine) -> list[TidemillError | str]:
        answers: list[TidemillError | str] = []
        for name in names:
            try:
                answers.append(await act(app, name))
            except (NotFound, Conflict) as error:
                answers.append(error)
        return answers

    answers = session.run(run)
    problems = [each for each in answers if isinstance(each, TidemillError)]
    if len(names) == 1 and problems:
        raise problems[0]
    records = [
        {
            kind.key: name,
            "state": None if isinstance(answer, TidemillError) else answer,
            "problem": session.say.error(answer) if isinstance(answer, TidemillError) else None,
        }
        for name, answer in zip(names, answers, strict=True)
    ]
    columns = {
        f"column.{kind.key}": lambda record: record[kind.key],
        "column.state": lambda record: record["state"],
        "column.problem": lambda record: record["problem"],
    }
    show(session, Listing(kind.plural, records, columns))
    if problems:
        raise typer.Exit(max(problem.exit_code for problem in problems))
