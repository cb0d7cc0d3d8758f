DELETE FROM tidemill_total WHERE (resolution, at) IN (
    SELECT resolution, at FROM tidemill_total
    WHERE resolution = ? AND at < ? ORDER BY at LIMIT ?)
