SELECT EXISTS (SELECT 1 FROM tidemill_claim WHERE claim = ?)
