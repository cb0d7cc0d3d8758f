SELECT hex(error) FROM tidemill_task WHERE seq = ?
