SELECT max(at) FROM tidemill_total WHERE resolution = ?
