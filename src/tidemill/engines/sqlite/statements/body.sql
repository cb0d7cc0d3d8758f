SELECT payload FROM tidemill_body WHERE task = ?
