SELECT at FROM tidemill_mark WHERE schedule = ?
