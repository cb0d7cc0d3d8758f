WITH given(schedule, at, count, noted) AS (VALUES {rows})
INSERT INTO tidemill_mark (schedule, at, count, noted)
SELECT * FROM given WHERE schedule IS NOT NULL
ON CONFLICT (schedule) DO UPDATE
SET at = excluded.at, count = excluded.count, noted = excluded.noted
