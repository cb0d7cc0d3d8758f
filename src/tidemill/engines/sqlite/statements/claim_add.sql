INSERT INTO tidemill_claim (claim, at) VALUES (?, ?)
