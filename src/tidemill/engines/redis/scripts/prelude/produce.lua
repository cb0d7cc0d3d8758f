-- needs: plain waiting
-- Enqueue one task. A made task arrives as {id, queue, type, priority, attempts, number, delay or
-- false, run_at or false, rules, labels, after}: the number is the place in ARGV of its facts, which
-- its payload follows; the last three say whether its facts hold rules and labels, and whether its
-- `after` follows (waiting.lua).

local KNOWN_QUEUES = {}

local function know_queue(queue)
  if not KNOWN_QUEUES[queue] then
    KNOWN_QUEUES[queue] = true
    if redis.call('HEXISTS', KEY.queues, queue) == 0 then
      redis.call('HSET', KEY.queues, queue, cmsgpack.pack({weight = 1, paused = false, passed = 0}))
    end
  end
end

local function due_of(made)
  if made[7] then
    return LEDGER.now + math.max(0, made[7])
  end
  return made[8] or LEDGER.now
end

local function create(made)
  local record = {
    id = made[1], key = KEY.task .. made[1],
    packed = ARGV[made[6]], payload = ARGV[made[6] + 1], fields = nil, changed = false,
    live = {
      state = nil, queue = made[2], type = made[3], priority = made[4], crashes = 0, attempt = 0,
      limit = made[5], told = 0, token = 0, arrival = 0, enqueued = LEDGER.now, due = due_of(made),
      started = 0, finished = 0, prune = 0, claim = '', worker = '', buried = '',
      rules = made[9], labels = made[10],
    },
  }
  if made[9] then
    record.facts = cmsgpack.unpack(record.packed)
  end
  if made[11] then
    put(record, 'after', ARGV[made[6] + 2])
  end
  RECORDS[record.id] = record
  return record
end

local function replace(record, made)
  local facts, wanted = facts_of(record), cmsgpack.unpack(ARGV[made[6]])
  facts.priority, facts.expires, facts.headers = wanted.priority, wanted.expires, wanted.headers
  set(record, 'facts', cmsgpack.pack(facts))
  set(record, 'payload', ARGV[made[6] + 1])
  redis.call('ZREM', KEY.expiring, record.id)
  record.live.priority, record.live.due = made[4], due_of(made)
  if wanted.unique.within then
    record.live.due = math.min(record.live.due, record.live.enqueued + wanted.unique.within)
  end
  STATES.schedule_or_admit(record, 'replaced')
end

local function unique_of(made)
  return made[9] and cmsgpack.unpack(ARGV[made[6]]).unique or nil
end

-- The task that holds a made task's unique key, if another does.
local function holder_for(made)
  local unique = unique_of(made)
  if not unique then
    return nil
  end
  local first = holder(made[2], unique.key)
  if first and unique.conflict == 'replace' and first.live.state == 'scheduled' then
    replace(first, made)
  end
  return first
end

-- Answers the id of the task that stands for it, and whether that is another one.
local function enqueue(made)
  know_queue(made[2])
  local id = made[1]
  if not made[7] and not made[8] and not made[9] and not made[11] and not RECORDS[id] then
    if redis.call('EXISTS', KEY.task .. id) == 0 then
      RECORDS[id] = nil
      enqueue_plain(id, made[2], made[3], made[4], made[5], made[6], made[10])
    end
    return id, false
  end
  if load(id) then
    return id, false
  end
  local first = holder_for(made)
  if first then
    return first.id, true
  end
  local record = create(made)
  hold_key(record)
  STATES.ask_upstream(record, 'enqueued')
  return record.id, false
end
