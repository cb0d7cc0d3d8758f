WITH given(schedule, place, n, at, recorded_at, outcome, task, missed, by_hand) AS (VALUES {rows})
INSERT OR REPLACE INTO tidemill_fire
    (mark, place, n, at, recorded_at, outcome, task, missed, by_hand)
SELECT m.code, given.place, given.n, given.at, given.recorded_at, given.outcome, given.task,
    given.missed, given.by_hand
FROM given CROSS JOIN tidemill_mark AS m ON m.schedule = given.schedule
