SELECT json_group_array(json_array(queue, type, state, alone, n)) FROM tidemill_count WHERE n > 0
