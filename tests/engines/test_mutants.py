"""The suite rejects broken engines, each by the rule that its bug breaks."""

import pytest

from tests.engines.mutants import books, claims, lanes, queues, steps, times, upstream
from tidemill.clock import VirtualClock
from tidemill.engines.memory import MemoryEngine
from tidemill.testing import RULES, check_engine, check_rule

BY_NAME = {rule.name: rule for rule in RULES}

MUTANTS: list[tuple[type[MemoryEngine], str]] = [
    (claims.Unfenced, "the_claim_before_a_reclaim_changes_nothing_afterwards"),
    (claims.FencedByState, "the_claim_before_the_present_one_changes_nothing"),
    (claims.ClaimIdIgnored, "the_right_token_with_another_claim_id_is_stale"),
    (claims.TokenIgnored, "the_right_claim_id_with_another_token_is_stale"),
    (claims.ReclaimLeavesTheClaim, "two_reclaims_and_a_late_settlement_have_one_winner"),
    (claims.TokenResetOnSnooze, "the_token_rises_with_every_claim_whatever_happened_between"),
    (claims.ReleaseBurnsAnAttempt, "released_gives_the_attempt_back_and_keeps_its_due_instant"),
    (claims.SettlesTwice, "settling_twice_is_settling_once"),
    (
        claims.RepeatedClaimTakesMore,
        "repeating_a_claim_id_answers_the_same_claims_and_takes_no_more",
    ),
    (claims.EmptyClaimForgotten, "a_claim_id_that_took_nothing_is_remembered"),
    (claims.ShortMemoryOfClaims, "a_claim_id_is_remembered_over_an_hour_and_63_later_claims"),
    (books.LimitSlotLeaked, "every_outcome_that_leaves_the_slot_admits_the_next"),
    (books.UniqueKeyLeaked, "a_key_until_end_is_free_in_every_final_state"),
    (books.UniqueKeyLeakedByACrash, "a_crash_keeps_the_key_only_while_the_task_lives"),
    (books.FeedDropsAnEntry, "the_feed_tells_every_transition_in_order_with_its_cause"),
    (books.StatsDrift, "counts_equal_a_recount_after_every_verb"),
    (books.PromotedTwice, "a_task_is_promoted_once"),
    (books.ReclaimIgnoresCrashes, "crashes_stay_counted_when_a_later_attempt_is_lost"),
    (books.ReclaimPunishesNeighbours, "a_task_lost_with_its_worker_is_not_punished"),
    (
        books.ChildrenCountedBeforeEnqueue,
        "children_made_in_the_same_settlement_are_waited_for",
    ),
    (steps.BatchNotAtomic, "an_enqueued_batch_that_is_refused_leaves_nothing_behind"),
    (times.FireNotAtomic, "a_fired_batch_that_is_refused_leaves_nothing_behind"),
    (times.FireWithoutAMark, "an_instant_fires_once_even_when_its_task_is_gone"),
    (times.FireWhateverTheVersion, "a_firing_of_another_version_is_refused"),
    (times.FireByHandMovesTheMark, "a_fire_by_hand_leaves_the_mark_where_it_is"),
    (times.SkippedFiresCounted, "a_skipped_fire_names_the_holder_of_the_key_and_is_not_counted"),
    (times.MarksOutliveTheirSchedules, "removing_a_schedule_removes_its_mark"),
    (times.HistoryCountsStale, "a_stale_settlement_is_not_counted"),
    (times.HistoryGoesWithItsTasks, "history_outlives_its_tasks"),
    (
        times.RestoreSpendsTheAttempt,
        "a_running_task_is_pending_again_without_an_attempt_spent",
    ),
    (times.RestoreOverwritesMarks, "marks_and_tallies_are_restored_where_there_are_none"),
    (queues.ConcurrencyIgnored, "a_queue_gives_no_more_than_its_concurrency"),
    (queues.WorkerConcurrencyIgnored, "a_worker_gets_no_more_than_the_worker_concurrency"),
    (queues.RateNotSpent, "a_burst_starts_at_once_and_then_one_for_each_interval"),
    (
        queues.EveryDefinitionBeginsTheRateAnew,
        "the_same_rate_again_goes_on_and_another_begins_anew",
    ),
    (queues.CapacityIgnored, "a_full_queue_refuses_more"),
    (queues.CapacityCountsCalls, "a_batch_is_refused_whole"),
    (queues.WithinIgnored, "a_replacement_is_due_within_a_time_of_the_first"),
    (queues.CachedKeyFreed, "a_completed_task_keeps_its_key_while_its_result_is_cached"),
    (queues.FailureCached, "what_does_not_complete_is_not_cached"),
    (queues.AdmittedKeepsItsDue, "keys_take_turns_however_much_one_of_them_has"),
    (upstream.JoinStartsEarly, "a_task_waits_for_all_of_its_upstream_tasks"),
    (upstream.BrokenIgnored, "a_failed_upstream_task_ends_what_comes_after_it_as_it_says"),
    (upstream.SkipFails, "a_cancelled_upstream_task_cancels_what_comes_after_it"),
    (upstream.TheLastBreaksIt, "the_first_that_breaks_it_is_the_one_that_is_named"),
    (upstream.JoinsHaveToRun, "a_join_has_nothing_to_run"),
    (upstream.RetryGoesAhead, "a_retried_task_asks_again"),
    (upstream.RestoreGoesAhead, "a_task_that_waited_for_upstream_tasks_waits_again"),
    (upstream.WaitsForItself, "a_task_does_not_wait_for_itself"),
    (upstream.EndsByOthersTellNobody, "a_cancelled_upstream_task_cancels_what_comes_after_it"),
    (steps.CancelLosesToRetry, "a_requested_cancel_wins_over_running_again"),
    (steps.CancelBeatsCompleted, "a_requested_cancel_loses_to_completed_and_failed"),
    (steps.CancelledStillEnqueues, "a_requested_cancel_wins_over_running_again"),
    (steps.SecondEnqueueOverwrites, "enqueueing_an_id_that_exists_changes_nothing"),
    (steps.RetryIgnoresTheKey, "a_manual_retry_is_refused_while_another_task_holds_the_key"),
    (steps.UnknownTypesClaimed, "tasks_of_unknown_types_stay_as_they_are"),
    (steps.ExpiryIgnored, "an_expired_task_is_cancelled_and_not_answered"),
    (steps.PauseIgnored, "a_paused_queue_gives_nothing_and_what_runs_goes_on"),
    (steps.TurnsForgotten, "turns_are_remembered_between_claims_and_sessions"),
    (steps.QueueAfterQueue, "a_batch_is_handled_in_order_across_queues"),
    (lanes.LanesByDue, "a_lane_is_claimed_in_the_order_its_tasks_became_pending"),
    (lanes.OldPlaceKept, "a_task_that_runs_again_goes_to_the_end_of_its_lane"),
    (lanes.AloneLast, "alone_tasks_stand_before_the_others_of_their_lane"),
    (lanes.PassedOverLast, "tasks_of_unknown_types_keep_their_place_in_their_lane"),
    (lanes.LimitsByArrival, "tasks_let_in_by_a_limit_arrive_then"),
    (lanes.PriorityIgnored, "nothing_of_a_lower_priority_is_claimed_while_a_higher_one_is_ready"),
    (lanes.PriorityIgnored, "one_claim_answers_by_priority_then_arrival"),
    (lanes.FloodStarves, "a_flooded_queue_starves_no_other"),
]


@pytest.mark.parametrize(("mutant", "rule"), MUTANTS, ids=[each.__name__ for each, _ in MUTANTS])
async def test_a_broken_engine_is_rejected_by_the_rule_it_breaks(
    mutant: type[MemoryEngine], rule: str
) -> None:
    ordered = mutant(clock=VirtualClock()).info.ordered
    assert await check_rule(BY_NAME[rule], lambda clock: MemoryEngine(clock=clock, ordered=ordered))
    with pytest.raises(AssertionError):
        await check_rule(BY_NAME[rule], lambda clock: mutant(clock=clock))


async def test_check_engine_names_every_rule_that_is_broken() -> None:
    kept, broken = "enqueueing_an_id_twice_is_one_task", "a_task_is_promoted_once"
    with pytest.raises(ExceptionGroup, match="1 of 2 engine rules are broken") as failure:
        await check_engine(
            lambda clock: books.PromotedTwice(clock=clock), [BY_NAME[kept], BY_NAME[broken]]
        )
    [error] = failure.value.exceptions
    assert any(broken in note for note in error.__notes__)
