DELETE FROM tidemill_document WHERE kind = ? AND key = ?
