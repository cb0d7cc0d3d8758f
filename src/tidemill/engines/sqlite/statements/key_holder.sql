SELECT json_array(lower(hex(id)), until) FROM tidemill_unique WHERE queue = ? AND key = ?
