"""The suite rejects scripts with a bug in them, each by the rule that the bug breaks."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha1

import pytest

from tests.engines.makers import Servers
from tidemill.clock import Clock
from tidemill.engine import Engine
from tidemill.engines import open_engine
from tidemill.engines.redis import documents, feed, history, marks, restore, shard
from tidemill.engines.redis.scripts import Script, script
from tidemill.testing import RULES, check_rule

BY_NAME = {rule.name: rule for rule in RULES}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug: this text in the scripts becomes that one, which this rule must reject."""

    name: str
    text: str
    instead: str
    rule: str


CLAIMED_BY = "record.live.token == token and record.live.claim == claim"
HELD_PLAIN = "held ~= token or held_by ~= claim then"

MUTANTS = (
    Mutant(
        "fenced by state only",
        CLAIMED_BY,
        "true",
        "the_claim_before_the_present_one_changes_nothing",
    ),
    Mutant(
        "claim id ignored",
        CLAIMED_BY,
        "record.live.token == token",
        "the_claim_before_a_reclaim_changes_nothing_afterwards",
    ),
    Mutant(
        "token ignored",
        CLAIMED_BY,
        "record.live.claim == claim",
        "the_right_claim_id_with_another_token_is_stale",
    ),
    Mutant(
        "plain tasks unfenced",
        HELD_PLAIN,
        "false then",
        "a_claim_from_before_a_release_changes_nothing",
    ),
    Mutant(
        "claim id of plain tasks ignored",
        HELD_PLAIN,
        "held ~= token then",
        "the_right_token_with_another_claim_id_is_stale",
    ),
    Mutant(
        "plain tasks settle twice",
        "if state ~= RUNNING or not PLAIN[mask] or held",
        "if not PLAIN[mask] or held",
        "a_bare_completion_twice_is_one",
    ),
    Mutant(
        "token not raised",
        "token, attempt = token + 1, attempt + 1",
        "attempt = attempt + 1",
        "the_token_rises_with_every_claim_whatever_happened_between",
    ),
    Mutant(
        "reclaim leaves the claim",
        "live.claim = ''\n  if live.cancel",
        "if live.cancel",
        "two_reclaims_and_a_late_settlement_have_one_winner",
    ),
    Mutant(
        "extend steals",
        "~= 'running' or not claimed_by(record, token, claim) then",
        "~= 'running' then",
        "a_claim_from_before_a_release_changes_nothing",
    ),
    Mutant(
        "lease not renewed",
        "in_parts(leases, 'ZADD', KEY.leases)\nsave()\nreturn answers",
        "save()\nreturn answers",
        "an_extended_lease_counts_from_the_extension",
    ),
    Mutant(
        "a queue's own lease ignored",
        "(queue_named(queue).lease or lease)",
        "lease",
        "the_queues_own_lease_replaces_the_requests",
    ),
    Mutant(
        "a release burns an attempt",
        "record.live.attempt = record.live.attempt - 1\n  STATES.admit(record, 'released')",
        "STATES.admit(record, 'released')",
        "released_gives_the_attempt_back_and_keeps_its_due_instant",
    ),
    Mutant(
        "a repeated claim takes more",
        "if redis.call('ZSCORE', claims, claim_id) then",
        "if false then",
        "repeating_a_claim_id_answers_the_same_claims_and_takes_no_more",
    ),
    Mutant(
        "a limit's slot leaks",
        "redis.call('SREM', KEY.slots .. limit_place(record), record.id)",
        "",
        "every_outcome_that_leaves_the_slot_admits_the_next",
    ),
    Mutant(
        "a unique key leaks",
        "free_key(record, 'end')",
        "",
        "a_key_until_end_is_free_in_every_final_state",
    ),
    Mutant(
        "parents are not told",
        "tell_of_end(OVER[at])",
        "",
        "the_last_child_lets_its_parent_go_on_whatever_became_of_it",
    ),
    Mutant(
        "promoted twice",
        "redis.call('ZREM', KEY.due, record.id)",
        "local _",
        "a_task_is_promoted_once",
    ),
    Mutant(
        "counts drift",
        "count_move(queue, kind, 'running', 'completed')",
        "count(queue, kind, 'running', -1)",
        "counts_equal_a_recount_while_plain_tasks_come_and_go",
    ),
    Mutant(
        "the feed drops an entry",
        "TOLD_NOW = TOLD_NOW + 1\n  if last[1]",
        "if last[1]",
        "the_feed_tells_every_transition_in_order_with_its_cause",
    ),
    Mutant(
        "unknown types are taken",
        "or not known[kind] then",
        "then",
        "a_request_without_types_claims_nothing",
    ),
    Mutant(
        "parked tasks are lost",
        "record.live.parked = true\n  append(record)",
        "record.live.parked = true",
        "tasks_of_unknown_types_keep_their_place_in_their_lane",
    ),
    Mutant(
        "a pause is ignored",
        "number = queue.paused and 0 or NO_LIMIT",
        "number = NO_LIMIT",
        "a_paused_queue_gives_nothing_and_what_runs_goes_on",
    ),
    Mutant(
        "expiry is ignored",
        "while cancel_expired() do",
        "while false do",
        "an_expired_task_is_cancelled_and_not_answered",
    ),
    Mutant(
        "lower priorities first",
        "return one.priority > other.priority end)\n  end\n  return queues",
        "return one.priority < other.priority end)\n  end\n  return queues",
        "nothing_of_a_lower_priority_is_claimed_while_a_higher_one_is_ready",
    ),
    Mutant(
        "a lost task runs beside others",
        "change_lane(live, true)",
        "",
        "alone_tasks_are_claimed_only_by_those_who_ask_for_them",
    ),
    Mutant(
        "a cancel loses to a retry",
        "if live.cancel and not ENDS[kind] then",
        "if false then",
        "a_requested_cancel_wins_over_running_again",
    ),
    Mutant(
        "a manual retry ignores the key",
        "if first and first.id ~= id then",
        "if false then",
        "a_manual_retry_is_refused_while_another_task_holds_the_key",
    ),
    Mutant(
        "fired without a mark",
        "mark.at = instant",
        "local _ = instant",
        "an_instant_fires_once_even_when_its_task_is_gone",
    ),
    Mutant(
        "fired whatever the version",
        "if version and version ~= version_of(schedule) then",
        "if false then",
        "a_firing_of_another_version_is_refused",
    ),
    Mutant(
        "fired before its time",
        "elseif instant > LEDGER.now then",
        "elseif false then",
        "an_instant_after_now_is_refused_and_may_fire_later",
    ),
    Mutant(
        "by hand moves the mark",
        "if by_hand then",
        "if false then",
        "a_fire_by_hand_leaves_the_mark_where_it_is",
    ),
    Mutant(
        "by hand twice",
        "if made and load(made[1]) then",
        "if false then",
        "a_fire_by_hand_leaves_the_mark_where_it_is",
    ),
    Mutant(
        "skipped fires are counted",
        "(outcome == 'fired' and 1 or 0)",
        "1",
        "a_skipped_fire_names_the_holder_of_the_key_and_is_not_counted",
    ),
    Mutant(
        "the first fires are kept",
        "in_parts(mark.fires, 'LPUSH', KEY.fires .. schedule)",
        "in_parts(mark.fires, 'RPUSH', KEY.fires .. schedule)",
        "only_the_last_fires_are_kept_but_all_are_counted",
    ),
    Mutant(
        "a mark outlives its schedule",
        "redis.call('HDEL', KEY.marks, schedule)",
        "",
        "removing_a_schedule_removes_its_mark",
    ),
    Mutant(
        "ends are counted twice",
        "noted[what] = noted[what] + 1",
        "noted[what] = noted[what] + 2",
        "a_completed_task_is_counted_with_its_times",
    ),
    Mutant(
        "ends are added up twice",
        "redis.call('DEL', KEY.ended)",
        "",
        "a_completed_task_is_counted_with_its_times",
    ),
    Mutant(
        "plain tasks are not counted",
        "note_end(queue, kind, 'completed', started, due)",
        "",
        "every_end_is_counted_as_what_it_was",
    ),
    Mutant(
        "retries are not counted",
        "note_end(live.queue, live.type, 'retried', live.started, live.due)",
        "",
        "every_end_is_counted_as_what_it_was",
    ),
    Mutant(
        "a lost attempt is timed",
        "TIMED[cause] and live.started or 0",
        "live.started",
        "an_attempt_taken_back_is_counted_without_times",
    ),
    Mutant(
        "attempts taken back are not counted",
        "note_end(live.queue, live.type, 'reclaimed', 0, live.due)",
        "",
        "an_attempt_taken_back_is_counted_without_times",
    ),
    Mutant(
        "old minutes stay",
        "'(' .. whole(LEDGER.now - kept)",
        "'(0'",
        "minutes_and_hours_are_forgotten_in_time_and_days_stay",
    ),
    Mutant(
        "a restored task overwrites",
        "if load(id) then\n    return nil",
        "if false then\n    return nil",
        "a_known_id_is_left_as_it_is",
    ),
    Mutant(
        "a restored task has no key",
        "take_key(record)\n  if was",
        "if was",
        "a_restored_task_takes_its_unique_key_if_it_is_free",
    ),
    Mutant(
        "a cancelled task runs after a restore",
        "if was == 'cancelled' then",
        "if false then",
        "a_task_whose_cancel_was_requested_is_cancelled",
    ),
    Mutant(
        "a restored mark overwrites",
        "redis.call('HSETNX', KEY.marks, schedule, mark) == 1",
        "redis.call('HSET', KEY.marks, schedule, mark)",
        "marks_and_tallies_are_restored_where_there_are_none",
    ),
    Mutant(
        "a restored tally overwrites",
        "redis.call('HSETNX', place, field, ARGV[number]) == 1",
        "redis.call('HSET', place, field, ARGV[number])",
        "marks_and_tallies_are_restored_where_there_are_none",
    ),
    Mutant(
        "turns are forgotten",
        "queue.passed = pass\n",
        "\n",
        "turns_are_remembered_between_claims_and_sessions",
    ),
    Mutant(
        "time steps back",
        "LEDGER.now = math.max(now, tonumber(seen[1] or 0))",
        "LEDGER.now = now",
        "time_never_steps_back",
    ),
    Mutant(
        "a second enqueue overwrites",
        "if redis.call('EXISTS', KEY.task .. id) == 0 then",
        "if true then",
        "enqueueing_an_id_twice_is_one_task",
    ),
    Mutant(
        "crashes are forgotten",
        "live.crashes = live.crashes + (outcome.crashed and 1 or 0)",
        "live.crashes = outcome.crashed and 1 or 0",
        "crashes_stay_counted_when_a_later_attempt_is_lost",
    ),
    Mutant(
        "pruned too early",
        "KEY.prune, '-inf', whole(LEDGER.now)",
        "KEY.prune, '-inf', '+inf'",
        "final_tasks_are_removed_when_their_retention_is_over",
    ),
    Mutant(
        "concurrency is ignored",
        "(queue.concurrency or NO_LIMIT) - all",
        "NO_LIMIT",
        "a_queue_gives_no_more_than_its_concurrency",
    ),
    Mutant(
        "worker concurrency is ignored",
        "(queue.worker_concurrency or NO_LIMIT) - own",
        "NO_LIMIT",
        "the_worker_concurrency_counts_what_ran_before_it_was_set",
    ),
    Mutant(
        "a full queue wakes nobody",
        "and has_ready(name) then\n      WOKEN[name] = true",
        "and has_ready(name) then",
        "an_end_wakes_who_waits_at_a_full_queue",
    ),
    Mutant(
        "a rate is not spent",
        "rates().spend(queue, taken[name])",
        "local _",
        "a_burst_starts_at_once_and_then_one_for_each_interval",
    ),
    Mutant(
        "a pause saves up more than a burst",
        "return math.max(0, (queue.owed or 0) - flown)",
        "return (queue.owed or 0) - flown",
        "a_pause_saves_up_a_burst_and_no_more",
    ),
    Mutant(
        "another rate goes on with the bucket",
        "queue.owed, queue.at = nil, nil",
        "",
        "the_same_rate_again_goes_on_and_another_begins_anew",
    ),
    Mutant(
        "capacity is ignored",
        "local without_room = LEDGER.limited and full(batch)",
        "local without_room = false",
        "a_full_queue_refuses_more",
    ),
    Mutant(
        "only pending tasks count against a capacity",
        "and waits_for_its_turn(state) then",
        "and state == 'pending' then",
        "a_full_queue_refuses_more",
    ),
    Mutant(
        "a join starts with each that ends",
        "left[waiter] = before - redis.call('SREM', key, name)",
        "redis.call('SREM', key, name)\n    left[waiter], before = 0, 1",
        "a_task_waits_for_all_of_its_upstream_tasks",
    ),
    Mutant(
        "what breaks is ignored",
        "if not broken or fail == 'continue' then",
        "if true then",
        "a_failed_upstream_task_ends_what_comes_after_it_as_it_says",
    ),
    Mutant(
        "continue is ignored",
        "if not broken or fail == 'continue' then",
        "if not broken then",
        "a_failed_upstream_task_ends_what_comes_after_it_as_it_says",
    ),
    Mutant(
        "skip fails",
        "if fail == 'skip' then",
        "if false then",
        "a_failed_upstream_task_ends_what_comes_after_it_as_it_says",
    ),
    Mutant(
        "the last to break is named",
        "field_of(record, 'broken') or broken",
        "broken or field_of(record, 'broken')",
        "the_first_that_breaks_it_is_the_one_that_is_named",
    ),
    Mutant(
        "a join runs",
        "if joins then",
        "if false then",
        "a_join_has_nothing_to_run",
    ),
    Mutant(
        "a retry does not ask upstream",
        "STATES.ask_upstream(record, 'manual_retry')",
        "STATES.schedule_or_admit(record, 'manual_retry')",
        "a_retried_task_asks_again",
    ),
    Mutant(
        "a restore does not ask upstream",
        "STATES.ask_upstream(record, 'restored')",
        "STATES.schedule_or_admit(record, 'restored')",
        "a_task_that_waited_for_upstream_tasks_waits_again",
    ),
    Mutant(
        "ends are told inside each other",
        "if #OVER > 1 then\n      return",
        "if #OVER > 1 then\n      tell_of_end(OVER[#OVER])\n      return",
        "ends_bring_about_ends_in_order",
    ),
    Mutant(
        "a cached key is freed",
        "if not keep_cached(record, state) then",
        "if true then",
        "a_completed_task_keeps_its_key_while_its_result_is_cached",
    ),
    Mutant(
        "failures are cached",
        "or not unique.cached or state ~= 'completed' then",
        "or not unique.cached then",
        "what_does_not_complete_is_not_cached",
    ),
    Mutant(
        "within is ignored",
        "if wanted.unique.within then",
        "if false then",
        "a_replacement_is_due_within_a_time_of_the_first",
    ),
    Mutant(
        "an admitted task keeps its due instant",
        "next_one.live.blocked, next_one.live.due = nil, LEDGER.now",
        "next_one.live.blocked = nil",
        "keys_take_turns_however_much_one_of_them_has",
    ),
    Mutant(
        "a document is as old as its first version",
        "whole(version + 1) .. ':' .. whole(LEDGER.now)",
        "whole(version + 1) .. ':' .. string.match(present or ':9', ':(%d+)')",
        "a_document_tells_when_it_was_written",
    ),
    Mutant(
        "totals forget what is restored",
        "redis.call('HDEL', KEY.totals .. resolution, begun)\n  end\nend\n\nlocal request",
        "end\nend\n\nlocal request",
        "what_is_restored_into_a_past_stretch_is_answered_together",
    ),
)


@pytest.fixture
def make_valkey(servers: Servers) -> Iterator[Callable[[Clock], Engine]]:
    """Makes engines on fresh stores of one Valkey."""
    with servers.addresses("valkey") as address:
        yield lambda clock: open_engine(address(), clock=clock)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
async def test_scripts_with_a_bug_are_rejected_by_the_rule_it_breaks(
    mutant: Mutant, make_valkey: Callable[[Clock], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = BY_NAME[mutant.rule]
    assert await check_rule(rule, make_valkey)
    changed = itertools.count()

    def with_the_bug(name: str, *, repeatable: bool = True, writes: bool = True) -> Script:
        good = script(name, repeatable=repeatable, writes=writes)
        if mutant.text in good.source:
            next(changed)
        source = good.source.replace(mutant.text, mutant.instead)
        sha = sha1(source.encode(), usedforsecurity=False).hexdigest()
        return Script(name, source, sha, repeatable, writes)

    for module in (documents, feed, history, marks, restore, shard):
        monkeypatch.setattr(module, "script", with_the_bug)
    with pytest.raises(AssertionError):
        await check_rule(rule, make_valkey)
    assert next(changed), "the text that makes the bug is in no script any more"
