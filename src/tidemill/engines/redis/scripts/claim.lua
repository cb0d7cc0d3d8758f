-- needs: deliveries plain waiting gives save
-- claim: take ready tasks exclusively.
-- ARGV[3] msgpack: {claim, worker, queues (names) or false, types (names), limit, alone, lease}.
-- Answers {again, tasks, sent, next_in}: `again` is 1 when nothing was taken because tasks of unknown
-- types had to be parked first and more remain; a task is {id, token, attempt, limit, crashes, alone,
-- facts, payload, waited}, in claim order, the last being the microseconds since it was due; next_in
-- are the microseconds until a queue's rate lets one start that is ready, 0 when none waits for that.

local STRIDE = 1048576 -- as in tidemill.rotation
local PARKED_AT_ONCE = 1000
local CLAIMS_KEPT = 64

local request = cmsgpack.unpack(ARGV[3])
local claim_id, worker, lease = request[1], request[2], request[7]
local known = {}
for _, name in ipairs(request[4]) do
  known[name] = true
end
local wanted
if request[3] then
  wanted = {}
  for _, name in ipairs(request[3]) do
    wanted[name] = true
  end
end

-- Claim order, of rows or of entries.
local function before(one, other)
  if one.priority ~= other.priority then
    return one.priority > other.priority
  end
  if one.alone ~= other.alone then
    return one.alone
  end
  return one.arrival < other.arrival
end

local function answer(record)
  local live, stored = record.live, record.stored
  return {
    record.id, live.token, live.attempt, live.limit, live.crashes, live.alone and 1 or 0,
    stored[2], stored[3], math.max(0, live.started - live.due),
  }
end

local function answers_of(records)
  local tasks = {}
  for at, record in ipairs(records) do
    tasks[at] = answer(record)
  end
  return tasks
end

-- What is still held under this claim id, as the pending lists tell.
local function held_already()
  local records = {}
  for _, lane in ipairs(redis.call('SMEMBERS', KEY.lanes)) do
    local key = KEY.lane .. lane
    local found = redis.pcall('XPENDING', key, GROUP, '-', '+', 100000, worker)
    if found.err then
      mend(lane)
      found = redis.call('XPENDING', key, GROUP, '-', '+', 100000, worker)
    end
    for _, pending in ipairs(found) do
      local raw = redis.call('XRANGE', key, pending[1], pending[1])[1]
      local record = raw and load_whole(entry_of(raw).id)
      if record and record.live.state == 'running' and record.live.claim == claim_id then
        records[#records + 1] = record
      end
    end
  end
  table.sort(records, function(one, other) return before(one.live, other.live) end)
  return records
end

-- The lanes with something undelivered that this claimer may take from, by queue, then by
-- priority from high to low: {priority, beside = lanes, alone = lanes}.
local function open_lanes()
  local queues = {}
  for lane, number in pairs(READY) do
    if number > 0 then
      local queue, priority, rest = string.match(lane, '^([^/]+)/(%d+)(.*)$')
      local parked = string.match(rest, '/type/([^/]+)$')
      local alone = string.sub(rest, 1, 6) == '/alone'
      if (not wanted or wanted[queue]) and (not parked or known[parked])
        and gives(queue, worker) > 0 then
        priority = tonumber(priority)
        queues[queue] = queues[queue] or {by = {}, levels = {}, beside = 0, alone = 0}
        local open = queues[queue]
        local level = open.by[priority]
        if not level then
          level = {priority = priority, beside = {}, alone = {}}
          open.by[priority] = level
          open.levels[#open.levels + 1] = level
        end
        local kind = alone and 'alone' or 'beside'
        level[kind][#level[kind] + 1] = lane
        open[kind] = open[kind] + number
      end
    end
  end
  for _, open in pairs(queues) do
    table.sort(open.levels, function(one, other) return one.priority > other.priority end)
  end
  return queues
end

local parked = 0

-- The first undelivered entries of some lanes in the order of arrival, of known types only; others
-- are parked, and then nil is answered, for the lanes are no longer what they were.
local function candidates(lanes, most)
  local found = {}
  for _, lane in ipairs(lanes) do
    for _, entry in ipairs(most > 0 and peek(lane, most) or {}) do
      if known[entry.type] then
        found[#found + 1] = entry
      elseif parked < PARKED_AT_ONCE then
        parked = parked + 1
        park(load(entry.id))
      end
    end
  end
  table.sort(found, function(one, other) return one.arrival < other.arrival end)
  return found
end

-- The first `count` candidates of a queue: of each priority first those that run alone, for they were
-- lost once and waited long enough, then the others; no more of either than was asked for.
local function first(open, count)
  local left = {alone = request[6], beside = request[5]}
  local chosen = {}
  for _, level in ipairs(open.levels) do
    for _, kind in ipairs({'alone', 'beside'}) do
      local had = parked
      local found = candidates(level[kind], math.min(left[kind], count - #chosen))
      if parked > had then
        return nil
      end
      for at = 1, math.min(#found, left[kind], count - #chosen) do
        local entry = found[at]
        entry.priority, entry.alone = level.priority, kind == 'alone'
        chosen[#chosen + 1] = entry
        left[kind] = left[kind] - 1
      end
    end
  end
  return chosen
end

-- Cancels expired candidates; whether there were any. Others may be let in by that, so the caller
-- looks again.
local function cancel_expired()
  local over = redis.call('ZRANGEBYSCORE', KEY.expiring, '-inf', whole(LEDGER.now), 'LIMIT', 0, 1)
  if #over == 0 then
    return false
  end
  local met = {}
  for _, open in pairs(open_lanes()) do
    local chosen = first(open, request[5] + request[6])
    if not chosen then
      return true
    end
    for _, entry in ipairs(chosen) do
      if entry.expires and entry.expires <= LEDGER.now then
        met[#met + 1] = entry
      end
    end
  end
  table.sort(met, function(one, other)
    local queue, other_queue = load(one.id).live.queue, load(other.id).live.queue
    if queue ~= other_queue then
      return queue < other_queue
    end
    return before(one, other)
  end)
  for _, entry in ipairs(met) do
    local record = load(entry.id)
    if record.live.state == 'pending' then
      STATES.finish(record, 'cancelled', 'expired', nil, nil, 'expired')
    end
  end
  return #met > 0
end

-- How many tasks each queue gives: stride scheduling, the same as tidemill.rotation.share.
local function share(queues)
  local line, take, passed, now = {}, {}, {}, LEDGER.rotated
  for name, open in pairs(queues) do
    local ready_here = math.min(gives(name, worker),
      math.min(request[5], open.beside) + math.min(request[6], open.alone))
    if ready_here > 0 then
      local queue = queue_named(name)
      line[#line + 1] = {
        name = name, passed = math.max(queue.passed, now), weight = queue.weight,
        ready = ready_here, taken = 0,
      }
    end
  end
  if #line == 1 then
    local only = line[1]
    only.taken = math.min(request[5], only.ready)
    if only.taken > 0 then
      local stride = math.floor(STRIDE / only.weight)
      take[only.name] = only.taken
      passed[only.name] = only.passed + only.taken * stride
      now = only.passed + (only.taken - 1) * stride
    end
    return take, passed, now
  end
  for _ = 1, request[5] do
    local best
    for _, turn in ipairs(line) do
      if turn.taken < turn.ready and (not best or turn.passed < best.passed
        or (turn.passed == best.passed and turn.name < best.name)) then
        best = turn
      end
    end
    if not best then
      break
    end
    now = best.passed
    best.taken = best.taken + 1
    take[best.name] = best.taken
    best.passed = now + math.floor(STRIDE / best.weight)
    passed[best.name] = best.passed
  end
  return take, passed, now
end

local leases = {}

local function lease_for(queue, id)
  leases[#leases + 1] = LEDGER.now + (queue_named(queue).lease or lease)
  leases[#leases + 1] = id
end

local function start(record)
  local live = record.live
  live.token, live.attempt = live.token + 1, live.attempt + 1
  live.claim, live.worker, live.started = claim_id, worker, LEDGER.now
  free_key(record, 'start')
  STATES.enter(record, 'running', 'claimed')
  lease_for(live.queue, record.id)
  return answer(record)
end

-- Notes how many tasks queues gave, and where that leaves them in the rotation and with their rates.
local function note_turns(taken, passed, now)
  LEDGER.rotated = now
  for name, pass in pairs(passed) do
    local queue = queue_named(name)
    queue.passed = pass
    if queue.rate then
      rates().spend(queue, taken[name])
    end
    redis.call('HSET', KEY.queues, name, cmsgpack.pack(queue))
  end
end

-- The lanes of the only queue that has something for this claimer, from high to low, if it is so and
-- each priority has one: the common case, in which what is delivered need not be looked at before.
local function plain_lanes(queues)
  local name, open = next(queues)
  if not name or next(queues, name) or (open.alone > 0 and request[6] > 0) then
    return nil
  end
  local lanes = {}
  for _, level in ipairs(open.levels) do
    if #level.beside > 1 then
      return nil
    end
    lanes[#lanes + 1] = level.beside[1]
  end
  return name, lanes
end

-- Starts a delivered task; nil when it had to be parked.
local function start_delivered(queue, id)
  local stored = redis.call('HMGET', KEY.task .. id, 'live', 'facts', 'payload')
  local token, attempt, limit, crashes, due = start_plain(id, stored[1], claim_id, worker, known)
  if token then
    lease_for(queue, id)
    return {
      id, token, attempt, limit, crashes, 0, stored[2], stored[3], math.max(0, LEDGER.now - due),
    }
  end
  local record = load_whole(id, stored)
  if known[record.live.type] then
    return start(record)
  end
  parked = parked + 1
  park(record)
  return nil
end

-- Takes from lanes one after the other until the claimer has enough, and parks what it does not know.
local function take_from(queue, lanes)
  local tasks, most = {}, math.min(request[5], gives(queue, worker))
  for _, lane in ipairs(lanes) do
    while #tasks < most and ready(lane) > 0 and parked < PARKED_AT_ONCE do
      for _, id in ipairs(deliver(lane, worker, most - #tasks)) do
        tasks[#tasks + 1] = start_delivered(queue, id)
      end
    end
  end
  return tasks
end

-- Delivers what was chosen, lane by lane, and starts it in claim order.
local function start_chosen(chosen)
  local by_lane, tasks = {}, {}
  for _, entry in ipairs(chosen) do
    by_lane[entry.lane] = (by_lane[entry.lane] or 0) + 1
  end
  for lane, number in pairs(by_lane) do
    deliver(lane, worker, number)
  end
  table.sort(chosen, before)
  for at, entry in ipairs(chosen) do
    tasks[at] = start_delivered(string.match(entry.lane, '^[^/]+'), entry.id)
  end
  return tasks
end

local function take()
  while cancel_expired() do
    if parked >= PARKED_AT_ONCE then
      return {}
    end
  end
  while true do
    local queues = open_lanes()
    local name, lanes = plain_lanes(queues)
    if name then
      local tasks = take_from(name, lanes)
      local taken, passed, now = share({[name] = {beside = #tasks, alone = 0}})
      note_turns(taken, passed, now)
      return tasks
    end
    local turns, passed, now = share(queues)
    local chosen, stable = {}, true
    for name, number in pairs(turns) do
      local found = first(queues[name], number)
      if not found or #found < number then
        stable = false
        break
      end
      for _, entry in ipairs(found) do
        chosen[#chosen + 1] = entry
      end
    end
    if stable then
      note_turns(turns, passed, now)
      return start_chosen(chosen)
    elseif parked >= PARKED_AT_ONCE then
      return {}
    end
  end
end

-- Microseconds until the rate of a queue that was asked lets one start that is ready; 0 without one.
local function soonest()
  local first = 0
  for name, queue in pairs(QUEUES) do
    local away = queue.rate and has_ready(name) and rates().next_in(queue) or 0
    if away > 0 and (first == 0 or away < first) then
      first = away
    end
  end
  return first
end

go_on_when_full()
local claims = KEY.claims .. worker
if redis.call('ZSCORE', claims, claim_id) then
  local held = answers_of(held_already())
  save()
  return {0, held, 0, 0}
end
load_ready()
local tasks = take()
local again = #tasks == 0 and parked >= PARKED_AT_ONCE
if not again then
  redis.call('ZADD', claims, LEDGER.now, claim_id)
  redis.call('ZREMRANGEBYRANK', claims, 0, -1 - CLAIMS_KEPT)
  redis.call('EXPIRE', claims, 86400)
end
in_parts(leases, 'ZADD', KEY.leases)
local next_start = LEDGER.limited and soonest() or 0
save()
return {again and 1 or 0, tasks, SENT, next_start}
