-- needs: lanes rates
-- How many tasks a queue may start now: its concurrency less what runs, as the pending lists tell, its
-- worker_concurrency less what runs in the worker that asks, and what its rate allows.

local NO_LIMIT = 1000000000
local GIVES = {}

local function limited_gives(name, queue, worker)

  -- How many tasks of it run, and how many of these in one worker.
  local function running()
    local all, own = 0, 0
    for _, lane in ipairs(redis.call('SMEMBERS', KEY.lanes)) do
      if queue_of(lane) == name then
        local held = redis.pcall('XPENDING', KEY.lane .. lane, GROUP)
        all = all + (held.err and 0 or held[1])
        for _, each in ipairs(not held.err and held[4] or {}) do
          own = own + (each[1] == worker and tonumber(each[2]) or 0)
        end
      end
    end
    return all, own
  end

  local number = NO_LIMIT
  if queue.concurrency or queue.worker_concurrency then
    local all, own = running()
    number = math.min((queue.concurrency or NO_LIMIT) - all,
      (queue.worker_concurrency or NO_LIMIT) - own)
  end
  if queue.rate then
    number = math.min(number, rates().allowed(queue))
  end
  return math.max(0, number)
end

local function gives(name, worker)
  local number = GIVES[name]
  if not number then
    local queue = queue_named(name)
    number = queue.paused and 0 or NO_LIMIT
    if number > 0 and (queue.concurrency or queue.worker_concurrency or queue.rate) then
      number = limited_gives(name, queue, worker)
    end
    GIVES[name] = number
  end
  return number
end
