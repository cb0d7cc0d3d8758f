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

local function place_keys()
  local kinds, keys = {}, {}
  local counts = redis.call('HKEYS', KEY.counts)
  for _, field in ipairs(counts) do
    local queue, kind = string.match(field, '^([^/]+)/([^/]+)/')
    if (not queues or queues[queue]) and (not types or types[kind]) then
      kinds[queue .. '/' .. kind] = true
    end
  end
  for kind in pairs(kinds) do
    for _, state in ipairs(STATE_NAMES) do
      if not states or states[state] then
        keys[#keys + 1] = KEY.index .. 'place:' .. kind .. '/' .. state
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

local keys = shortest()
local part = math.max(10, math.ceil(2 * wanted.most / math.max(1, #keys)))
local rows, looked = {}, 0
local last = false
for id in merged(keys, wanted.before, math.min(part, 1000)) do
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
