DELETE FROM tidemill_wait WHERE task = ?
