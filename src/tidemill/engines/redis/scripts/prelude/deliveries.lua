-- needs: lanes
-- What is delivered from lanes to workers, through the consumer group that each of them has.

local function entry_of(raw, lane)
  local fields = raw[2]
  return {
    entry = raw[1], arrival = arrival_of(raw[1]), id = fields[2], type = fields[4],
    expires = fields[6] and tonumber(fields[6]), lane = lane,
  }
end

-- Makes a lane's group again that somebody removed. What runs is given back to its workers, what
-- waits is put at the end again in its order.
local function mend(lane)
  local key = KEY.lane .. lane
  redis.call('XGROUP', 'CREATE', key, GROUP, '$', 'MKSTREAM')
  redis.call('SADD', KEY.lanes, lane)
  READY[lane] = ready(lane) and 0
  for _, raw in ipairs(redis.call('XRANGE', key, '-', '+')) do
    local entry = entry_of(raw)
    local record = load(entry.id)
    local live = record and record.live.arrival == entry.arrival and record.live
    if live and live.state == 'running' then
      redis.call('XCLAIM', key, GROUP, live.worker, 0, entry.entry, 'FORCE', 'JUSTID')
    else
      redis.call('XDEL', key, entry.entry)
      if live and live.state == 'pending' then
        LEDGER.arrived = LEDGER.arrived + 1
        live.arrival = LEDGER.arrived
        append(record)
      end
    end
  end
end

local function last_delivered(lane)
  local groups = redis.pcall('XINFO', 'GROUPS', KEY.lane .. lane)
  for _, group in ipairs(groups.err and {} or groups) do
    local told = {}
    for at = 1, #group, 2 do
      told[group[at]] = group[at + 1]
    end
    if told.name == GROUP then
      return told['last-delivered-id']
    end
  end
  return nil
end

-- The first entries of a lane that are not delivered, at most so many.
local function peek(lane, most)
  local last = last_delivered(lane)
  if not last then
    mend(lane)
    last = last_delivered(lane)
  end
  local found = redis.call('XRANGE', KEY.lane .. lane, '(' .. last, '+', 'COUNT', most)
  if #found < most and ready(lane) ~= #found then
    READY[lane] = #found
  end
  local entries = {}
  for at, raw in ipairs(found) do
    entries[at] = entry_of(raw, lane)
  end
  return entries
end

-- Delivers the next entries of a lane to a worker; answers the ids of their tasks.
local function deliver(lane, worker, most)
  local words = {'XREADGROUP', 'GROUP', GROUP, worker, 'COUNT', most, 'STREAMS', KEY.lane .. lane, '>'}
  local found = redis.pcall(unpack(words))
  if found and found.err then
    mend(lane)
    found = redis.call(unpack(words))
  end
  local ids = {}
  for at, raw in ipairs(found and found[1][2] or {}) do
    ids[at] = raw[2][2]
  end
  if #ids < most then
    READY[lane] = #ids
  end
  return ids
end

-- Moves a task to the lane of its type, where only those look who know it.
local function park(record)
  withdraw(record)
  record.live.parked = true
  append(record)
end
