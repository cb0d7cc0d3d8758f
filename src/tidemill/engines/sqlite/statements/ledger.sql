SELECT json_object(
    'next_seq', (SELECT coalesce(max(max(seq), 0), 0) + 1 FROM tidemill_task),
    'next_restored', (SELECT coalesce(min(min(seq), 0), 0) - 1 FROM tidemill_task),
    'fed', (SELECT first + n FROM tidemill_feed ORDER BY first DESC LIMIT 1),
    'at', (SELECT at FROM tidemill_feed ORDER BY first DESC LIMIT 1),
    'queues', json((SELECT json_group_array({queue}) FROM tidemill_queue AS q)),
    'types', json((SELECT json_group_array(json_array(code, name)) FROM tidemill_type))
)
