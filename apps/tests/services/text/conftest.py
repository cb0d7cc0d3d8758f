"""One encoder, one offline `TextAI` and one simulator for all tests here."""

from collections.abc import Callable, Iterator

import httpx
import msgspec
import pytest

from tidemill_apps.services.embedder import SentenceEncoder
from tidemill_apps.services.llmsim.faults import Fault
from tidemill_apps.services.llmsim.running import llmsim
from tidemill_apps.services.text.offline import OfflineText

Break = Callable[..., None]


@pytest.fixture(scope="session")
def encoder() -> SentenceEncoder:
    return SentenceEncoder()


@pytest.fixture(scope="session")
def offline(encoder: SentenceEncoder) -> OfflineText:
    return OfflineText(encoder)


@pytest.fixture(scope="session")
def simulator(encoder: SentenceEncoder) -> Iterator[str]:
    with llmsim(encoder) as base_url:
        yield base_url


@pytest.fixture(scope="session")
def control(simulator: str) -> Iterator[httpx.Client]:
    """The routes of the simulator that are not OpenAI's."""
    with httpx.Client(base_url=simulator.removesuffix("/v1"), timeout=20) as client:
        yield client


@pytest.fixture
def base_url(simulator: str, control: httpx.Client) -> str:
    """The simulator, with nothing left that goes wrong."""
    control.delete("/faults").raise_for_status()
    return simulator


@pytest.fixture
def break_next(base_url: str, control: httpx.Client) -> Break:
    """Tell the simulator what goes wrong next."""

    def told(*faults: Fault) -> None:
        control.post("/faults", content=msgspec.json.encode(faults)).raise_for_status()

    return told


@pytest.fixture
def requests_of(base_url: str, control: httpx.Client) -> Callable[[str], int]:
    """How many requests a route has had."""
    return lambda route: int(control.get("/requests").json()[route])
