-- needs: records lanes
-- The index that people search by: sorted sets of task ids, newest last. It is made from the feed,
-- after the fact; only removal takes a task out at once. Every task is in one place of its queue and
-- type: scheduled, live (blocked, pending or running), completed, failed or cancelled. Tasks with
-- labels or an error are besides in the sets of their user, project, parent, tags and fingerprint;
-- `shown` in their record says where: place, a line break, the fingerprint or '-'.

local PLACES = {'scheduled', 'live', 'completed', 'failed', 'cancelled'}
local PLACE_OF = {
  scheduled = 'scheduled', blocked = 'live', pending = 'live', running = 'live',
  completed = 'completed', failed = 'failed', cancelled = 'cancelled',
}
-- Where else a task may still be that is found in a place now; a manual retry also leaves two more.
local LEFT_BEHIND = {
  scheduled = {'live'}, live = {'scheduled'}, completed = {'live', 'scheduled'},
  failed = {'live', 'scheduled'}, cancelled = {'live', 'scheduled'},
}
local ADDED, TAKEN = {}, {}

local function spot(queue, kind, place)
  return 'place:' .. queue .. '/' .. kind .. '/' .. place
end

local function note(sets, name, id)
  local ids = sets[name]
  if not ids then
    ids = {}
    sets[name] = ids
  end
  ids[#ids + 1] = id
end

local function labels_of(record)
  if not record.live.labels then
    return {}
  end
  local facts, found = facts_of(record), {}
  for _, field in ipairs({'user', 'project', 'parent'}) do
    if facts[field] then
      found[#found + 1] = field .. ':' .. facts[field]
    end
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
  return string.match(record.shown, '^(%l+)\n(.*)$')
end

local function fingerprint_of(record)
  local raw = field_of(record, 'error')
  return raw and (cjson.decode(raw).fingerprint or '') or '-'
end

-- Shows a task that has neither labels nor an error.
local function show_bare(id, kind, queue, place)
  note(ADDED, spot(queue, kind, place), id)
  for _, other in ipairs(LEFT_BEHIND[place]) do
    note(TAKEN, spot(queue, kind, other), id)
  end
end

local function show(record)
  local live, id = record.live, record.id
  local place, failure = PLACE_OF[live.state], fingerprint_of(record)
  local shown = place .. '\n' .. failure
  local before, failed_before = shown_as(record)
  note(ADDED, spot(live.queue, live.type, place), id)
  for _, other in ipairs(PLACES) do
    if other ~= place then
      note(TAKEN, spot(live.queue, live.type, other), id)
    end
  end
  if not before then
    for _, label in ipairs(labels_of(record)) do
      note(ADDED, label, id)
    end
  end
  if failed_before and failed_before ~= '-' and failed_before ~= failure then
    note(TAKEN, 'error', id)
    note(TAKEN, 'error:' .. failed_before, id)
  end
  if failure ~= '-' then
    note(ADDED, 'error', id)
    note(ADDED, 'error:' .. failure, id)
  end
  if record.shown ~= shown then
    redis.call('HSET', record.key, 'shown', shown)
    record.shown = shown
  end
end

local function hide(record)
  local live, id = record.live, record.id
  for _, place in ipairs(PLACES) do
    note(TAKEN, spot(live.queue, live.type, place), id)
  end
  local before, failure = shown_as(record)
  if before then
    for _, label in ipairs(labels_of(record)) do
      note(TAKEN, label, id)
    end
    if failure ~= '-' then
      note(TAKEN, 'error', id)
      note(TAKEN, 'error:' .. failure, id)
    end
  end
end

local function is_completed(name)
  return string.find(name, '^place:.*/completed$') ~= nil
end

-- Writes all that was shown and hidden, many tasks at a time, and counts the completed ones.
local function save_index()
  local change = 0
  for name, ids in pairs(TAKEN) do
    local gone = in_parts(ids, 'ZREM', KEY.index .. name)
    change = change - (is_completed(name) and gone or 0)
  end
  for name, ids in pairs(ADDED) do
    local pairs_of = {}
    for at, id in ipairs(ids) do
      pairs_of[2 * at - 1], pairs_of[2 * at] = 0, id
    end
    local come = in_parts(pairs_of, 'ZADD', KEY.index .. name)
    change = change + (is_completed(name) and come or 0)
  end
  if change ~= 0 then
    redis.call('HINCRBY', KEY.indexed, 'completed', change)
  end
  ADDED, TAKEN = {}, {}
end

-- Takes the oldest completed tasks out of the index while it holds more of them than so many. Those
-- that are shown nowhere else go without a look at their records.
local function keep_index_below(most, at_once)
  local completed = tonumber(redis.call('HGET', KEY.indexed, 'completed') or 0)
  local over = math.min(at_once, completed - most)
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
  local place = longest and string.sub(longest, #KEY.index + 1)
  for _, id in ipairs(longest and redis.call('ZRANGE', longest, 0, over - 1) or {}) do
    note(TAKEN, place, id)
    if redis.call('HEXISTS', KEY.task .. id, 'shown') == 1 then
      hide(load(id))
      redis.call('HDEL', KEY.task .. id, 'shown')
    end
  end
  save_index()
end
