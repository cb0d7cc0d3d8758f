-- needs: feed lanes unique ended
-- States: the only place where a task changes its state, with all that hangs on it. Every step is
-- told in the feed in the order in which it happens.

local STATES = {}

local KEPT = {completed = 7 * 86400000000, failed = 30 * 86400000000, cancelled = 7 * 86400000000}
local KEPT_AT = {completed = 1, failed = 2, cancelled = 3}
local TIMED = {completed = true, failed = true}  -- causes of an end that a worker settled
local LEFT = {}  -- tasks whose leases are over
local PRUNED = {}  -- scores and tasks to prune later

local function occupies(state)
  return state == 'pending' or state == 'running'
end

local function waits_for_its_turn(state)
  return state == 'scheduled' or state == 'blocked' or state == 'pending'
end

local function leave(record, after)
  local live = record.live
  local before = live.state
  if before == 'pending' and after == 'running' then
    local lane = lane_of(live)
    READY[lane] = ready(lane) - 1
  elseif before == 'pending' then
    withdraw(record)
  elseif before == 'running' then
    LEFT[#LEFT + 1] = record.id
    hand_in(live)
  elseif before == 'scheduled' then
    redis.call('ZREM', KEY.due, record.id)
  elseif before == 'blocked' and live.blocked == 'limit' then
    STATES.leave_line(record)
  elseif before == 'failed' and live.buried ~= '' then
    redis.call('XDEL', KEY.dlq .. live.queue, live.buried)
    live.buried = ''
  end
  if before and is_final(before) then
    redis.call('ZREM', KEY.prune, record.id)
  end
end

local function bury(record)
  local function date(micros)
    -- Civil date from a number of days, as in H. Hinnant, "chrono-Compatible Low-Level Date
    -- Algorithms": eras of 400 years, years that begin in March.
    local seconds = math.floor(micros / 1000000)
    local days = math.floor(seconds / 86400) + 719468
    local era = math.floor(days / 146097)
    local of_era = days - era * 146097
    local year = math.floor((of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524)
      - math.floor(of_era / 146096)) / 365)
    local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
    local month = math.floor((5 * of_year + 2) / 153)
    local day = of_year - math.floor((153 * month + 2) / 5) + 1
    month = month < 10 and month + 3 or month - 9
    year = year + era * 400 + (month <= 2 and 1 or 0)
    local rest = seconds % 86400
    return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, day,
      math.floor(rest / 3600), math.floor(rest / 60) % 60, rest % 60, micros % 1000000)
  end

  local live = record.live
  local task = cjson.encode({
    id = record.id, type = live.type, queue = live.queue, priority = live.priority,
    attempt = live.attempt, worker = live.worker,
  })
  live.buried = redis.call('XADD', KEY.dlq .. live.queue, '*', 'task', task,
    'error', field_of(record, 'error') or '', 'failed_at', date(live.finished))
end

-- Moves a task to a state and tells it; a slot that it leaves goes to the next in line.
function STATES.enter(record, state, cause)
  local live = record.live
  local before = live.state
  leave(record, state)
  live.state = state
  changed(record)
  if state ~= 'blocked' then
    live.blocked = nil
  end
  if before then
    count(live.queue, live.type, before, -1)
  end
  count(live.queue, live.type, state, 1)
  if state == 'pending' then
    arrive(record)
  elseif state == 'scheduled' then
    redis.call('ZADD', KEY.due, live.due, record.id)
  elseif state == 'blocked' and live.blocked == 'limit' then
    STATES.stand_in_line(record)
  elseif is_final(state) then
    if live.prune > 0 then
      PRUNED[#PRUNED + 1] = live.prune
      PRUNED[#PRUNED + 1] = record.id
    end
    if state == 'failed' then
      bury(record)
    end
  end
  local expires = rules_of(record).expires
  if expires then
    if waits_for_its_turn(state) then
      redis.call('ZADD', KEY.expiring, expires, record.id)
    else
      redis.call('ZREM', KEY.expiring, record.id)
    end
  end
  if occupies(state) then
    STATES.take_slot(record)
  end
  tell(record, cause)
  if before and occupies(before) and not occupies(state) then
    STATES.leave_slot(record)
  end
end

-- Lets a due task in, or blocks it at its limit.
function STATES.admit(record, cause)
  if STATES.fits(record) then
    STATES.enter(record, 'pending', cause)
  else
    STATES.block(record, 'limit', cause)
  end
end

function STATES.block(record, on, cause)
  -- A task that is blocked already leaves its place for another one.
  if record.live.state == 'blocked' and record.live.blocked == 'limit' then
    STATES.leave_line(record)
  end
  record.live.blocked = on
  if record.live.state == 'blocked' then
    STATES.stay_blocked(record, cause)
  else
    STATES.enter(record, 'blocked', cause)
  end
end

-- From one reason for being blocked to another.
function STATES.stay_blocked(record, cause)
  changed(record)
  if record.live.blocked == 'limit' then
    STATES.stand_in_line(record)
  end
  tell(record, cause)
end

-- Waits for the due instant if it is ahead, else asks for admission.
function STATES.schedule_or_admit(record, cause)
  if record.live.due > LEDGER.now then
    STATES.enter(record, 'scheduled', cause)
  else
    STATES.admit(record, cause)
  end
end

-- Ends a task: records how, frees its key, then lets those go on that wait for it.
function STATES.finish(record, state, cause, result, failure, reason)
  local live, keep = record.live, rules_of(record).keep
  if result and not record.fields then
    record.result, live.result = result, true
  else
    put(record, 'result', result)
  end
  put(record, 'error', failure)
  put(record, 'reason', reason)
  live.finished = LEDGER.now
  local kept = KEPT[state]
  if keep then
    kept = keep[KEPT_AT[state]]
  end
  live.prune = kept >= 0 and LEDGER.now + kept or 0
  note_end(live.queue, live.type, state, TIMED[cause] and live.started or 0, live.due)
  if not keep_cached(record, state) then
    free_key(record, 'end')
  end
  if live.blocked == 'children' or live.blocked == 'upstream' then
    STATES.waiting().stop_waiting(record)
  end
  STATES.enter(record, state, cause)
  if live.waited then
    live.waited = false
    STATES.waiting().tell_waiting(record.id, live.queue, state)
  end
end

local function save_states()
  in_parts(LEFT, 'ZREM', KEY.leases)
  in_parts(PRUNED, 'ZADD', KEY.prune)
end
