DELETE FROM tidemill_body WHERE task = ?
