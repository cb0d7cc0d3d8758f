SELECT body FROM tidemill_attempt WHERE task = ? ORDER BY line DESC LIMIT 1
