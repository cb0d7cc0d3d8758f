-- needs: search
-- index: bring what people search by up to date with the feed. Where the feed was cut before that,
-- or when asked to, all tasks are indexed again beside it, a part of the keyspace in each call.
-- ARGV[3] msgpack: {limit, most, again}: transitions to look at (whole batches); how many tasks to
-- keep, of which the oldest completed ones leave first; whether to index all tasks again.
-- Answers {transitions left, 1 while all tasks are being indexed again, tasks of those shown now}.

go_on_when_full()
local limit, most, again = unpack(cmsgpack.unpack(ARGV[3]), 1, 3)
local state = redis.call('HMGET', KEY.indexed, 'told', 'cursor')
local at, cursor = tonumber(state[1] or 0), state[2]
if at > LEDGER.told or again then
  at, cursor = LEDGER.told, '0'
end

-- Causes after which a task is where it was.
local STAYS = {claimed = true, progress = true, cancel_requested = true, admitted = true}

-- Causes after which a task may have been failed or cancelled before: a manual retry tells of where its
-- task goes then.
local LEAVES_FINAL = {manual_retry = true, upstream_broken = true, joined = true}

-- What is to be shown of each task: its last bare group, or true for its record as it is now.
local LATEST = {}

local function look_at(group)
  local cause, bare = group[1], group[7]
  if STAYS[cause] then
    return
  end
  for number = 8, #group do
    local id = group[number]
    if LEAVES_FINAL[cause] then
      note(TAKEN, spot(group[3], group[2], 'failed'), id)
      note(TAKEN, spot(group[3], group[2], 'cancelled'), id)
    end
    if cause == 'removed' then
      -- It was hidden when it went, but what was told before that may have been shown since.
      LATEST[id] = nil
      for _, place in ipairs(PLACES) do
        note(TAKEN, spot(group[3], group[2], place), id)
      end
    else
      LATEST[id] = bare and group or true
    end
  end
end

local function show_latest()
  for id, group in pairs(LATEST) do
    if group ~= true then
      show_bare(id, group[2], group[3], PLACE_OF[group[4]])
    elseif load(id) then
      show(load(id))
    end
  end
end

local function follow()
  local number, batches = 0, 1
  while number < limit and at < LEDGER.told do
    local found = redis.call('XRANGE', KEY.feed, '(' .. whole(at), '+', 'COUNT', batches)
    for _, raw in ipairs(found) do
      local upto, told = arrival_of(raw[1]), tonumber(raw[2][4])
      if upto - told > at then
        cursor = cursor or '0'
      end
      for _, group in ipairs(cmsgpack.unpack(raw[2][6])) do
        look_at(group)
      end
      at, number = upto, number + told
      batches = math.max(1, math.min(50, math.floor((limit - number) / told)))
      if number >= limit then
        return
      end
    end
    if #found == 0 then
      at = LEDGER.told
    end
  end
end

local function go_on_with_all()
  local pattern = string.gsub(ROOT, '[%[%]%*%?\\]', '\\%0') .. string.sub(KEY.task, #ROOT + 1) .. '*'
  local found = redis.call('SCAN', cursor, 'MATCH', pattern, 'COUNT', limit)
  local shown = 0
  for _, key in ipairs(found[2]) do
    local record = load(string.sub(key, #KEY.task + 1))
    if record then
      local live = record.live
      if live.labels or live.error then
        record.shown = false
        show(record)
      else
        show_bare(record.id, live.type, live.queue, PLACE_OF[live.state])
      end
      shown = shown + 1
    end
  end
  cursor = found[1] ~= '0' and found[1] or false
  return shown
end

follow()
show_latest()
local shown = cursor and limit > 0 and go_on_with_all() or 0
save_index()
keep_index_below(most, limit)
redis.call('HSET', KEY.indexed, 'told', at)
if cursor then
  redis.call('HSET', KEY.indexed, 'cursor', cursor)
else
  redis.call('HDEL', KEY.indexed, 'cursor')
end
return {LEDGER.told - at, cursor and 1 or 0, shown}
