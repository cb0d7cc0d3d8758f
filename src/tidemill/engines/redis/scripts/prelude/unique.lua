-- needs: records
-- Unique keys: a string per queue and key that holds its task's id, and until when for a duration.

local UNIQUE_SLACK = 3600000 -- ms; a forgotten key of a duration frees its memory by itself

local function unique_key(queue, key)
  return KEY.unique .. queue .. '/' .. key
end

local function held(queue, key)
  local found = redis.call('GET', unique_key(queue, key))
  if not found then
    return nil
  end
  local id, till = string.match(found, '^(%S+) ?(%d*)$')
  return id, tonumber(till)
end

-- The task that holds a key now; a key whose task is gone or whose time is over is freed.
local function holder(queue, key)
  local id, till = held(queue, key)
  if not id then
    return nil
  end
  local record = load(id)
  if not record or (till and till <= LEDGER.now) then
    redis.call('DEL', unique_key(queue, key))
    return nil
  end
  return record
end

local function hold_until(record, till)
  redis.call('SET', unique_key(record.live.queue, rules_of(record).unique.key),
    record.id .. ' ' .. whole(till),
    'PX', whole(math.ceil(math.max(0, till - LEDGER.now) / 1000) + UNIQUE_SLACK))
end

-- Gives a task its key; one of a duration counts from when it was enqueued.
local function hold_key(record)
  local unique = rules_of(record).unique
  if not unique then
    return
  end
  if unique.lasts then
    hold_until(record, record.live.enqueued + unique.lasts)
  else
    redis.call('SET', unique_key(record.live.queue, unique.key), record.id)
  end
end

-- Lets a task that completed keep its key for as long as its result is cached; whether it is.
local function keep_cached(record, state)
  local unique = rules_of(record).unique
  if not unique or not unique.cached or state ~= 'completed' then
    return false
  end
  if held(record.live.queue, unique.key) == record.id then
    hold_until(record, LEDGER.now + unique.cached)
  end
  return true
end

-- Frees a task's key at its `start` or `end` (where one held until the start goes too, if it never
-- started) unless it is held for a duration, or in `any` case.
local function free_key(record, at)
  local unique = rules_of(record).unique
  if unique and (at == 'any' or (not unique.lasts and (at == 'end' or unique.till == at))) then
    if held(record.live.queue, unique.key) == record.id then
      redis.call('DEL', unique_key(record.live.queue, unique.key))
    end
  end
end
