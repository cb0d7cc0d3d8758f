-- needs: states search
-- Removal: a final task goes, with all that belongs to it.

function STATES.remove(record)
  free_key(record, 'any')
  leave(record, nil)
  hide(record)
  count(record.live.queue, record.live.type, record.live.state, -1)
  tell(record, 'removed')
  changed(record)
  record.gone = true
  RECORDS[record.id] = false
end
