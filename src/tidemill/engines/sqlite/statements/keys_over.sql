DELETE FROM tidemill_unique WHERE until IS NOT NULL AND until <= ?
