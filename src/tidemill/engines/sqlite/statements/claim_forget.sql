DELETE FROM tidemill_claim WHERE line IN (
    SELECT line FROM (SELECT line, at FROM tidemill_claim ORDER BY line LIMIT 128) WHERE at < ?)
