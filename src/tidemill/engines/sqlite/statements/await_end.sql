WITH given(awaited) AS (VALUES {rows})
DELETE FROM tidemill_await WHERE awaited IN (SELECT awaited FROM given)
