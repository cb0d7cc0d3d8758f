DELETE FROM tidemill_fire WHERE mark = (SELECT code FROM tidemill_mark WHERE schedule = ?)
