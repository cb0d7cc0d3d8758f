SELECT json_object(
    'queues', json((SELECT json_group_object(code, name) FROM tidemill_queue)),
    'types', json((SELECT json_group_object(code, name) FROM tidemill_type)))
