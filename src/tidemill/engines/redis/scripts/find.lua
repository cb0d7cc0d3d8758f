-- needs: search
-- find: tasks by what they are, newest id first, walking the shortest index that covers the query.
-- ARGV[3] msgpack: a table with details, most (rows wanted), look (tasks to look at, at most),
-- before (an id) and, each only where it restricts: states, types, queues, tags (lists), user,
-- project, parent, failure (a fingerprint), failed (any error), from, till (enqueued, microseconds).
-- Answers {rows, id to go on before, or false when there is no more}.

local wanted = cmsgpack.unpack(ARGV[3])

local function set_of(list)
  if not list then
    return nil
  end
  local set = {}
  for _, each in ipairs(list) do
    set[each] = true
  end
  return set
end

local states, types, queues = set_of(wanted.states), set_of(wanted.types), set_of(wanted.queues)

local function wanted_places()
  if not states then
    return PLACES
  end
  local set, places = {}, {}
  for state in pairs(states) do
    local place = PLACE_OF[state]
    if not set[place] then
      set[place] = true
      places[#places + 1] = place
    end
  end
  return places
end

local function place_keys()
  local known, keys = {}, {}
  for _, field in ipairs(redis.call('HKEYS', KEY.counts)) do
    local queue, kind = string.match(field, '^([^/]+)/([^/]+)/')
    local name = queue .. '/' .. kind
    if not known[name] and (not queues or queues[queue]) and (not types or types[kind]) then
      known[name] = true
      for _, place in ipairs(wanted_places()) do
        keys[#keys + 1] = KEY.index .. spot(queue, kind, place)
      end
    end
  end
  return keys
end

local function length_of(keys)
  local sum = 0
  for _, key in ipairs(keys) do
    sum = sum + redis.call('ZCARD', key)
  end
  return sum
end

local function shortest()
  local choices = {place_keys()}
  for field, name in pairs({user = 'user:', project = 'project:', parent = 'parent:', failure = 'error:'}) do
    if wanted[field] then
      choices[#choices + 1] = {KEY.index .. name .. wanted[field]}
    end
  end
  for _, tag in ipairs(wanted.tags or {}) do
    choices[#choices + 1] = {KEY.index .. 'tag:' .. tag}
  end
  if wanted.failed then
    choices[#choices + 1] = {KEY.index .. 'error'}
  end
  local best, length
  for _, keys in ipairs(choices) do
    local here = length_of(keys)
    if not length or here < length then
      best, length = keys, here
    end
  end
  return best
end

local function labelled(record)
  if not (wanted.user or wanted.project or wanted.parent or wanted.tags) then
    return true
  end
  local facts = record.live.labels and facts_of(record) or {}
  local tags = set_of(facts.tags or {})
  for _, tag in ipairs(wanted.tags or {}) do
    if not tags[tag] then
      return false
    end
  end
  return (not wanted.user or facts.user == wanted.user)
    and (not wanted.project or facts.project == wanted.project)
    and (not wanted.parent or facts.parent == wanted.parent)
end

local function matches(record)
  local live = record.live
  return (not states or states[live.state]) and (not types or types[live.type])
    and (not queues or queues[live.queue])
    and (not wanted.from or live.enqueued >= wanted.from)
    and (not wanted.till or live.enqueued < wanted.till)
    and (live.error or not (wanted.failed or wanted.failure))
    and labelled(record)
    and (not wanted.failure
      or cjson.decode(field_of(record, 'error')).fingerprint == wanted.failure)
end

-- The ids of several sorted sets as one, newest first: each is read in parts as it is used up.
local function merged(keys, before, part)
  local heads = {}
  local function fill(head)
    head.ids = redis.call('ZREVRANGEBYLEX', head.key, head.below, '-', 'LIMIT', 0, part)
    head.at = 1
    head.below = head.ids[#head.ids] and '(' .. head.ids[#head.ids]
  end
  for _, key in ipairs(keys) do
    local head = {key = key, below = before and '(' .. before or '+'}
    fill(head)
    if head.ids[1] then
      heads[#heads + 1] = head
    end
  end
  return function()
    local best
    for _, head in ipairs(heads) do
      if head.ids[head.at] and (not best or head.ids[head.at] > best.ids[best.at]) then
        best = head
      end
    end
    if not best then
      return nil
    end
    local id = best.ids[best.at]
    best.at = best.at + 1
    if not best.ids[best.at] and #best.ids == part then
      fill(best)
    end
    return id
  end
end

-- What runs is known exactly, and is never much.
local function running(before)
  local ids = redis.call('ZRANGE', KEY.leases, 0, -1)
  table.sort(ids, function(one, other) return one > other end)
  local at = 0
  return function()
    repeat
      at = at + 1
    until not ids[at] or not before or ids[at] < before
    return ids[at]
  end
end

local function only_running()
  return states and states.running and #wanted.states == 1
end

local keys = shortest()
local part = math.max(10, math.ceil(2 * wanted.most / math.max(1, #keys)))
local rows, looked = {}, 0
local last = false
local ids = only_running() and running(wanted.before)
  or merged(keys, wanted.before, math.min(part, 1000))
for id in ids do
  local record = id ~= last and load(id)
  if record and matches(record) then
    rows[#rows + 1] = row_of(id, wanted.details)
  end
  looked, last = looked + 1, id
  if #rows >= wanted.most or looked >= wanted.look then
    return {rows, last}
  end
end
return {rows, false}
