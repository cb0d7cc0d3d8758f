INSERT INTO tidemill_claim (claim, at, tasks) VALUES (?, ?, ?)
