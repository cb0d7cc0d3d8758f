-- needs: states
-- Plain tasks have no rules and nothing beside their row that their next step needs. Most tasks are
-- plain most of the time, and their three common steps (enqueued and pending; running; completed)
-- touch nothing but the row, one lane and the batch's lists: they are taken here on the row itself,
-- without the tables of a record (a claim: 11.4 us for each task instead of 14.4, a settlement 10.3
-- instead of 12.4). STATES says what the same steps mean in full; a task that this script has loaded
-- as a record is left to it.

local PENDING, RUNNING, COMPLETED = STATE_CODES.pending, STATE_CODES.running, STATE_CODES.completed

-- Which flags a plain task may have: people search for it by labels, others wait for it, it came after
-- others. `PLAIN` has every mask of these.
local LABELS, WAITED, AFTER = FLAG_VALUES.labels, FLAG_VALUES.waited, FLAG_VALUES.after
local PLAIN = {
  [0] = true, [LABELS] = true, [WAITED] = true, [LABELS + WAITED] = true,
  [AFTER] = true, [AFTER + LABELS] = true, [AFTER + WAITED] = true, [AFTER + LABELS + WAITED] = true,
}

-- Whether the index need not look at the record of a plain task.
local function is_bare(mask)
  return mask % (2 * LABELS) < LABELS
end

-- Makes a new task pending; its id is not in use.
local function enqueue_plain(id, queue, kind, priority, attempts, number, labels)
  local lane = name_of_lane(queue, priority)
  local waiting = ready(lane)
  if waiting == 0 then
    WOKEN[queue] = true
    if redis.call('EXISTS', KEY.lane .. lane) == 0 then
      open_lane(lane)
    end
  end
  READY[lane] = waiting + 1
  local arrival = LEDGER.arrived + 1
  LEDGER.arrived = arrival
  redis.call('XADD', KEY.lane .. lane, arrival .. '-0', 'id', id, 'type', kind)
  redis.call('HSET', KEY.task .. id, 'live',
    struct.pack(ROW, PENDING, 0, labels and LABELS or 0, priority, 0, 0, attempts, 0, 0, arrival,
      LEDGER.now, LEDGER.now, 0, 0, 0, queue, kind, '', '', ''),
    'facts', ARGV[number], 'payload', ARGV[number + 1])
  count(queue, kind, 'pending', 1)
  tell_of(id, 'enqueued', kind, queue, 'pending', 0, nil, not labels)
end

-- Starts a pending task from its stored row; answers its token, attempt, attempt limit, crashes
-- and when it was due, or nil when it is not plain, or of a type that is not known.
local function start_plain(id, row, claim, worker, known)
  if RECORDS[id] ~= nil then
    return nil
  end
  local state, _, mask, priority, crashes, attempt, limit, told, token, arrival, enqueued, due,
    _, _, _, queue, kind = struct.unpack(ROW, row)
  if state ~= PENDING or not PLAIN[mask] or not known[kind] then
    return nil
  end
  local lane = name_of_lane(queue, priority)
  READY[lane] = ready(lane) - 1
  token, attempt = token + 1, attempt + 1
  redis.call('HSET', KEY.task .. id, 'live',
    struct.pack(ROW, RUNNING, 0, mask, priority, crashes, attempt, limit, told, token, arrival,
      enqueued, due, LEDGER.now, 0, 0, queue, kind, claim, worker, ''))
  count_move(queue, kind, 'pending', 'running')
  tell_of(id, 'claimed', kind, queue, 'running', attempt, nil, is_bare(mask))
  return token, attempt, limit, crashes, due
end

-- Completes a running task; false when it is not plain, or not held by this claim.
local function complete_plain(id, token, claim, result)
  if RECORDS[id] ~= nil then
    return false
  end
  local key = KEY.task .. id
  local row = redis.call('HGET', key, 'live')
  if not row then
    return false
  end
  local state, _, mask, priority, crashes, attempt, limit, told, held, arrival, enqueued, due,
    started, _, _, queue, kind, held_by, worker = struct.unpack(ROW, row)
  if state ~= RUNNING or not PLAIN[mask] or held ~= token or held_by ~= claim then
    return false
  end
  local waited = mask % (2 * WAITED) >= WAITED
  if waited then
    mask = mask - WAITED
  end
  local prune = LEDGER.now + KEPT.completed
  row = struct.pack(ROW, COMPLETED, 0, result and mask + FLAG_VALUES.result or mask, priority,
    crashes, attempt, limit, told, token, arrival, enqueued, due, started, LEDGER.now, prune, queue,
    kind, claim, worker, '')
  if result then
    redis.call('HSET', key, 'live', row, 'result', result)
  else
    redis.call('HSET', key, 'live', row)
  end
  hand_in_entry(name_of_lane(queue, priority), arrival)
  LEFT[#LEFT + 1] = id
  PRUNED[#PRUNED + 1] = prune
  PRUNED[#PRUNED + 1] = id
  count_move(queue, kind, 'running', 'completed')
  note_end(queue, kind, 'completed', started, due)
  tell_of(id, 'completed', kind, queue, 'completed', attempt, nil, is_bare(mask))
  if waited then
    STATES.waiting().tell_waiting(id, queue, 'completed')
  end
  return true
end
