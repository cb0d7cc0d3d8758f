DELETE FROM tidemill_mark WHERE schedule = ?
