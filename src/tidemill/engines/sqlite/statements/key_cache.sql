UPDATE tidemill_unique SET until = ?
WHERE queue = ? AND key = ? AND id = ? AND (until IS NULL OR until > ?)
