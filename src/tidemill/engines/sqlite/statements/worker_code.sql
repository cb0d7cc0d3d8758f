INSERT INTO tidemill_worker (name) VALUES (?)
ON CONFLICT (name) DO UPDATE SET name = name
RETURNING code
