SELECT tasks FROM tidemill_claim WHERE claim = ?
