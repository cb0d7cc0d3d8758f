DELETE FROM tidemill_await WHERE waiting = ?
