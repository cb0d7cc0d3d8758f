"""`tidemill reindex`: make again what people search by, where an engine keeps that apart."""

import typer

from tidemill.app import Tidemill
from tidemill.cli.output import show_one
from tidemill.cli.progress import progress
from tidemill.cli.session import Session
from tidemill.engine import Engine
from tidemill.engines import Indexed
from tidemill.engines.sealed import stored


def reindex(context: typer.Context) -> None:
    """Make the engine's search index again; what runs goes on meanwhile."""
    session = Session.of(context)
    say = session.say

    async def run(_: Tidemill, engine: Engine) -> tuple[str, int | None]:
        name = engine.info.name
        kept = stored(engine)
        if not isinstance(kept, Indexed):
            return name, None
        stats = await engine.stats()
        total = sum(each.count for each in stats.counts)
        with progress(say, "reindex.indexing", total) as advance:
            return name, await kept.reindex(lambda done: advance(min(done, total)))

    name, indexed = session.run(run)
    shown = say("reindex.not_needed", name=name) if indexed is None else indexed
    lines = {"doctor.engine": name, "reindex.indexed": shown}
    show_one(session, {"engine": name, "indexed": indexed}, lines)
