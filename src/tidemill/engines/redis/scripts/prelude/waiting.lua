-- needs: limits outbox
-- Tasks that wait for others: a parent for its children, a task for those upstream that it comes after.
-- `waits:` of a task are those that it waits for, `parents:` of a task those that wait for it. On a
-- cluster one in another queue is written `queue TAB id`, and what it must be told goes to the outbox.
--
-- The field `after` is msgpack {tasks, on_failure, joins, queues}: those of `tasks` that are in other
-- queues have their queue at the same place of `queues`, which is empty where none is. The field
-- `broken` says what broke a task and how: `failed id` or `cancelled id`.

local WAITING

-- What there is to waiting. It is made where it is needed: every script pays for the functions it makes.
local function waiting()
  if WAITING then
    return WAITING
  end

  local ALL = 1000000000
  local BROKE = {failed = 'failed', cancelled = 'was cancelled'}

  local function relative(name)
    local queue, id = string.match(name, '^([^\t]+)\t(.+)$')
    if queue then
      return id, queue
    end
    return name, nil
  end

  -- The state of a task that another one asks for, nil when there is none. If it is not final, it knows
  -- from now on who waits. Its row is changed where it is: a task may come after ten thousand.
  local function wait_for(other, waiter)
    local record, state = RECORDS[other], nil
    if record then
      state = record.live.state or record.had or 'scheduled'
      if not is_final(state) then
        record.live.waited = true
        changed(record)
      end
    elseif record == nil then
      local key = KEY.task .. other
      local row = redis.call('HGET', key, 'live')
      state = row and STATE_NAMES[string.byte(row)] or nil
      local low = row and string.byte(row, 4)
      if state and not is_final(state) and low % (2 * FLAG_VALUES.waited) < FLAG_VALUES.waited then
        redis.call('HSET', key, 'live',
          string.sub(row, 1, 3) .. string.char(low + FLAG_VALUES.waited) .. string.sub(row, 5))
      end
    end
    if state and not is_final(state) then
      redis.call('SADD', KEY.parents .. other, waiter)
    end
    return state
  end

  local function wait_afar(record, queue, other)
    send('wait', queue, other, record.live.queue .. '\t' .. record.id)
    return queue .. '\t' .. other
  end

  -- How many each task still waits for, of those that this script saw.
  local left = {}

  -- Blocks a task on those others, by name, until all of them are final; false when there is none.
  local function blocked_on(record, names, on, cause)
    if #names == 0 then
      return false
    end
    in_parts(names, 'SADD', KEY.waits .. record.id)
    left[record.id] = nil
    STATES.block(record, on, cause)
    return true
  end

  -- Blocks a parent on those of its children that are live; `afar` are children in other queues
  -- ({queue, id}), of which the relay finds out.
  local function wait(record, children, afar)
    local names = {}
    for _, child in ipairs(children) do
      local state = wait_for(child, record.id)
      if state and not is_final(state) then
        names[#names + 1] = child
      end
    end
    for _, child in ipairs(afar) do
      names[#names + 1] = wait_afar(record, child[1], child[2])
    end
    if not blocked_on(record, names, 'children', 'waiting') then
      STATES.admit(record, 'waiting')
    end
  end

  -- All upstream tasks are final: run, have nothing to run, or end as they did.
  local function go_on(record, broken, fail, joins, cause)
    put(record, 'broken', nil)
    if not broken or fail == 'continue' then
      if joins then
        STATES.finish(record, 'completed', 'joined')
      else
        STATES.schedule_or_admit(record, cause)
      end
      return
    end
    local how, id = string.match(broken, '^(%l+) (.+)$')
    local text = 'task ' .. id .. ' ' .. BROKE[how] .. ', and this one comes after it'
    if fail == 'skip' then
      STATES.finish(record, 'cancelled', 'upstream_broken', nil, nil, 'skipped')
    elseif how == 'failed' then
      STATES.finish(record, 'failed', 'upstream_broken', nil, cjson.encode({
        type = 'UpstreamFailed', fingerprint = 'UpstreamFailed', traceback = '', message = text,
      }))
    else
      STATES.finish(record, 'cancelled', 'upstream_broken', nil, nil, text)
    end
  end

  -- Lets a task that comes after others on its way, unless some of them are not final yet.
  local function ask_upstream(record, cause)
    local others, fail, joins, queues = unpack(cmsgpack.unpack(field_of(record, 'after')), 1, 4)
    local names, broken = {}, nil
    for at, other in ipairs(others) do
      local queue = queues[at]
      if queue and queue ~= '' then
        names[#names + 1] = wait_afar(record, queue, other)
      elseif other ~= record.id then
        local state = wait_for(other, record.id)
        if BROKE[state] then
          broken = broken or state .. ' ' .. other
        elseif state and not is_final(state) then
          names[#names + 1] = other
        end
      end
    end
    put(record, 'broken', #names > 0 and broken or nil)
    if not blocked_on(record, names, 'upstream', cause) then
      go_on(record, broken, fail, joins, cause)
    end
  end

  -- One of those that a task waits for is over, and how: its state, or `gone`. It goes on if that was the
  -- last one.
  local function arrived_at(waiter, name, how)
    local key = KEY.waits .. waiter
    local before = left[waiter] or redis.call('SCARD', key)
    left[waiter] = before - redis.call('SREM', key, name)
    local broken = BROKE[how] and how .. ' ' .. relative(name)
    if left[waiter] == before or (left[waiter] > 0 and not broken) then
      return
    end
    local record = load(waiter)
    if left[waiter] > 0 then
      if record.live.blocked == 'upstream' and not record.live.broken then
        put(record, 'broken', broken)
      end
    elseif record.live.blocked == 'upstream' then
      local _, fail, joins = unpack(cmsgpack.unpack(field_of(record, 'after')), 1, 3)
      go_on(record, field_of(record, 'broken') or broken, fail, joins, 'upstream_final')
    else
      STATES.admit(record, 'children_final')
    end
  end

  local function tell_of_end(ended)
    local id, from, how = ended[1], ended[2], ended[3]
    local key = KEY.parents .. id
    local names = redis.call('SPOP', key, ALL)
    table.sort(names)
    for _, name in ipairs(names) do
      local waiter, queue = relative(name)
      if queue then
        send('arrived', queue, waiter, from .. '\t' .. id, how)
      else
        arrived_at(waiter, id, how)
      end
    end
  end

  -- Tells who waits for a task that it ended. What ends by that is told after it, not inside it: a chain
  -- may have thousands of tasks.
  local OVER = {}

  local function tell_waiting(id, queue, how)
    OVER[#OVER + 1] = {id, queue, how}
    if #OVER > 1 then
      return
    end
    local at = 1
    while OVER[at] do
      tell_of_end(OVER[at])
      at = at + 1
    end
    OVER = {}
  end

  local function stop_waiting(record)
    local key = KEY.waits .. record.id
    for _, other in ipairs(redis.call('SMEMBERS', key)) do
      redis.call('SREM', KEY.parents .. other, record.id)
    end
    redis.call('DEL', key)
    left[record.id] = nil
  end

  WAITING = {
    wait_for = wait_for, wait = wait, ask_upstream = ask_upstream, arrived_at = arrived_at,
    tell_waiting = tell_waiting, stop_waiting = stop_waiting,
  }
  return WAITING
end

STATES.waiting = waiting

-- Lets a task on its way, unless it has to wait for those that it comes after.
function STATES.ask_upstream(record, cause)
  if record.live.after then
    waiting().ask_upstream(record, cause)
  else
    STATES.schedule_or_admit(record, cause)
  end
end
