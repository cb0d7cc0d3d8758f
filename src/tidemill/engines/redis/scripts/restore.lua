-- needs: fires produce children save
-- restore: take in what another engine gave, where it is not there yet.
-- ARGV[3] msgpack: {tasks, marks, tallies}. A task is {id, number, cancelled, {texts}, attempts, {log, …}}:
-- the number is the place in ARGV of its facts, which payload, row (`records.lua`), result, and so many
-- attempts follow; texts are error, reason and progress, each false where there is none. A mark is
-- {schedule, mark:count, {fire, newest first …}}; a tally {resolution, stretch, queue/type, its place in
-- ARGV}. Answers 1 for each task that is new, else 0.

-- A record with the state that it had, which it does not have here yet.
local function record_from(id, number, texts)
  local live = live_from(ARGV[number + 2])
  local state = live.state
  live.state = nil
  local record = {
    id = id, key = KEY.task .. id, packed = ARGV[number], live = live, changed = false,
    facts = live.rules and cmsgpack.unpack(ARGV[number]) or nil,
    fields = {
      facts = ARGV[number], payload = ARGV[number + 1], result = live.result and ARGV[number + 3] or nil,
      error = texts[1] or nil, reason = texts[2] or nil, progress = texts[3] or nil,
    },
  }
  return record, state
end

-- Takes a task's key if it is free, for what is left of its time.
local function take_key(record)
  local unique = rules_of(record).unique
  local over = unique and unique.lasts and record.live.enqueued + unique.lasts <= LEDGER.now
  if unique and not over and not holder(record.live.queue, unique.key) then
    hold_key(record)
  end
end

local function restored(id, number, cancelled, texts, attempts, logs)
  if load(id) then
    return 0
  end
  local record, state = record_from(id, number, texts)
  know_queue(record.live.queue)
  if not is_final(state) then
    take_key(record)
  end
  RECORDS[id] = record
  for at = number + 4, number + 3 + attempts do
    redis.call('RPUSH', KEY.attempts .. id, ARGV[at])
  end
  in_parts(logs, 'RPUSH', KEY.logs .. id)
  if is_final(state) then
    STATES.enter(record, state, 'restored')
  elseif cancelled then
    STATES.finish(record, 'cancelled', 'restored', nil, nil, record.fields.reason)
  else
    STATES.schedule_or_admit(record, 'restored')
  end
  return 1
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
  end
end

local request = cmsgpack.unpack(ARGV[3])
add_up()
local answers = {}
for at, task in ipairs(request[1]) do
  answers[at] = restored(unpack(task, 1, 6))
end
for _, mark in ipairs(request[2]) do
  restore_mark(unpack(mark, 1, 3))
end
for _, each in ipairs(request[3]) do
  restore_tally(unpack(each, 1, 4))
end
save()
return answers
