WITH given(child, parent) AS (VALUES {rows})
INSERT INTO tidemill_await (child, parent) SELECT child, parent FROM given WHERE child IS NOT NULL
