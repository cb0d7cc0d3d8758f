DELETE FROM tidemill_await WHERE parent = ?
