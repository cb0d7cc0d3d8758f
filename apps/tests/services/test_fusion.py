"""Rankings merged."""

from tidemill_apps.services.fusion import fuse


def test_what_both_find_comes_before_what_one_finds() -> None:
    fused = fuse(["a", "b", "c"], ["c", "d"])
    assert [each.id for each in fused] == ["c", "a", "b", "d"]
    assert fused[0].ranks == (3, 1)
    assert fused[1].ranks == (1, None)
    assert [each.score for each in fused] == sorted((e.score for e in fused), reverse=True)


def test_a_repeated_id_has_its_first_rank_and_takes_no_second_one() -> None:
    assert [(each.id, each.ranks) for each in fuse(["a", "a", "b"])] == [("a", (1,)), ("b", (2,))]


def test_nothing_merged_is_nothing() -> None:
    assert fuse() == fuse([], []) == []
