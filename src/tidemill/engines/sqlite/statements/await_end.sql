DELETE FROM tidemill_await WHERE child = ?
