DELETE FROM tidemill_tally WHERE (resolution, at, queue, type) IN (
    SELECT resolution, at, queue, type FROM tidemill_tally
    WHERE resolution = ? AND at < ? ORDER BY at LIMIT ?)
