WITH given(awaited, waiting) AS (VALUES {rows})
INSERT INTO tidemill_await (awaited, waiting)
SELECT awaited, waiting FROM given WHERE awaited IS NOT NULL
