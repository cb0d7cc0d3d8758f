DELETE FROM tidemill_total WHERE resolution = ? AND at >= ?
