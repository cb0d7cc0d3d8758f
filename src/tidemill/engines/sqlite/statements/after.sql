SELECT body FROM tidemill_after WHERE task = ?
