-- needs: records queues
-- Lanes: a stream per queue and priority, `queue/priority`; `…/alone` for tasks that run by
-- themselves; `…/type/<type>` where tasks are parked whose type their claimer did not know.
-- An entry is id, type, and expires (microseconds) where the task does. Its id is the number of its
-- arrival, so that entries of different lanes can be compared. What is delivered stays in the
-- group's pending list until its task is settled or taken back: the list says who holds what.
--
-- READY counts what is not delivered yet, by lane.

local READY = {}
local OLD_READY = {}
local READY_LOADED = false
local WOKEN = {}
local SETTLED = {}

local function ready(lane)
  local number = READY[lane]
  if number == nil then
    number = READY_LOADED and 0 or tonumber(redis.call('HGET', KEY.ready, lane) or 0)
    READY[lane], OLD_READY[lane] = number, number
  end
  return number
end

local function load_ready()
  if READY_LOADED then
    return
  end
  local found = redis.call('HGETALL', KEY.ready)
  for at = 1, #found, 2 do
    local lane = found[at]
    if READY[lane] == nil then
      READY[lane] = tonumber(found[at + 1])
      OLD_READY[lane] = READY[lane]
    end
  end
  READY_LOADED = true
end

local function queue_of(lane)
  return string.match(lane, '^[^/]+')
end

local function has_ready(queue)
  load_ready()
  for lane, number in pairs(READY) do
    if number > 0 and queue_of(lane) == queue then
      return true
    end
  end
  return false
end

local function open_lane(lane)
  redis.call('XGROUP', 'CREATE', KEY.lane .. lane, GROUP, '0', 'MKSTREAM')
  redis.call('SADD', KEY.lanes, lane)
end

local LANE_NAMES = {}

local function name_of_lane(queue, priority)
  local of_queue = LANE_NAMES[queue]
  if not of_queue then
    of_queue = {}
    LANE_NAMES[queue] = of_queue
  end
  local lane = of_queue[priority]
  if not lane then
    lane = queue .. '/' .. priority
    of_queue[priority] = lane
  end
  return lane
end

local function lane_of(live)
  local lane = name_of_lane(live.queue, live.priority)
  if live.alone then
    lane = lane .. '/alone'
  end
  return live.parked and lane .. '/type/' .. live.type or lane
end

-- Puts a task at the end of its lane; answers how many waited there before.
local function append(record)
  local live = record.live
  local lane, entry = lane_of(live), live.arrival .. '-0'
  local key = KEY.lane .. lane
  local waiting = ready(lane)
  if waiting == 0 and redis.call('EXISTS', key) == 0 then
    open_lane(lane)
  end
  local expires = rules_of(record).expires
  if expires then
    redis.call('XADD', key, entry, 'id', record.id, 'type', live.type, 'expires', expires)
  else
    redis.call('XADD', key, entry, 'id', record.id, 'type', live.type)
  end
  READY[lane] = waiting + 1
  changed(record)
  return waiting
end

-- Puts a pending task at the end of its lane. Whoever waits is woken when the lane was empty:
-- else somebody is behind with it, or is woken already.
local function arrive(record)
  LEDGER.arrived = LEDGER.arrived + 1
  record.live.arrival = LEDGER.arrived
  if append(record) == 0 then
    WOKEN[record.live.queue] = true
  end
end

-- Takes a pending task out of its lane, whether it was just delivered or not.
local function withdraw(record)
  local live = record.live
  local lane, entry = lane_of(live), live.arrival .. '-0'
  redis.call('XACK', KEY.lane .. lane, GROUP, entry)
  redis.call('XDEL', KEY.lane .. lane, entry)
  READY[lane] = ready(lane) - 1
  live.parked = false
end

-- A task that was running leaves its lane for good; many do at once, so it is done at the end.
local function hand_in_entry(lane, arrival)
  local entries = SETTLED[lane]
  if not entries then
    entries = {}
    SETTLED[lane] = entries
  end
  entries[#entries + 1] = arrival .. '-0'
end

local function hand_in(live)
  if live.arrival > 0 then
    hand_in_entry(lane_of(live), live.arrival)
  end
  live.parked = false
end

-- A running task that will run by itself from now on, or beside others again, leaves its lane
-- before it forgets which one that was.
local function change_lane(live, alone)
  if live.alone ~= alone then
    hand_in(live)
    live.alone, live.arrival = alone, 0
  end
end

local function arrival_of(entry)
  return tonumber(string.match(entry, '^%d+'))
end

-- Calls a command with many words in parts: Lua's stack holds some thousands of them. Answers the
-- sum of what the calls answer, which must be numbers.
local function in_parts(words, command, ...)
  local part, sum = 500, 0
  for from = 1, #words, part do
    local call = {command, ...}
    for at = from, math.min(from + part - 1, #words) do
      call[#call + 1] = words[at]
    end
    sum = sum + redis.call(unpack(call))
  end
  return sum
end

-- Where fewer tasks run now and that held others back, one of these may start.
local function wake_held_back()
  for lane in pairs(SETTLED) do
    local name = queue_of(lane)
    local queue = limited(name)
    if queue and (queue.concurrency or queue.worker_concurrency) and has_ready(name) then
      WOKEN[name] = true
    end
  end
end

local function save_lanes()
  if LEDGER.limited then
    wake_held_back()
  end
  for lane, entries in pairs(SETTLED) do
    in_parts(entries, 'XACK', KEY.lane .. lane, GROUP)
    in_parts(entries, 'XDEL', KEY.lane .. lane)
  end
  for lane, number in pairs(READY) do
    if number ~= OLD_READY[lane] then
      if number > 0 then
        redis.call('HSET', KEY.ready, lane, number)
      else
        redis.call('HDEL', KEY.ready, lane)
      end
    end
  end
  local woken = {}
  for queue in pairs(WOKEN) do
    woken[#woken + 1] = queue
  end
  if #woken > 0 then
    redis.call('PUBLISH', ARGV[2], table.concat(woken, ' '))
  end
end
