"""Which mails a sync fetches is decided from numbers alone."""

from hypothesis import given
from hypothesis import strategies as st

from tidemill_apps.mailroom.imap import FolderState, Plan, advanced, first_unseen, plan
from tidemill_apps.mailroom.imap.planning import BATCH, requests

uids = st.lists(st.integers(1, 10_000))


def test_a_new_folder_is_fetched_from_the_start() -> None:
    assert first_unseen(None, 7) == 1
    assert plan(None, 7, [3, 1, 2]) == Plan(((1, 2, 3),), from_start=True)


def test_a_known_folder_goes_on_after_the_last_uid() -> None:
    state = FolderState(7, 3)
    assert first_unseen(state, 7) == 4
    assert plan(state, 7, [4, 5]) == Plan(((4, 5),), from_start=False)


def test_the_last_mail_that_servers_answer_once_more_is_dropped() -> None:
    assert plan(FolderState(7, 3), 7, [3]) == Plan((), from_start=False)


def test_a_folder_that_counts_anew_is_fetched_from_the_start() -> None:
    assert first_unseen(FolderState(7, 3), 8) == 1
    assert plan(FolderState(7, 3), 8, [1, 2]) == Plan(((1, 2),), from_start=True)


def test_a_full_sync_fetches_all_again() -> None:
    assert first_unseen(FolderState(7, 3), 7, full=True) == 1
    assert plan(FolderState(7, 3), 7, [1, 4], full=True) == Plan(((1, 4),), from_start=True)


@given(uids, st.integers(0, 10_000))
def test_batches_hold_every_unseen_mail_once_in_order(listed: list[int], last: int) -> None:
    batches = plan(FolderState(7, last), 7, listed).batches
    assert [uid for batch in batches for uid in batch] == sorted({n for n in listed if n > last})
    assert all(0 < len(batch) <= BATCH for batch in batches)


def test_the_state_goes_back_only_where_the_count_began_anew() -> None:
    assert advanced(None, 7, 0) == FolderState(7, 0)
    assert advanced(FolderState(7, 400), 7, 50) == FolderState(7, 400)
    assert advanced(FolderState(7, 400), 8, 50) == FolderState(8, 50)


@given(st.dictionaries(st.integers(1, 100), st.integers(0, 300)))
def test_requests_hold_every_mail_once_and_few_bytes(sizes: dict[int, int]) -> None:
    wanted = sorted(sizes)
    parts = list(requests(wanted, sizes, most_bytes=100, at_once=150))
    assert [uid for part in parts for uid in part] == wanted
    assert all(sum(min(sizes[uid], 100) for uid in part) <= 150 for part in parts)


def test_a_mail_of_unknown_size_counts_as_the_largest() -> None:
    assert list(requests([1, 2], {1: 1}, most_bytes=100, at_once=100)) == [(1,), (2,)]
