-- needs: ledger
-- Records: one hash per task. `facts` is what was enqueued (msgpack, made by the caller), `payload`
-- its opaque bytes, `live` what changes, and what every step needs (packed here). `result`, `error`
-- (JSON), `reason`, `progress` (JSON), `after` and `broken` (waiting.lua) are fields of their own, there
-- only when set.
--
-- A script loads a record once, changes it in memory, and saves all of them at its end. `live` is
-- read and written for every task at every step, so it is a fixed row of numbers and texts: half the
-- time of a script went into maps before.

-- The row, big-endian: state, blocked, flags, priority, alone and crashes; attempt, limit (the last
-- attempt allowed), told (the last attempt in the history), token, arrival in its lane; the instants
-- enqueued, due, started, finished, prune; then texts that end in a zero byte: queue, type, claim,
-- worker, buried (its entry in the dead letters). Absent numbers are 0, absent texts empty.
local ROW = '>BBI2BBI4I4I4I8I8I8I8I8I8I8sssss'
local ROW_HEAD = '>BBI2'

local STATE_NAMES = {
  'scheduled', 'blocked', 'pending', 'running', 'completed', 'failed', 'cancelled',
}
local STATE_CODES = {
  scheduled = 1, blocked = 2, pending = 3, running = 4, completed = 5, failed = 6, cancelled = 7,
}
local BLOCKED_NAMES = {'limit', 'children', 'upstream'}
local BLOCKED_CODES = {limit = 1, children = 2, upstream = 3}

-- rules: facts hold a unique key, a limit, an expiry or a retention. labels: facts hold what people
-- search by. waited: others wait for it. parked: it is in the lane of its type. The last six say
-- which fields beside `live` are set.
local FLAGS = {
  'rules', 'labels', 'alone', 'cancel', 'waited', 'parked', 'result', 'error', 'reason', 'progress',
  'after', 'broken',
}
local FLAG_VALUES = {
  rules = 1, labels = 2, alone = 4, cancel = 8, waited = 16, parked = 32, result = 64, error = 128,
  reason = 256, progress = 512, after = 1024, broken = 2048,
}
local FLAG_SETS = {}

-- The flags of a mask; each mask is worked out once per script.
local function flags_of(mask)
  local set = FLAG_SETS[mask]
  if not set then
    set = {}
    local rest = mask
    for _, name in ipairs(FLAGS) do
      set[name] = rest % 2 == 1
      rest = math.floor(rest / 2)
    end
    FLAG_SETS[mask] = set
  end
  return set
end

local function live_from(packed)
  local state, blocked, mask, priority, crashes, attempt, limit, told, token, arrival, enqueued, due,
    started, finished, prune, queue, kind, claim, worker, buried = struct.unpack(ROW, packed)
  local flags = flags_of(mask)
  return {
    state = STATE_NAMES[state], blocked = BLOCKED_NAMES[blocked], priority = priority,
    crashes = crashes, attempt = attempt, limit = limit, told = told, token = token,
    arrival = arrival, enqueued = enqueued, due = due, started = started, finished = finished,
    prune = prune, queue = queue, type = kind, claim = claim, worker = worker, buried = buried,
    rules = flags.rules, labels = flags.labels, alone = flags.alone, cancel = flags.cancel,
    waited = flags.waited, parked = flags.parked, result = flags.result, error = flags.error,
    reason = flags.reason, progress = flags.progress, after = flags.after, broken = flags.broken,
  }
end

local function packed(live)
  local mask = 0
  for _, name in ipairs(FLAGS) do
    if live[name] then
      mask = mask + FLAG_VALUES[name]
    end
  end
  return struct.pack(ROW, STATE_CODES[live.state], BLOCKED_CODES[live.blocked] or 0, mask,
    live.priority, live.crashes, live.attempt, live.limit, live.told, live.token, live.arrival,
    live.enqueued, live.due, live.started, live.finished, live.prune, live.queue, live.type,
    live.claim, live.worker, live.buried)
end

local RECORDS = {}
local CHANGED = {}
local NO_RULES = {}

local function load(id)
  local known = RECORDS[id]
  if known ~= nil then
    return known
  end
  local key = KEY.task .. id
  local live = redis.call('HGET', key, 'live')
  if not live then
    RECORDS[id] = false
    return false
  end
  local record = {id = id, key = key, live = live_from(live), fields = nil, changed = false}
  RECORDS[id] = record
  return record
end

-- A record with what its claimer needs besides: {live, facts, payload}, as they are stored.
local function load_whole(id, stored)
  stored = stored or redis.call('HMGET', KEY.task .. id, 'live', 'facts', 'payload')
  local record = RECORDS[id]
  if not record then
    record = {
      id = id, key = KEY.task .. id, live = live_from(stored[1]), fields = nil, changed = false,
    }
    RECORDS[id] = record
  end
  record.stored = stored
  return record
end

local function facts_of(record)
  if not record.facts then
    record.facts = cmsgpack.unpack(redis.call('HGET', record.key, 'facts'))
  end
  return record.facts
end

-- What scripts act on besides: unique, slots, expires, keep.
local function rules_of(record)
  return record.live.rules and facts_of(record) or NO_RULES
end

local function changed(record)
  if not record.changed then
    record.changed = true
    CHANGED[#CHANGED + 1] = record
  end
end

-- Sets a field beside `live`. A new record's facts and payload, and a result, need no table until
-- another field comes.
local function set(record, field, value)
  changed(record)
  if not record.fields then
    record.fields = {facts = record.packed, payload = record.payload, result = record.result}
  end
  record.fields[field] = value
end

-- Sets a field beside `live`, or removes it when the value is nil and it was set.
local function put(record, field, value)
  if value ~= nil then
    set(record, field, value)
    record.live[field] = true
  elseif record.live[field] then
    set(record, field, false)
    record.live[field] = false
  end
end

local function field_of(record, field)
  if not record.live[field] then
    return nil
  end
  return record.fields and record.fields[field]
    or redis.call('HGET', record.key, field) or nil
end

local function save_fields(record, row)
  local words, unset = {'live', row}, {}
  for field, value in pairs(record.fields) do
    if value then
      words[#words + 1] = field
      words[#words + 1] = value
    else
      unset[#unset + 1] = field
    end
  end
  redis.call('HSET', record.key, unpack(words))
  if #unset > 0 then
    redis.call('HDEL', record.key, unpack(unset))
  end
end

local function save_records()
  for _, record in ipairs(CHANGED) do
    local row = packed(record.live)
    if record.gone then
      redis.call('DEL', record.key, KEY.logs .. record.id, KEY.attempts .. record.id)
    elseif record.fields then
      save_fields(record, row)
    elseif record.payload then
      redis.call('HSET', record.key, 'live', row, 'facts', record.packed, 'payload', record.payload)
    elseif record.result then
      redis.call('HSET', record.key, 'live', row, 'result', record.result)
    else
      redis.call('HSET', record.key, 'live', row)
    end
  end
end

local function is_final(state)
  return state == 'completed' or state == 'failed' or state == 'cancelled'
end

-- Whether a claim was the task's last one and was not taken back.
local function claimed_by(record, token, claim)
  return record.live.token == token and record.live.claim == claim
end

-- Puts the present attempt into the history.
local function remember_attempt(record, outcome, failure)
  local live = record.live
  redis.call('RPUSH', KEY.attempts .. record.id, cmsgpack.pack({
    number = live.attempt, worker = live.worker, outcome = outcome, error = failure,
    started = live.started > 0 and live.started or live.enqueued,
    ended = live.finished > 0 and live.finished or LEDGER.now,
  }))
  live.told = live.attempt
end

-- A task as it is read: {id, facts, live, result, error, reason, progress, after, number of tasks that
-- it waits for}, with details also payload, log lines and attempts before the last.
local function row_of(id, details)
  local raw = redis.call('HMGET', KEY.task .. id,
    'facts', 'live', 'result', 'error', 'reason', 'progress', 'after')
  if not raw[1] then
    return nil
  end
  local blocked = string.byte(raw[2], 2)
  raw[8] = blocked > BLOCKED_CODES.limit and redis.call('SCARD', KEY.waits .. id) or 0
  if details then
    raw[9] = redis.call('HGET', KEY.task .. id, 'payload')
    raw[10] = redis.call('LRANGE', KEY.logs .. id, 0, -1)
    raw[11] = redis.call('LRANGE', KEY.attempts .. id, 0, -1)
  end
  table.insert(raw, 1, id)
  return raw
end
