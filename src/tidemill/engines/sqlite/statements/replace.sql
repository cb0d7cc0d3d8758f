UPDATE tidemill_task SET payload = ?, priority = ?, expires_at = ?, extra = ? WHERE seq = ?
