-- needs: states
-- Limits: per queue and limit key the set of tasks that are pending or running, and the line of
-- those that are blocked, in claim order. Sets of tasks, not numbers: nothing can leak.

local function limit_place(record)
  return record.live.queue .. '/' .. rules_of(record).slots.key
end

local function place_in_line(record)
  return string.format('%02d/%017.0f/%s', 10 - record.live.priority, record.live.due, record.id)
end

local function fits(record)
  local slots = rules_of(record).slots
  if not slots then
    return true
  end
  local key = KEY.slots .. limit_place(record)
  local others = redis.call('SCARD', key) - redis.call('SISMEMBER', key, record.id)
  return others < slots.most
end

local function take_slot(record)
  if rules_of(record).slots then
    redis.call('SADD', KEY.slots .. limit_place(record), record.id)
  end
end

local function stand_in_line(record)
  redis.call('ZADD', KEY.line .. limit_place(record), 0, place_in_line(record))
end

local function leave_line(record)
  redis.call('ZREM', KEY.line .. limit_place(record), place_in_line(record))
end

-- Gives a task's slot back and admits those in line behind it until one does not fit. They are due from
-- now on: keys take turns.
function STATES.leave_slot(record)
  if not rules_of(record).slots then
    return
  end
  redis.call('SREM', KEY.slots .. limit_place(record), record.id)
  local line = KEY.line .. limit_place(record)
  while true do
    local first = redis.call('ZRANGE', line, 0, 0)[1]
    if not first then
      return
    end
    local next_one = load(string.match(first, '[^/]+$'))
    if not fits(next_one) then
      return
    end
    leave_line(next_one)
    next_one.live.blocked, next_one.live.due = nil, LEDGER.now
    STATES.enter(next_one, 'pending', 'admitted')
  end
end

STATES.fits = fits
STATES.take_slot = take_slot
STATES.stand_in_line = stand_in_line
STATES.leave_line = leave_line
