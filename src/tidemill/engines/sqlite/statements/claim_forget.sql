DELETE FROM tidemill_claim WHERE line <= (
    SELECT max(line) FROM (SELECT line FROM tidemill_claim WHERE at < ? ORDER BY line LIMIT 1000))
