-- needs: fires produce save
-- restore: take in what another engine gave, where it is not there yet.
-- ARGV[3] msgpack: {tasks, marks, tallies}. A task is {id, number, what it was, {texts}, attempts, {log,
-- …}}: the number is the place in ARGV of its facts, which payload, row (`records.lua`), result, after,
-- and so many attempts follow; it was `cancelled` if its cancel was requested, `upstream` if it was
-- blocked on that, else ''; texts are error, reason and progress, each false where there is none. A mark
-- is {schedule, mark:count, {fire, newest first …}}; a tally {resolution, stretch, queue/type, its place
-- in ARGV}. Answers {1 for each task that is new, else 0; sent}.

-- A record that had a state, and does not have it here yet.
local function record_from(id, number, texts)
  local live = live_from(ARGV[number + 2])
  local state = live.state
  live.state = nil
  return {
    id = id, had = state, key = KEY.task .. id, packed = ARGV[number], live = live, changed = false,
    facts = live.rules and cmsgpack.unpack(ARGV[number]) or nil,
    fields = {
      facts = ARGV[number], payload = ARGV[number + 1], result = live.result and ARGV[number + 3] or nil,
      error = texts[1] or nil, reason = texts[2] or nil, progress = texts[3] or nil,
      after = live.after and ARGV[number + 4] or nil,
    },
  }
end

-- Takes a task's key if it is free, for what is left of its time.
local function take_key(record)
  local unique = rules_of(record).unique
  local over = unique and unique.lasts and record.live.enqueued + unique.lasts <= LEDGER.now
  if unique and not over and not holder(record.live.queue, unique.key) then
    hold_key(record)
  end
end

-- Gives a completed task its key, if it is free, for as long as its result is still cached.
local function take_cached(record)
  local unique = rules_of(record).unique
  if not unique or not unique.cached or record.had ~= 'completed' then
    return
  end
  local till = record.live.finished + unique.cached
  if till > LEDGER.now and not holder(record.live.queue, unique.key) then
    hold_until(record, till)
  end
end

-- Puts a task beside the others; nil when its id is known.
local function taken_in(id, number, texts, attempts, logs)
  if load(id) then
    return nil
  end
  local record = record_from(id, number, texts)
  know_queue(record.live.queue)
  RECORDS[id] = record
  for at = number + 5, number + 4 + attempts do
    redis.call('RPUSH', KEY.attempts .. id, ARGV[at])
  end
  in_parts(logs, 'RPUSH', KEY.logs .. id)
  return record
end

local function restored(record, was)
  if is_final(record.had) then
    STATES.enter(record, record.had, 'restored')
    take_cached(record)
    return
  end
  take_key(record)
  if was == 'cancelled' then
    STATES.finish(record, 'cancelled', 'restored', nil, nil, record.fields.reason)
  elseif was == 'upstream' then
    STATES.ask_upstream(record, 'restored')
  else
    STATES.schedule_or_admit(record, 'restored')
  end
end

local function restore_mark(schedule, mark, fires)
  if redis.call('HSETNX', KEY.marks, schedule, mark) == 1 then
    for at = 1, math.min(#fires, FIRES_KEPT) do
      redis.call('RPUSH', KEY.fires .. schedule, cmsgpack.pack(fires[at]))
    end
  end
end

local function restore_tally(resolution, begun, field, number)
  local place = KEY.tallies .. resolution .. '/' .. begun
  if redis.call('HSETNX', place, field, ARGV[number]) == 1 then
    redis.call('ZADD', KEY.stretches .. resolution, begun, begun)
    redis.call('HDEL', KEY.totals .. resolution, begun)
  end
end

local request = cmsgpack.unpack(ARGV[3])
add_up()
local answers, records = {}, {}
for at, task in ipairs(request[1]) do
  local id, number, _, texts, attempts, logs = unpack(task, 1, 6)
  records[at] = taken_in(id, number, texts, attempts, logs) or false
  answers[at] = records[at] and 1 or 0
end
for at, record in ipairs(records) do
  if record then
    restored(record, request[1][at][3])
  end
end
for _, mark in ipairs(request[2]) do
  restore_mark(unpack(mark, 1, 3))
end
for _, each in ipairs(request[3]) do
  restore_tally(unpack(each, 1, 4))
end
save()
return {answers, SENT}
