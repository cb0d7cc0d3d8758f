-- needs: records lanes
-- The index that people search by: sorted sets of task ids, newest last. Every task is in the one
-- of its queue, type and state, and in those of its user, project, parent, tags and error. It is
-- made from the feed, after the fact; only removal takes a task out at once.
-- `shown` in the record says where it is: state, a line break, the error's fingerprint or '-'.

local SHOWN_PLAIN = {}
for _, state in ipairs(STATE_NAMES) do
  SHOWN_PLAIN[state] = state .. '\n-'
end

local function place_of(queue, kind, state)
  return 'place:' .. queue .. '/' .. kind .. '/' .. state
end

local function place(record, state)
  return place_of(record.live.queue, record.live.type, state)
end

local function places(record, state)
  local found = {place(record, state)}
  if not record.live.labels then
    return found
  end
  local facts = facts_of(record)
  if facts.user then
    found[#found + 1] = 'user:' .. facts.user
  end
  if facts.project then
    found[#found + 1] = 'project:' .. facts.project
  end
  if facts.parent then
    found[#found + 1] = 'parent:' .. facts.parent
  end
  for _, tag in ipairs(facts.tags or {}) do
    found[#found + 1] = 'tag:' .. tag
  end
  return found
end

local function shown_as(record)
  if record.shown == nil then
    record.shown = redis.call('HGET', record.key, 'shown')
  end
  if not record.shown then
    return nil
  end
  local state, failure = string.match(record.shown, '^(%l+)\n(.*)$')
  return state, failure
end

local function hide(record)
  local state, failure = shown_as(record)
  if not state then
    return
  end
  for _, place in ipairs(places(record, state)) do
    redis.call('ZREM', KEY.index .. place, record.id)
  end
  if failure ~= '-' then
    redis.call('ZREM', KEY.index .. 'error', record.id)
    redis.call('ZREM', KEY.index .. 'error:' .. failure, record.id)
  end
  record.shown = false
  redis.call('HINCRBY', KEY.indexed, 'tasks', -1)
end

-- Shows a task where it belongs now. What many tasks share is added at once, by `save_index`.
local ADDED = {}
local ADDED_TASKS = 0

local function add(place_name, id)
  local ids = ADDED[place_name]
  if not ids then
    ids = {}
    ADDED[place_name] = ids
  end
  ids[#ids + 1] = 0
  ids[#ids + 1] = id
end

local function show(record)
  local failure = '-'
  local raw = field_of(record, 'error')
  if raw then
    failure = cjson.decode(raw).fingerprint or ''
  end
  local state, before = shown_as(record)
  local shown = record.live.state .. '\n' .. failure
  if record.shown == shown then
    return
  end
  if state then
    redis.call('ZREM', KEY.index .. place(record, state), record.id)
    add(place(record, record.live.state), record.id)
  else
    ADDED_TASKS = ADDED_TASKS + 1
    for _, each in ipairs(places(record, record.live.state)) do
      add(each, record.id)
    end
  end
  if before ~= failure then
    if before and before ~= '-' then
      redis.call('ZREM', KEY.index .. 'error', record.id)
      redis.call('ZREM', KEY.index .. 'error:' .. before, record.id)
    end
    if failure ~= '-' then
      add('error', record.id)
      add('error:' .. failure, record.id)
    end
  end
  redis.call('HSET', record.key, 'shown', shown)
  record.shown = shown
end

local function save_index()
  for place_name, ids in pairs(ADDED) do
    in_parts(ids, 'ZADD', KEY.index .. place_name)
  end
  if ADDED_TASKS > 0 then
    redis.call('HINCRBY', KEY.indexed, 'tasks', ADDED_TASKS)
  end
end

-- Counts the tasks in the index anew.
local function count_index()
  local kinds, sum = {}, 0
  for _, field in ipairs(redis.call('HKEYS', KEY.counts)) do
    kinds[string.match(field, '^[^/]+/[^/]+/')] = true
  end
  for kind in pairs(kinds) do
    for _, state in ipairs(STATE_NAMES) do
      sum = sum + redis.call('ZCARD', KEY.index .. 'place:' .. kind .. state)
    end
  end
  redis.call('HSET', KEY.indexed, 'tasks', sum)
end

-- Takes the oldest completed tasks out of the index while it holds more than so many.
local function keep_index_below(most, at_once)
  local over = math.min(at_once, tonumber(redis.call('HGET', KEY.indexed, 'tasks') or 0) - most)
  if over <= 0 then
    return
  end
  local longest, length = nil, 0
  for _, field in ipairs(redis.call('HKEYS', KEY.counts)) do
    local key = KEY.index .. 'place:' .. field
    local here = string.find(field, '/completed$') and redis.call('ZCARD', key) or 0
    if here > length then
      longest, length = key, here
    end
  end
  for _, id in ipairs(longest and redis.call('ZRANGE', longest, 0, over - 1) or {}) do
    local record = load(id)
    if record then
      hide(record)
      redis.call('HDEL', record.key, 'shown')
    else
      redis.call('ZREM', longest, id)
    end
  end
end

-- Shows a task of a known queue and type in the index; false when more than its state counts there.
local function show_plain(id, kind, queue)
  local key = KEY.task .. id
  local found = redis.call('HMGET', key, 'live', 'shown')
  if not found[1] then
    return true
  end
  local state, _, mask = struct.unpack(ROW_HEAD, found[1])
  if mask ~= 0 and mask ~= FLAG_VALUES.result then
    return false
  end
  state = STATE_NAMES[state]
  local shown, before = SHOWN_PLAIN[state], found[2]
  if before == shown then
    return true
  end
  if not before then
    ADDED_TASKS = ADDED_TASKS + 1
  elseif string.sub(before, -2) == '\n-' then
    redis.call('ZREM', KEY.index .. place_of(queue, kind, string.sub(before, 1, -3)), id)
  else
    return false
  end
  add(place_of(queue, kind, state), id)
  redis.call('HSET', key, 'shown', shown)
  return true
end
